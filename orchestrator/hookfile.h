/* SPDX-License-Identifier: Apache-2.0 */
/* The executables of an admin in FOLDER/EVENT.d, and running one of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct hookfile_list {
    char **paths; /* in the order of their names */
    size_t count;
};

/*
 * The executables of FOLDER/EVENT.d; none when the folder is not there.  Not taken: what is not a
 * file, is not executable, begins with '.' or ends with '~'.  EPERM when somebody else than root
 * (or slipwayd's own user) owns a folder or an executable or may write to it.
 */
int hookfile_find(const char *folder, const char *event, struct hookfile_list *ret_list,
                  struct error **err);
void hookfile_list_done(struct hookfile_list *list);

struct hookfile_run {
    const char *path;
    const char *input; /* on standard input */
    char *const *env;  /* "NAME=VALUE"s besides slipwayd's own */
    uint64_t timeout_ns;
    bool (*interrupted)(void *context);
    void (*line)(void *context, const char *text); /* each line of its output, both kinds */
    void *context;
};

/*
 * Runs it in a session and process group of its own to its end.  0: exit code 0.  EIO: another end;
 * the sentence has the last line it wrote.  ETIMEDOUT, ECANCELED (interrupted): the group was ended,
 * with SIGKILL two seconds after SIGTERM.
 */
int hookfile_execute(const struct hookfile_run *run, struct error **err);

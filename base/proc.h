/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes, without a shell. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "error.h"

struct proc_options {
    int stdin_fd;          /* -1: /dev/null */
    int stdout_fd;         /* -1: inherited */
    int stderr_fd;         /* -1: inherited */
    bool die_with_parent;  /* SIGTERM when the thread that started it ends */
    bool new_session;      /* setsid: survives the caller's terminal and process group */
    const char *directory; /* NULL: the caller's */
    char *const *env;      /* NULL: the caller's; otherwise "NAME=VALUE"s to add to them */
};

#define PROC_OPTIONS_DEFAULT                                                                       \
    ((struct proc_options){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1})

/* Starts argv[0] (searched in PATH).  Returns 0 and the pid, or -errno with a sentence that names
 * the program (also when exec fails). */
int proc_spawn(char *const argv[], const struct proc_options *options, pid_t *ret_pid,
               struct error **err);

/* Waits up to timeout_ns (UINT64_MAX: for ever).  Returns 0 and *ret_status as exit code
 * (128+signal for a signal); -ETIMEDOUT when it still runs. */
int proc_wait(pid_t pid, uint64_t timeout_ns, int *ret_status);

/* SIGTERM, then after grace_ns SIGKILL; waits for the end.  For children only. */
void proc_stop(pid_t pid, uint64_t grace_ns);

/* Runs argv to its end and captures standard output (up to max bytes; freed by the caller, may be
 * NULL) and the tail of standard error, which becomes part of the sentence on failure.
 * Exit code 0 → 0; otherwise -EIO (or -ETIMEDOUT, and the child is killed). */
int proc_run(char *const argv[], uint64_t timeout_ns, char **ret_output, struct error **err);

/* True while a process with this pid exists and is not a zombie. */
bool proc_alive(pid_t pid);

/* Start time of pid in clock ticks since boot (field 22 of /proc/PID/stat), to tell a reused pid
 * from the same process; 0 when it does not exist. */
uint64_t proc_start_time(pid_t pid);

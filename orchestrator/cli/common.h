/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs that talk to slipwayd share. */
#pragma once

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"

#define SOCKET_DEFAULT "/run/slipway/slipwayd.sock"

struct cli_common {
    const char *verb;   /* for messages: "source add" */
    const char *socket;
    bool json;
    bool follow; /* wait until the job comes to rest */
    bool detach; /* never wait */
};

/* Keys of the long options every verb takes; a verb's own keys begin at KEY_OWN. */
enum common_key {
    KEY_SOCKET = 256,
    KEY_JSON,
    KEY_HELP,
    KEY_VERSION,
    KEY_FOLLOW,
    KEY_DETACH,
    KEY_OWN
};

#define COMMON_OPTIONS                                                                             \
    {"socket", required_argument, NULL, KEY_SOCKET}, {"json", no_argument, NULL, KEY_JSON},        \
        {"help", no_argument, NULL, KEY_HELP}, {"version", no_argument, NULL, KEY_VERSION}

#define FOLLOW_OPTIONS                                                                             \
    {"follow", no_argument, NULL, KEY_FOLLOW}, {"detach", no_argument, NULL, KEY_DETACH}

/* Starts *common for a verb: the socket from SLIPWAY_SOCKET or the default. */
void common_init(struct cli_common *common, const char *verb);

/* Takes a common option (optarg).  -1: go on; otherwise the exit code. */
int common_take(struct cli_common *common, int key);

/* EXIT_CODE_USAGE after saying what is wrong. */
int common_usage(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The arguments behind the options must be count many; -1 or the exit code. */
int common_arguments(const struct cli_common *common, int argc, int count, const char *names);

/* Parses a verb that has only the common options and `count` arguments. */
int common_parse(struct cli_common *common, const char *verb, int argc, char **argv, bool follows,
                 int count, const char *names);

/* Frees err and returns its exit code after telling. */
int common_fail(const struct cli_common *common, struct error *err);

/* Prints a JSON value with a newline. */
void common_print(const json_t *value);

/* Waits until the migration rests, showing its progress; the exit code of how it went.  Survives a
 * restart of slipwayd.  Does not wait with --detach, or off a terminal without --follow. */
int common_follow(const struct cli_common *common, const char *name);

/* Prints the text of --help; main.c. */
void cli_help(void);

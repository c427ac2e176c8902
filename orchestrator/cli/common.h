/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs that talk to slipwayd share. */
#pragma once

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include "base/error.h"
#include "orchestrator/cli/verbs.h"

#define SOCKET_DEFAULT "/run/slipway/slipwayd.sock"

struct cli_common {
    const char *verb;   /* for messages: "source add" */
    const char *socket; /* a path, or https://HOST:PORT, see client.h */
    bool json;
    bool follow; /* wait until the job comes to rest */
    bool detach; /* never wait */
};

/* Keys of the long options every verb takes; a verb's own keys begin at KEY_OWN. */
enum common_key {
    KEY_SOCKET = 256,
    KEY_SERVER,
    KEY_CERT,
    KEY_KEY,
    KEY_CA,
    KEY_JSON,
    KEY_HELP,
    KEY_VERSION,
    KEY_FOLLOW,
    KEY_DETACH,
    KEY_OWN
};

/* Takes one of a verb's own options (value in optarg).  -1: go on; otherwise the exit code. */
typedef int common_take_fn(struct cli_common *common, int key, void *context);

/*
 * Parses a verb's command line by its table; its own options go to `take` (may be NULL when it has
 * none).  -1: the arguments are in argv[optind…argc-1], as many as the table allows; otherwise the
 * exit code, after telling.
 */
int common_parse(struct cli_common *common, const struct cli_verb *verb, int argc, char **argv,
                 common_take_fn *take, void *context);

/* EXIT_CODE_USAGE after saying what is wrong. */
int common_usage(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* True when the outcome of what was begun is waited for: asked for, or on a terminal. */
bool common_follows(const struct cli_common *common);

/* Frees err and returns its exit code after telling. */
int common_fail(const struct cli_common *common, struct error *err);

/* Prints a JSON value with a newline. */
void common_print(const json_t *value);

/* Waits until the migration rests, showing its progress; the exit code of how it went.  Survives a
 * restart of slipwayd.  Does not wait with --detach, or off a terminal without --follow. */
int common_follow(const struct cli_common *common, const char *name);

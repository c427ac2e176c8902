/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of slipwayd. */
#pragma once

#include <stdbool.h>

struct options {
    const char *state_dir;
    const char *socket_path;
    const char *group, *read_group; /* NULL: see access_policy_load() */
    const char *listen; /* ADDRESS:PORT; NULL: no TCP */
    const char *tls_cert, *tls_key, *tls_ca, *tls_crl, *tls_roles;
    const char *node_uri; /* NULL: chosen by node_open() */
    const char *pool;
    const char *morph; /* path of slipway-morph */
    unsigned max_syncs;
    unsigned watch_s; /* between two looks at sources in whose window one can go back */
    bool no_schedule;
    const char *hooks; /* folder; NULL: none */
    unsigned hook_timeout_s;
    int log_level;
    bool rotate_key; /* do that, and nothing else */
    char *buffers[5]; /* what the pointers above may point into */
};

/* Returns -1 to go on, otherwise the exit code (after --help, --version or a wrong option). */
int options_parse(struct options *options, int argc, char **argv);
void options_free(struct options *options);

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/api.h"
#include "orchestrator/metrics.h"
#include "orchestrator/programs.h"
#include "orchestrator/version.h"

static const char help[] =
    "slipwayd keeps the jobs that move virtual machines onto this node.\n"
    "\n"
    "  slipwayd [OPTION…]\n"
    "\n"
    "  --state DIR        journal, stores, secrets (default /var/lib/slipway)\n"
    "  --socket PATH      where to listen (default /run/slipway/slipwayd.sock)\n"
    "  --group GROUP      who may do everything, beside root (default slipway where it exists)\n"
    "  --read-group GROUP who may look, on PATH.ro (default slipway-read where it exists)\n"
    "  --listen ADDRESS:PORT\n"
    "                     also listen with TLS; certificates on both sides\n"
    "  --tls-cert FILE    slipwayd's certificate\n"
    "  --tls-key FILE     its key\n"
    "  --tls-ca FILE      whose certificates are let in\n"
    "  --tls-crl FILE     which of them are revoked\n"
    "  --tls-roles FILE   lines 'NAME read|write': what a certificate's name may do\n"
    "  --node URI         libvirt URI of the node (default: qemu:///system where a libvirtd\n"
    "                     answers, otherwise libvirt's embedded driver under DIR/node)\n"
    "  --pool DIR         where targets are made unless told otherwise\n"
    "                     (default /var/lib/slipway/pool)\n"
    "  --max-syncs N      how many migrations sync at the same time (default 2)\n"
    "  --watch S          how often to look whether sources of moved VMs are still off\n"
    "                     (default: every 15 seconds)\n"
    "  --no-schedule      begin nothing by itself: no sync, cutover, rehearsal or commit\n"
    "  --hooks DIR        programs of the admin, in DIR/EVENT.d (default /etc/slipway/hooks)\n"
    "  --hook-timeout S   how many seconds each of them has (default 60)\n"
    "  --log-level LEVEL  error, warning, info (default) or debug\n"
    "  --rotate-key       encrypt the passwords of sources with a new key and exit\n"
    "  --dump-states      print docs/STATES.md and exit\n"
    "  --dump-routes      print the routes of the API and exit\n"
    "  --dump-metrics     print docs/METRICS.md and exit\n"
    "  --version          print the version and exit\n"
    "  --help             print this and exit\n";

enum option_key {
    KEY_STATE = 256, KEY_SOCKET, KEY_GROUP, KEY_READ_GROUP, KEY_LISTEN, KEY_TLS_CERT,
    KEY_TLS_KEY, KEY_TLS_CA, KEY_TLS_CRL, KEY_TLS_ROLES, KEY_NODE, KEY_POOL, KEY_MAX_SYNCS,
    KEY_WATCH, KEY_NO_SCHEDULE, KEY_HOOKS, KEY_HOOK_TIMEOUT, KEY_LOG_LEVEL, KEY_ROTATE_KEY,
    KEY_DUMP_STATES, KEY_DUMP_ROUTES, KEY_DUMP_METRICS, KEY_VERSION, KEY_HELP
};

static const struct option long_options[] = {
    {"state", required_argument, NULL, KEY_STATE},
    {"socket", required_argument, NULL, KEY_SOCKET},
    {"group", required_argument, NULL, KEY_GROUP},
    {"read-group", required_argument, NULL, KEY_READ_GROUP},
    {"listen", required_argument, NULL, KEY_LISTEN},
    {"tls-cert", required_argument, NULL, KEY_TLS_CERT},
    {"tls-key", required_argument, NULL, KEY_TLS_KEY},
    {"tls-ca", required_argument, NULL, KEY_TLS_CA},
    {"tls-crl", required_argument, NULL, KEY_TLS_CRL},
    {"tls-roles", required_argument, NULL, KEY_TLS_ROLES},
    {"node", required_argument, NULL, KEY_NODE},
    {"pool", required_argument, NULL, KEY_POOL},
    {"max-syncs", required_argument, NULL, KEY_MAX_SYNCS},
    {"watch", required_argument, NULL, KEY_WATCH},
    {"no-schedule", no_argument, NULL, KEY_NO_SCHEDULE},
    {"hooks", required_argument, NULL, KEY_HOOKS},
    {"hook-timeout", required_argument, NULL, KEY_HOOK_TIMEOUT},
    {"log-level", required_argument, NULL, KEY_LOG_LEVEL},
    {"rotate-key", no_argument, NULL, KEY_ROTATE_KEY},
    {"dump-states", no_argument, NULL, KEY_DUMP_STATES},
    {"dump-routes", no_argument, NULL, KEY_DUMP_ROUTES},
    {"dump-metrics", no_argument, NULL, KEY_DUMP_METRICS},
    {"version", no_argument, NULL, KEY_VERSION},
    {"help", no_argument, NULL, KEY_HELP},
    {NULL},
};

static int wrong(const char *sentence, const char *value)
{
    fprintf(stderr, "slipwayd: %s '%s'; see slipwayd --help\n", sentence, value);
    return EXIT_CODE_USAGE;
}

static int number_parse(unsigned *ret, const char *text, long most, const char *sentence)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > most)
        return wrong(sentence, text);
    *ret = (unsigned)n;
    return -1;
}

/* A relative path would change its meaning with the working directory. */
static const char *absolute(struct options *o, unsigned slot, const char *path)
{
    char here[4096];

    if (path[0] == '/' || !getcwd(here, sizeof(here)))
        return path;
    free(o->buffers[slot]);
    o->buffers[slot] = str_format("%s/%s", here, path);
    return o->buffers[slot];
}

static int hook_timeout_parse(struct options *o, const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 3600)
        return wrong("--hook-timeout must lie between 1 and 3600, not", text);
    o->hook_timeout_s = (unsigned)n;
    return -1;
}

/* Options that are taken as they are: where to, or NULL. */
static const char **option_text(struct options *o, int key)
{
    switch (key) {
    case KEY_GROUP:
        return &o->group;
    case KEY_READ_GROUP:
        return &o->read_group;
    case KEY_LISTEN:
        return &o->listen;
    case KEY_TLS_CERT:
        return &o->tls_cert;
    case KEY_TLS_KEY:
        return &o->tls_key;
    case KEY_TLS_CA:
        return &o->tls_ca;
    case KEY_TLS_CRL:
        return &o->tls_crl;
    case KEY_TLS_ROLES:
        return &o->tls_roles;
    default:
        return NULL;
    }
}

static int option_take(struct options *o, int key)
{
    const char **text = option_text(o, key);

    if (text) {
        *text = optarg;
        return -1;
    }
    switch (key) {
    case KEY_STATE:
        o->state_dir = absolute(o, 1, optarg);
        return -1;
    case KEY_SOCKET:
        o->socket_path = absolute(o, 2, optarg);
        return -1;
    case KEY_NODE:
        o->node_uri = optarg;
        return -1;
    case KEY_POOL:
        o->pool = absolute(o, 3, optarg);
        return -1;
    case KEY_MAX_SYNCS:
        return number_parse(&o->max_syncs, optarg, 64,
                            "--max-syncs must lie between 1 and 64, not");
    case KEY_WATCH:
        return number_parse(&o->watch_s, optarg, 3600,
                            "--watch must lie between 1 and 3600 seconds, not");
    case KEY_NO_SCHEDULE:
        o->no_schedule = true;
        return -1;
    case KEY_HOOKS:
        o->hooks = absolute(o, 4, optarg);
        return -1;
    case KEY_HOOK_TIMEOUT:
        return hook_timeout_parse(o, optarg);
    case KEY_LOG_LEVEL:
        o->log_level = log_level_from_name(optarg);
        return o->log_level < 0 ? wrong("there is no log level", optarg) : -1;
    case KEY_ROTATE_KEY:
        o->rotate_key = true;
        return -1;
    case KEY_DUMP_STATES:
        job_states_dump(stdout);
        return EXIT_CODE_OK;
    case KEY_DUMP_ROUTES:
        api_dump_routes(stdout);
        return EXIT_CODE_OK;
    case KEY_DUMP_METRICS:
        metrics_dump(stdout);
        return EXIT_CODE_OK;
    case KEY_VERSION:
        puts("slipwayd " SLIPWAY_VERSION);
        return EXIT_CODE_OK;
    case KEY_HELP:
        fputs(help, stdout);
        return EXIT_CODE_OK;
    default:
        fputs("see slipwayd --help\n", stderr);
        return EXIT_CODE_USAGE;
    }
}

int options_parse(struct options *o, int argc, char **argv)
{
    int key, r = -1;

    *o = (struct options){.state_dir = "/var/lib/slipway",
                          .socket_path = "/run/slipway/slipwayd.sock",
                          .pool = "/var/lib/slipway/pool",
                          .max_syncs = 2,
                          .watch_s = 15,
                          .hooks = "/etc/slipway/hooks",
                          .hook_timeout_s = 60,
                          .log_level = LOG_LEVEL_INFO};
    while (r < 0 && (key = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        r = option_take(o, key);
    if (r < 0 && optind < argc)
        r = wrong("unknown argument", argv[optind]);
    if (r < 0)
        o->morph = o->buffers[0] = program_path("slipway-morph");
    return r;
}

void options_free(struct options *o)
{
    for (size_t i = 0; i < sizeof(o->buffers) / sizeof(o->buffers[0]); i++)
        free(o->buffers[i]);
}

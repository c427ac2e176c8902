/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/common.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/help.h"
#include "orchestrator/fields.h"
#include "orchestrator/version.h"

#define FOLLOW_PAUSE_NS (300 * NS_PER_MS)
#define RECONNECT_TRIES 100
#define OPTIONS_MAX 80 /* of a verb, with the common ones */

int cli_fail(const char *verb, struct error *err, bool json)
{
    int code = error_code(err) ? error_code(err) : EIO;
    const char *name = strerrorname_np(code);

    if (json) {
        json_t *j = json_pack("{s:{s:s, s:s}}", "error", "code", name ? name : "EIO", "message",
                              error_text(err));

        common_print(j);
        json_decref(j);
    } else {
        fprintf(stderr, "slipway%s%s: %s\n", verb ? " " : "", verb ? verb : "", error_text(err));
    }
    error_free(err);
    return error_exit_code(code);
}

static struct client_identity identity;

/* An environment variable that is not empty, or the fallback. */
static const char *environment(const char *name, const char *fallback)
{
    const char *value = getenv(name);

    return value && *value ? value : fallback;
}

/* The rest of the command line may be wrong; how to tell that must be known before. */
static void common_init(struct cli_common *common, const char *verb, int argc, char **argv)
{
    const char *socket = environment("SLIPWAY_SOCKET", SOCKET_DEFAULT);

    *common = (struct cli_common){.verb = verb, .socket = environment("SLIPWAY_SERVER", socket)};
    identity = (struct client_identity){.cert = environment("SLIPWAY_CERT", NULL),
                                        .key = environment("SLIPWAY_KEY", NULL),
                                        .ca = environment("SLIPWAY_CA", NULL)};
    client_identify(&identity);
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            common->json = true;
}

static int take_server(struct cli_common *common)
{
    common->socket = optarg;
    if (str_starts(optarg, "https://"))
        return -1;
    return common_usage(common, "--server wants https://HOST:PORT, not '%s'", optarg);
}

static int take_identity(const char **which)
{
    *which = optarg;
    client_identify(&identity);
    return -1;
}

static int take_common(struct cli_common *common, const struct cli_verb *verb, int key)
{
    switch (key) {
    case KEY_SOCKET:
        common->socket = optarg;
        return -1;
    case KEY_SERVER:
        return take_server(common);
    case KEY_CERT:
        return take_identity(&identity.cert);
    case KEY_KEY:
        return take_identity(&identity.key);
    case KEY_CA:
        return take_identity(&identity.ca);
    case KEY_JSON:
        common->json = true;
        return -1;
    case KEY_FOLLOW:
        common->follow = true;
        return -1;
    case KEY_DETACH:
        common->detach = true;
        return -1;
    case KEY_HELP:
        help_print_verb(verb);
        return EXIT_CODE_OK;
    default: /* KEY_VERSION */
        puts("slipway " SLIPWAY_VERSION);
        return EXIT_CODE_OK;
    }
}

int common_usage(const struct cli_common *common, const char *fmt, ...)
{
    struct error *err = NULL;
    char text[500];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    error_set(&err, EINVAL, "%s; see slipway %s --help", text, common->verb);
    return cli_fail(common->verb, err, common->json);
}

/* What getopt_long() needs, from the table. */
struct getopt_tables {
    struct option longs[OPTIONS_MAX + 1];
    char shorts[2 * OPTIONS_MAX + 2];
};

static void make_tables(const struct cli_verb *verb, struct getopt_tables *t)
{
    const struct cli_option *o;
    size_t n = 0, letters = 0;

    *t = (struct getopt_tables){.shorts = ":"};
    letters = 1;
    for (unsigned set = 0; (o = verb_options(verb, set)); set++)
        for (; o->name && n < OPTIONS_MAX; o++) {
            t->longs[n++] = (struct option){
                o->name, o->argument ? required_argument : no_argument, NULL, o->key};
            if (o->letter)
                t->shorts[letters++] = o->letter;
            if (o->letter && o->argument)
                t->shorts[letters++] = ':';
        }
}

static int key_of_letter(const struct cli_verb *verb, int key)
{
    const struct cli_option *o;

    for (unsigned set = 0; key < KEY_SOCKET && (o = verb_options(verb, set)); set++)
        for (; o->name; o++)
            if (o->letter == key)
                return o->key;
    return key;
}

static int check_arguments(const struct cli_common *common, const struct cli_verb *verb, int count)
{
    if (count >= verb->least && count <= verb->most)
        return -1;
    if (verb->most == 0)
        return common_usage(common, "no arguments are expected");
    return common_usage(common, "expected: slipway %s %s", verb->name, verb->arguments);
}

int common_parse(struct cli_common *common, const struct cli_verb *verb, int argc, char **argv,
                 common_take_fn *take, void *context)
{
    struct getopt_tables t;
    int key, r = -1;

    common_init(common, verb->name, argc, argv);
    make_tables(verb, &t);
    opterr = 0;
    while (r < 0 && (key = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
        if (key == '?')
            r = common_usage(common, "there is no option '%s'", argv[optind - 1]);
        else if (key == ':')
            r = common_usage(common, "a value is missing behind '%s'", argv[optind - 1]);
        else if (key < KEY_OWN && key >= KEY_SOCKET)
            r = take_common(common, verb, key);
        else
            r = take(common, key_of_letter(verb, key), context);
    }
    return r < 0 ? check_arguments(common, verb, argc - optind) : r;
}

bool common_follows(const struct cli_common *common)
{
    return !common->detach && (common->follow || isatty(STDERR_FILENO));
}

int common_fail(const struct cli_common *common, struct error *err)
{
    return cli_fail(common->verb, err, common->json);
}

void common_print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}

/* The migration; a slipwayd that is being restarted is waited for. */
static int get_patiently(const struct cli_common *common, const char *path, json_t **ret_job,
                         struct error **err)
{
    for (int i = 0;; i++) {
        _cleanup_error_ struct error *failure = NULL;
        int r = client_call(common->socket, "GET", path, NULL, ret_job, &failure);

        if (r != -ECONNREFUSED && r != -ECONNRESET)
            return r < 0 ? error_move(err, &failure) : r;
        if (i == RECONNECT_TRIES)
            return error_move(err, &failure);
        clock_sleep_ns(FOLLOW_PAUSE_NS);
    }
}

static void show(struct progress *progress, const char *name, const json_t *job)
{
    const json_t *p = json_object_get(job, "progress");
    const char *state = field_string(job, "state", "?");
    const char *phase = field_string(p, "phase", NULL);
    _cleanup_free_ char *label = phase && strcmp(phase, "copy") != 0
                                     ? str_format("%s: %s (%s)", name, state, phase)
                                     : str_format("%s: %s", name, state);

    progress_update(progress, label, (uint64_t)field_integer(p, "done_bytes", 0),
                    (uint64_t)field_integer(p, "total_bytes", 0));
}

static void print_outcome(const json_t *job)
{
    const char *name = field_string(job, "name", "?"), *state = field_string(job, "state", "?");

    printf("%s: %s\n", name, state);
    if (strcmp(state, "window") == 0)
        printf("  the VM runs here; 'slipway rollback %s' goes back, 'slipway commit %s' ends the "
               "time "
               "for that\n",
               name, name);
}

static int verdict(const struct cli_common *common, const json_t *job)
{
    const json_t *error = json_object_get(job, "error");
    struct error *err = NULL;

    if (common->json)
        common_print(job);
    if (!error) {
        bool cancelled = strcmp(field_string(job, "state", ""), "cancelled") == 0;

        if (!common->json)
            print_outcome(job);
        return cancelled && strcmp(common->verb, "cancel") != 0 ? EXIT_CODE_CANCELLED
                                                                : EXIT_CODE_OK;
    }
    error_set(&err, (int)field_integer(error, "code", EIO), "%s (the migration is %s)",
              field_string(error, "message", "it failed"), field_string(job, "state", "?"));
    if (common->json) {
        int code = error_exit_code(error_code(err));

        error_free(err);
        return code;
    }
    return common_fail(common, err);
}

int common_follow(const struct cli_common *common, const char *name)
{
    _cleanup_free_ char *path = client_path("migrations", name, NULL);
    struct progress *progress;
    struct error *err = NULL;
    json_t *job = NULL;
    int r;

    if (!common_follows(common))
        return EXIT_CODE_OK;
    progress = progress_new(common->json && !isatty(STDERR_FILENO));
    for (;;) {
        json_decref(job);
        job = NULL;
        r = get_patiently(common, path, &job, &err);
        if (r < 0 || !field_bool(job, "active", false))
            break;
        show(progress, name, job);
        clock_sleep_ns(FOLLOW_PAUSE_NS);
    }
    progress_end(progress);
    r = r < 0 ? common_fail(common, err) : verdict(common, job);
    json_decref(job);
    return r;
}

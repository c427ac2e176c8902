/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/fields.h"
#include "orchestrator/version.h"

#define FOLLOW_PAUSE_NS (300 * NS_PER_MS)
#define RECONNECT_TRIES 100

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
        fprintf(stderr, "slipway %s: %s\n", verb, error_text(err));
    }
    error_free(err);
    return error_exit_code(code);
}

void common_init(struct cli_common *common, const char *verb)
{
    const char *socket = getenv("SLIPWAY_SOCKET");

    *common = (struct cli_common){.verb = verb,
                                  .socket = socket && *socket ? socket : SOCKET_DEFAULT};
}

int common_take(struct cli_common *common, int key)
{
    switch (key) {
    case KEY_SOCKET:
        common->socket = optarg;
        return -1;
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
        cli_help();
        return EXIT_CODE_OK;
    case KEY_VERSION:
        puts("slipway " SLIPWAY_VERSION);
        return EXIT_CODE_OK;
    default:
        fputs("see slipway --help\n", stderr);
        return EXIT_CODE_USAGE;
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
    error_set(&err, EINVAL, "%s; see slipway --help", text);
    return cli_fail(common->verb, err, common->json);
}

int common_arguments(const struct cli_common *common, int argc, int count, const char *names)
{
    if (argc - optind == count)
        return -1;
    if (count == 0)
        return common_usage(common, "no arguments are expected");
    return common_usage(common, "expected: slipway %s %s", common->verb, names);
}

int common_parse(struct cli_common *common, const char *verb, int argc, char **argv, bool follows,
                 int count, const char *names)
{
    static const struct option plain[] = {COMMON_OPTIONS, {NULL}};
    static const struct option following[] = {COMMON_OPTIONS, FOLLOW_OPTIONS, {NULL}};
    int key, r = -1;

    common_init(common, verb);
    while (r < 0 && (key = getopt_long(argc, argv, "", follows ? following : plain, NULL)) != -1)
        r = common_take(common, key);
    return r < 0 && count >= 0 ? common_arguments(common, argc, count, names) : r;
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

static int verdict(const struct cli_common *common, const json_t *job)
{
    const json_t *error = json_object_get(job, "error");
    struct error *err = NULL;

    if (common->json)
        common_print(job);
    if (!error) {
        bool cancelled = strcmp(field_string(job, "state", ""), "cancelled") == 0;

        if (!common->json)
            printf("%s: %s\n", field_string(job, "name", "?"), field_string(job, "state", "?"));
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

    if (common->detach || (!common->follow && !isatty(STDERR_FILENO)))
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

/* SPDX-License-Identifier: Apache-2.0 */
/* slipway rehearse: morph and boot a draft of the latest generation, and throw it away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

#define PAUSE_NS (500 * NS_PER_MS)

enum rehearse_key { KEY_CHECK = KEY_OWN, KEY_TIMEOUT, KEY_KEEP, KEY_CONNECT, KEY_STOP };

static const struct cli_option rehearse_options[] = {
    {"check", "WHAT", KEY_CHECK,
     "the verdict: agent, running, console:REGEX, port:N (somebody\n"
     "listens there, as the guest agent tells), or auto (default:\n"
     "the guest agent where there is one)", "agent running auto", 0},
    {"timeout", "S", KEY_TIMEOUT, "how many seconds it has to come up (default 600)", NULL, 0},
    {"keep", NULL, KEY_KEEP, "leave the VM running when it came up", NULL, 0},
    {"connect", NULL, KEY_CONNECT,
     "on the networks it will have, not isolated: with --keep a copy\n"
     "to work with, while its source runs under the same address", NULL, 0},
    {"stop", NULL, KEY_STOP, "end a rehearsal, also one that was kept", NULL, 0},
    CLI_OPTIONS_END};

struct asked {
    struct cli_common common;
    json_t *body;
    bool stop;
};

static int take(struct cli_common *common, int key, void *context)
{
    struct asked *a = context;
    char *end;
    long long seconds;

    switch (key) {
    case KEY_CHECK:
        json_object_set_new(a->body, "check", json_string(optarg));
        return -1;
    case KEY_TIMEOUT:
        seconds = strtoll(optarg, &end, 10);
        if (end == optarg || *end)
            return common_usage(common, "'%s' is not a whole number", optarg);
        json_object_set_new(a->body, "timeout_s", json_integer(seconds));
        return -1;
    case KEY_KEEP:
        json_object_set_new(a->body, "keep", json_true());
        return -1;
    case KEY_CONNECT:
        json_object_set_new(a->body, "connect", json_true());
        return -1;
    default: /* KEY_STOP */
        a->stop = true;
        return -1;
    }
}

static void print_seconds(const json_t *rehearsal, const char *key, const char *label)
{
    const json_t *seconds = json_object_get(rehearsal, key);

    if (json_is_number(seconds))
        printf(", %s %.1f s", label, json_number_value(seconds));
}

static int outcome(const struct asked *a, const char *name, const json_t *rehearsal)
{
    const char *state = field_string(rehearsal, "state", "?");
    const char *error = field_string(rehearsal, "error", NULL);

    if (a->common.json) {
        common_print(rehearsal);
    } else {
        printf("%s: rehearsal %s", name, state);
        if (json_is_integer(json_object_get(rehearsal, "generation")))
            printf(", generation %lld", (long long)field_integer(rehearsal, "generation", 0));
        print_seconds(rehearsal, "morph_s", "morph");
        print_seconds(rehearsal, "boot_s", "boot");
        if (field_string(rehearsal, "how", NULL))
            printf(" (%s)", field_string(rehearsal, "how", ""));
        printf("%s%s\n", error ? ": " : "", error ? error : "");
        if (strcmp(state, "kept") == 0)
            printf("the VM %s-rehearsal runs on; 'slipway rehearse %s --stop' discards it\n", name,
                   name);
    }
    if (strcmp(state, "failed") == 0)
        return EXIT_CODE_FAILED;
    return strcmp(state, "stopped") == 0 ? EXIT_CODE_CANCELLED : EXIT_CODE_OK;
}

/* The latest rehearsal; a slipwayd that is being restarted is waited for. */
static int latest(const struct asked *a, const char *name, json_t **ret, struct error **err)
{
    _cleanup_free_ char *path = client_path("migrations", name, "rehearsals");

    for (int i = 0;; i++) {
        _cleanup_error_ struct error *failure = NULL;
        _cleanup_json_ json_t *answer = NULL;
        int r = client_call(a->common.socket, "GET", path, NULL, &answer, &failure);

        if (r == 0) {
            *ret = json_incref(json_array_get(json_object_get(answer, "rehearsals"), 0));
            return *ret ? 0 : error_set(err, ENOENT, "there is no rehearsal of '%s'", name);
        }
        if ((r != -ECONNREFUSED && r != -ECONNRESET) || i == 100)
            return error_move(err, &failure);
        clock_sleep_ns(PAUSE_NS);
    }
}

static int follow(const struct asked *a, const char *name)
{
    struct progress *progress = progress_new(a->common.json && !isatty(STDERR_FILENO));
    _cleanup_json_ json_t *rehearsal = NULL;
    struct error *err = NULL;
    int r;

    while ((r = latest(a, name, &rehearsal, &err)) == 0) {
        const char *state = field_string(rehearsal, "state", "?");
        _cleanup_free_ char *label = str_format("%s: rehearsal %s", name, state);

        if (!field_bool(rehearsal, "active", false) || (strcmp(state, "kept") == 0 && !a->stop))
            break;
        progress_update(progress, label, 0, 0);
        json_decref(rehearsal);
        rehearsal = NULL;
        clock_sleep_ns(PAUSE_NS);
    }
    progress_end(progress);
    return r < 0 ? common_fail(&a->common, err) : outcome(a, name, rehearsal);
}

static int begin(const struct asked *a, const char *name)
{
    _cleanup_free_ char *path = client_path("migrations", name, "rehearsal");
    _cleanup_json_ json_t *rehearsal = NULL;
    struct error *err = NULL;
    int r = client_call(a->common.socket, a->stop ? "DELETE" : "POST", path,
                        a->stop ? NULL : a->body, &rehearsal, &err);

    if (r < 0)
        return common_fail(&a->common, err);
    if (common_follows(&a->common))
        return follow(a, name);
    if (a->common.json)
        common_print(rehearsal);
    else
        printf("%s: rehearsal %s; 'slipway status %s' shows how it goes\n", name,
               a->stop ? "is being ended" : field_string(rehearsal, "state", "?"), name);
    return EXIT_CODE_OK;
}

static int run(int argc, char **argv)
{
    struct asked a = {.body = json_object()};
    int r = common_parse(&a.common, &verb_rehearse, argc, argv, take, &a);

    if (r < 0)
        r = begin(&a, argv[optind]);
    json_decref(a.body);
    return r;
}

const struct cli_verb verb_rehearse = {
    "rehearse", "NAME", 1, 1, "morph and boot a draft, isolated, and discard it", run,
    rehearse_options, CLI_FOLLOWS, "@migration"};

/* SPDX-License-Identifier: Apache-2.0 */
/* slipway migrate, set, start, sync, cutover, commit, rollback, cancel, remove */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/migrate-options.h"
#include "orchestrator/fields.h"

#define AGAIN_NS (200 * NS_PER_MS)

enum { KEY_FLAG = KEY_OWN };

static int migrate_parse(struct cli_common *common, json_t *body, int argc, char **argv)
{
    int r = common_parse(common, &verb_migrate, argc, argv, migrate_take, body);
    const char *slash;

    if (r >= 0)
        return r;
    slash = strchr(argv[optind], '/');
    if (!slash || slash == argv[optind] || !slash[1])
        return common_usage(common, "name the VM as SOURCE/VM, not '%s'", argv[optind]);
    json_object_set_new(body, "source", json_stringn(argv[optind], (size_t)(slash - argv[optind])));
    json_object_set_new(body, "vm", json_string(slash + 1));
    return -1;
}

static int started(const struct cli_common *common, const json_t *job)
{
    const char *name = field_string(job, "name", "");

    if (common_follows(common))
        return common_follow(common, name);
    if (common->json)
        common_print(job);
    else
        printf("%s: %s; 'slipway status %s' shows how it goes\n", name,
               field_string(job, "state", "?"), name);
    return EXIT_CODE_OK;
}

static int run_migrate(int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object(), *job = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = migrate_parse(&common, body, argc, argv);

    if (r >= 0)
        return r;
    r = client_call(common.socket, "POST", "/v1/migrations", body, &job, &err);
    return r < 0 ? common_fail(&common, err) : started(&common, job);
}

const struct cli_verb verb_migrate = {
    "migrate", "SOURCE/VM", 1, 1, "mirror a VM: the initial sync", run_migrate,
    migrate_options, CLI_FOLLOWS, "@vm"};

/* A delta is being copied: perhaps the schedule has begun it just now. */
static bool syncs_again(const struct cli_common *common, const char *name)
{
    _cleanup_free_ char *path = client_path("migrations", name, NULL);
    _cleanup_json_ json_t *job = NULL;

    return client_call(common->socket, "GET", path, NULL, &job, NULL) == 0 &&
           strcmp(field_string(job, "state", ""), "syncing") == 0 &&
           field_bool(job, "active", false) && json_is_integer(json_object_get(job, "generation"));
}

/* client_call() about a migration, as soon as the sync that runs has ended: when one runs is not for
 * whoever types to know. */
static int call_at_rest(const struct cli_common *common, const char *method, const char *path,
                        const char *name, json_t *body, json_t **ret_job, struct error **err)
{
    for (bool told = false;; told = true) {
        int r = client_call(common->socket, method, path, body, ret_job, err);

        if (r >= 0 || (r != -EPERM && r != -EBUSY) || !syncs_again(common, name))
            return r;
        *err = error_free(*err);
        if (!told)
            fprintf(stderr, "%s: waits for the end of the sync that runs\n", name);
        clock_sleep_ns(AGAIN_NS);
    }
}

static int post_verb(const struct cli_common *common, const char *name, json_t *body)
{
    _cleanup_free_ char *path = client_path("migrations", name, common->verb);
    bool patient = strcmp(common->verb, "cutover") == 0;
    _cleanup_json_ json_t *job = NULL;
    struct error *err = NULL;
    int r = patient ? call_at_rest(common, "POST", path, name, body, &job, &err)
                    : client_call(common->socket, "POST", path, body, &job, &err);

    return r < 0 ? common_fail(common, err) : started(common, job);
}

static int run_plain(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_common common;
    int r = common_parse(&common, verb, argc, argv, NULL, NULL);

    return r >= 0 ? r : post_verb(&common, argv[optind], NULL);
}

static int run_sync(int argc, char **argv)
{
    return run_plain(&verb_sync, argc, argv);
}

const struct cli_verb verb_sync = {
    "sync", "NAME", 1, 1, "copy what changed since", run_sync, NULL, CLI_FOLLOWS, "@migration"};

static int cutover_take(struct cli_common *common, int key, void *context)
{
    json_object_set_new(context, "instant", json_true());
    return -1;
}

static int run_cutover(int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object();
    struct cli_common common;
    int r = common_parse(&common, &verb_cutover, argc, argv, cutover_take, body);

    return r >= 0 ? r : post_verb(&common, argv[optind], json_object_size(body) ? body : NULL);
}

static const struct cli_option cutover_options[] = {
    {"instant", NULL, KEY_FLAG, INSTANT_HELP, NULL, 0}, CLI_OPTIONS_END};

const struct cli_verb verb_cutover = {
    "cutover", "NAME", 1, 1, "stop the source, last delta, morph, flip, start", run_cutover,
    cutover_options, CLI_FOLLOWS, "@migration"};

static int run_start(int argc, char **argv)
{
    return run_plain(&verb_start, argc, argv);
}

const struct cli_verb verb_start = {
    "start",   "NAME", 1,           1,           "begin a migration that was made for later",
    run_start, NULL,   CLI_FOLLOWS, "@migration"};

static int run_commit(int argc, char **argv)
{
    return run_plain(&verb_commit, argc, argv);
}

const struct cli_verb verb_commit = {"commit",
                                     "NAME",
                                     1,
                                     1,
                                     "after a cutover: there is no way back wanted any more",
                                     run_commit,
                                     NULL,
                                     CLI_FOLLOWS,
                                     "@migration"};

enum { KEY_FAILBACK = KEY_OWN, KEY_DISCARD };

static int rollback_take(struct cli_common *common, int key, void *context)
{
    json_object_set_new(context, "failback", json_boolean(key == KEY_FAILBACK));
    return -1;
}

static int run_rollback(int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object();
    struct cli_common common;
    int r = common_parse(&common, &verb_rollback, argc, argv, rollback_take, body);

    return r >= 0 ? r : post_verb(&common, argv[optind], json_object_size(body) ? body : NULL);
}

static const struct cli_option rollback_options[] = {
    {"failback", NULL, KEY_FAILBACK,
     "send what the VM has written back to its source first (default\n"
     "for a migration made with --failback)", NULL, 0},
    {"discard", NULL, KEY_DISCARD, "do not: the source is as it was at the cutover", NULL, 0},
    CLI_OPTIONS_END};

const struct cli_verb verb_rollback = {
    "rollback", "NAME", 1, 1, "after a cutover: stop the VM here, start its source", run_rollback,
    rollback_options, CLI_FOLLOWS, "@migration"};

static int run_set(int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object(), *job = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_set, argc, argv, migrate_take, body);

    if (r >= 0)
        return r;
    if (json_object_size(body) == 0)
        return common_usage(&common, "say what shall change, see slipway set --help");
    path = client_path("migrations", argv[optind], NULL);
    r = call_at_rest(&common, "PATCH", path, argv[optind], body, &job, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(job);
    return EXIT_CODE_OK;
}

const struct cli_verb verb_set = {
    "set",   "NAME",      1, 1,           "change what a migration was told, until its cutover",
    run_set, set_options, 0, "@migration"};

static int run_cancel(int argc, char **argv)
{
    return run_plain(&verb_cancel, argc, argv);
}

const struct cli_verb verb_cancel = {
    "cancel", "NAME", 1, 1, "give a migration up and clean", run_cancel, NULL, CLI_FOLLOWS,
    "@migration"};

static int remove_take(struct cli_common *common, int key, void *context)
{
    json_object_set_new(context, "vm", json_true());
    return -1;
}

static const struct cli_option remove_options[] = {
    {"with-vm", NULL, KEY_FLAG, "also the VM on the node, and its disks", NULL, 0},
    CLI_OPTIONS_END};

static int run_remove(int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object();
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_remove, argc, argv, remove_take, body);

    if (r >= 0)
        return r;
    path = client_path("migrations", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, json_object_size(body) ? body : NULL, NULL,
                    &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

const struct cli_verb verb_remove = {
    "remove", "NAME", 1, 1, "forget a finished migration", run_remove, remove_options, 0,
    "@migration"};

/* SPDX-License-Identifier: Apache-2.0 */
/* slipway migrate, sync, cutover, cancel, remove */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

#define INSTANT_HELP                                                                               \
    "do not wait for the last delta: the VM starts at once and what\n"                             \
    "is missing is fetched from the stopped source while it runs"

enum migrate_key {
    KEY_NAME = KEY_OWN, KEY_POOL, KEY_MAP_NETWORK, KEY_SHUTDOWN_POLICY, KEY_SHUTDOWN_TIMEOUT,
    KEY_ON_FAILURE, KEY_NO_MORPH, KEY_ACCEL, KEY_CONNECTIONS, KEY_BOOT_TIMEOUT, KEY_UUID,
    KEY_INSTANT, KEY_MORPH_OPTION
};

static const struct cli_option migrate_options[] = {
    {"name", "NAME", KEY_NAME,
     "of the migration and of the VM on the node (default: the VM's)", NULL, 0},
    {"pool", "DIR", KEY_POOL, "where the targets are made: DIR/NAME/DISK.raw", "@folder", 0},
    {"map-network", "SRC=DST", KEY_MAP_NETWORK,
     "network of the source = network of the node, bridge:NAME or\n"
     "none; may be repeated (default: the same name)", NULL, 0},
    {"shutdown-policy", "POLICY", KEY_SHUTDOWN_POLICY,
     "a guest that does not shut down: wait, force or fail (default)", "wait force fail", 0},
    {"shutdown-timeout", "S", KEY_SHUTDOWN_TIMEOUT, "how many seconds it has (default 300)", NULL,
     0},
    {"on-failure", "WHAT", KEY_ON_FAILURE,
     "a cutover that fails before the flip: restart the source\n"
     "(default) or keep it off", "restart keep", 0},
    {"no-morph", NULL, KEY_NO_MORPH, "do not change the guest", NULL, 0},
    {"morph-option", "OPTION", KEY_MORPH_OPTION,
     "of slipway-morph(8), such as dhcp or key=FILE; may be repeated", NULL, 0},
    {"instant", NULL, KEY_INSTANT, INSTANT_HELP, NULL, 0},
    {"accel", "ACCEL", KEY_ACCEL, "kvm, tcg or auto (default)", "auto kvm tcg", 0},
    {"connections", "N", KEY_CONNECTIONS, "NBD connections per disk, 1 to 16", NULL, 0},
    {"boot-timeout", "S", KEY_BOOT_TIMEOUT,
     "how many seconds the VM has to come up (default 600)", NULL, 0},
    {"uuid", "UUID", KEY_UUID, "of the VM on the node", NULL, 0},
    CLI_OPTIONS_END};

static int set_string(json_t *body, const char *field)
{
    return json_object_set_new(body, field, json_string(optarg)) == 0 ? -1 : EXIT_CODE_USAGE;
}

static int set_number(const struct cli_common *common, json_t *body, const char *field)
{
    char *end;
    long long n = strtoll(optarg, &end, 10);

    if (end == optarg || *end)
        return common_usage(common, "'%s' is not a whole number", optarg);
    json_object_set_new(body, field, json_integer(n));
    return -1;
}

/* SRC=DST; the last '=' divides, because names of networks on sources may hold one. */
static int map_network(const struct cli_common *common, json_t *body)
{
    const char *equals = strrchr(optarg, '=');
    json_t *networks = json_object_get(body, "networks");
    _cleanup_free_ char *from = NULL;

    if (!equals || equals == optarg || !equals[1])
        return common_usage(common, "--map-network takes SOURCE=DESTINATION, not '%s'", optarg);
    if (!networks) {
        networks = json_object();
        json_object_set_new(body, "networks", networks);
    }
    from = strndup(optarg, (size_t)(equals - optarg));
    json_object_set_new(networks, from, json_string(equals + 1));
    return -1;
}

/* "dhcp" or "key=FILE", with or without the hyphens. */
static int add_morph_option(json_t *body)
{
    json_t *options = json_object_get(body, "morph_options");
    _cleanup_free_ char *option =
        str_format("%s%s", str_starts(optarg, "--") ? "" : "--", optarg);

    if (!options) {
        options = json_array();
        json_object_set_new(body, "morph_options", options);
    }
    json_array_append_new(options, json_string(option));
    return -1;
}

static int migrate_take(struct cli_common *common, int key, void *context)
{
    json_t *body = context;

    switch (key) {
    case KEY_NAME:
        return set_string(body, "name");
    case KEY_POOL:
        return set_string(body, "pool");
    case KEY_SHUTDOWN_POLICY:
        return set_string(body, "shutdown_policy");
    case KEY_ON_FAILURE:
        return set_string(body, "on_failure");
    case KEY_ACCEL:
        return set_string(body, "accel");
    case KEY_UUID:
        return set_string(body, "uuid");
    case KEY_SHUTDOWN_TIMEOUT:
        return set_number(common, body, "shutdown_timeout_s");
    case KEY_BOOT_TIMEOUT:
        return set_number(common, body, "boot_timeout_s");
    case KEY_CONNECTIONS:
        return set_number(common, body, "connections");
    case KEY_MAP_NETWORK:
        return map_network(common, body);
    case KEY_INSTANT:
        json_object_set_new(body, "instant", json_true());
        return -1;
    case KEY_MORPH_OPTION:
        return add_morph_option(body);
    default: /* KEY_NO_MORPH */
        json_object_set_new(body, "morph", json_false());
        return -1;
    }
}

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

static int post_verb(const struct cli_common *common, const char *name, json_t *body)
{
    _cleanup_free_ char *path = client_path("migrations", name, common->verb);
    _cleanup_json_ json_t *job = NULL;
    struct error *err = NULL;
    int r = client_call(common->socket, "POST", path, body, &job, &err);

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
    {"instant", NULL, KEY_INSTANT, INSTANT_HELP, NULL, 0}, CLI_OPTIONS_END};

const struct cli_verb verb_cutover = {
    "cutover", "NAME", 1, 1, "stop the source, last delta, morph, flip, start", run_cutover,
    cutover_options, CLI_FOLLOWS, "@migration"};

static int run_cancel(int argc, char **argv)
{
    return run_plain(&verb_cancel, argc, argv);
}

const struct cli_verb verb_cancel = {
    "cancel", "NAME", 1, 1, "give a migration up and clean", run_cancel, NULL, CLI_FOLLOWS,
    "@migration"};

static int run_remove(int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_remove, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("migrations", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, NULL, NULL, &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

const struct cli_verb verb_remove = {
    "remove", "NAME", 1, 1, "forget a finished migration", run_remove, NULL, 0, "@migration"};

/* SPDX-License-Identifier: Apache-2.0 */
/* slipway migrate, sync, cutover, cancel, remove */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

enum migrate_key {
    KEY_NAME = KEY_OWN, KEY_POOL, KEY_MAP_NETWORK, KEY_SHUTDOWN_POLICY, KEY_SHUTDOWN_TIMEOUT,
    KEY_ON_FAILURE, KEY_NO_MORPH, KEY_ACCEL, KEY_CONNECTIONS, KEY_BOOT_TIMEOUT, KEY_UUID,
    KEY_INSTANT, KEY_MORPH_OPTION
};

static const struct option migrate_options[] = {
    COMMON_OPTIONS,
    FOLLOW_OPTIONS,
    {"name", required_argument, NULL, KEY_NAME},
    {"pool", required_argument, NULL, KEY_POOL},
    {"map-network", required_argument, NULL, KEY_MAP_NETWORK},
    {"shutdown-policy", required_argument, NULL, KEY_SHUTDOWN_POLICY},
    {"shutdown-timeout", required_argument, NULL, KEY_SHUTDOWN_TIMEOUT},
    {"on-failure", required_argument, NULL, KEY_ON_FAILURE},
    {"no-morph", no_argument, NULL, KEY_NO_MORPH},
    {"morph-option", required_argument, NULL, KEY_MORPH_OPTION},
    {"instant", no_argument, NULL, KEY_INSTANT},
    {"accel", required_argument, NULL, KEY_ACCEL},
    {"connections", required_argument, NULL, KEY_CONNECTIONS},
    {"boot-timeout", required_argument, NULL, KEY_BOOT_TIMEOUT},
    {"uuid", required_argument, NULL, KEY_UUID},
    {NULL}};

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

static int migrate_take(struct cli_common *common, json_t *body, int key)
{
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
    case KEY_NO_MORPH:
        json_object_set_new(body, "morph", json_false());
        return -1;
    default:
        return common_take(common, key);
    }
}

static int migrate_parse(struct cli_common *common, json_t *body, int argc, char **argv)
{
    int key, r = -1;
    const char *slash;

    common_init(common, "migrate");
    while (r < 0 && (key = getopt_long(argc, argv, "", migrate_options, NULL)) != -1)
        r = migrate_take(common, body, key);
    if (r < 0)
        r = common_arguments(common, argc, 1, "SOURCE/VM");
    if (r >= 0)
        return r;
    slash = strchr(argv[optind], '/');
    if (!slash || slash == argv[optind] || !slash[1])
        return common_usage(common, "name the VM as SOURCE/VM, not '%s'", argv[optind]);
    json_object_set_new(body, "source", json_stringn(argv[optind], (size_t)(slash - argv[optind])));
    json_object_set_new(body, "vm", json_string(slash + 1));
    return -1;
}

/* Whether common_follow() is going to print the outcome. */
static bool follows(const struct cli_common *common)
{
    return !common->detach && (common->follow || isatty(STDERR_FILENO));
}

static int started(const struct cli_common *common, const json_t *job)
{
    const char *name = field_string(job, "name", "");

    if (follows(common))
        return common_follow(common, name);
    if (common->json)
        common_print(job);
    else
        printf("%s: %s; 'slipway status %s' shows how it goes\n", name,
               field_string(job, "state", "?"), name);
    return EXIT_CODE_OK;
}

int cli_migrate(int argc, char **argv)
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

static int post_verb(const struct cli_common *common, const char *name, json_t *body)
{
    _cleanup_free_ char *path = client_path("migrations", name, common->verb);
    _cleanup_json_ json_t *job = NULL;
    struct error *err = NULL;
    int r = client_call(common->socket, "POST", path, body, &job, &err);

    return r < 0 ? common_fail(common, err) : started(common, job);
}

static int run_verb(const char *verb, int argc, char **argv)
{
    struct cli_common common;
    int r = common_parse(&common, verb, argc, argv, true, 1, "NAME");

    return r >= 0 ? r : post_verb(&common, argv[optind], NULL);
}

int cli_sync(int argc, char **argv)
{
    return run_verb("sync", argc, argv);
}

int cli_cutover(int argc, char **argv)
{
    static const struct option options[] = {
        COMMON_OPTIONS, FOLLOW_OPTIONS, {"instant", no_argument, NULL, KEY_INSTANT}, {NULL}};
    _cleanup_json_ json_t *body = NULL;
    struct cli_common common;
    int key, r = -1;

    common_init(&common, "cutover");
    while (r < 0 && (key = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (key == KEY_INSTANT && !body)
            body = json_pack("{s:b}", "instant", 1);
        else if (key != KEY_INSTANT)
            r = common_take(&common, key);
    }
    if (r < 0)
        r = common_arguments(&common, argc, 1, "NAME");
    return r >= 0 ? r : post_verb(&common, argv[optind], body);
}

int cli_cancel(int argc, char **argv)
{
    return run_verb("cancel", argc, argv);
}

int cli_remove(int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, "remove", argc, argv, false, 1, "NAME");

    if (r >= 0)
        return r;
    path = client_path("migrations", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, NULL, NULL, &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

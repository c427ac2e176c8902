/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/migrate-options.h"

#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/calendar.h"

enum migrate_key {
    KEY_NAME = KEY_OWN, KEY_POOL, KEY_STORAGE, KEY_MAP_NETWORK, KEY_SHUTDOWN_POLICY,
    KEY_SHUTDOWN_TIMEOUT, KEY_ON_FAILURE, KEY_NO_MORPH, KEY_ACCEL, KEY_CONNECTIONS,
    KEY_BOOT_TIMEOUT, KEY_UUID, KEY_INSTANT, KEY_MORPH_OPTION, KEY_REPLICATE, KEY_SYNC_INTERVAL,
    KEY_CUTOVER, KEY_WINDOW, KEY_BUDGET, KEY_OVER_BUDGET, KEY_PRIORITY, KEY_AFTER, KEY_GROUP,
    KEY_VCPUS, KEY_MEMORY, KEY_FORCE, KEY_DISK_BUS, KEY_MACHINE, KEY_DHCP, KEY_SSH_KEY,
    KEY_DROP_CREDENTIALS, KEY_NO_START, KEY_COMMIT_WINDOW, KEY_WINDOW_END, KEY_FAILBACK,
    KEY_SOURCE_AFTER, KEY_ON_SOURCE_ALIVE, KEY_REHEARSE_EVERY, KEY_REHEARSE_CHECK
};

enum value_kind { TEXT, NUMBER, SECONDS, BYTES, TRUE, FALSE, LIST, MAP, MORPH };

/* What an option becomes. */
static const struct {
    int key;
    const char *field;
    enum value_kind kind;
} fields[] = {
    {KEY_NAME, "name", TEXT},
    {KEY_POOL, "pool", TEXT},
    {KEY_STORAGE, "storage", MAP},
    {KEY_MAP_NETWORK, "networks", MAP},
    {KEY_SHUTDOWN_POLICY, "shutdown_policy", TEXT},
    {KEY_SHUTDOWN_TIMEOUT, "shutdown_timeout_s", SECONDS},
    {KEY_ON_FAILURE, "on_failure", TEXT},
    {KEY_NO_MORPH, "morph", FALSE},
    {KEY_ACCEL, "accel", TEXT},
    {KEY_CONNECTIONS, "connections", NUMBER},
    {KEY_BOOT_TIMEOUT, "boot_timeout_s", SECONDS},
    {KEY_UUID, "uuid", TEXT},
    {KEY_INSTANT, "instant", TRUE},
    {KEY_MORPH_OPTION, "morph_options", MORPH},
    {KEY_REPLICATE, "replicate", TEXT},
    {KEY_SYNC_INTERVAL, "sync_interval", TEXT},
    {KEY_CUTOVER, "cutover", TEXT},
    {KEY_WINDOW, "windows", LIST},
    {KEY_BUDGET, "downtime_budget_s", SECONDS},
    {KEY_OVER_BUDGET, "over_budget", TEXT},
    {KEY_PRIORITY, "priority", NUMBER},
    {KEY_AFTER, "after", LIST},
    {KEY_GROUP, "group", TEXT},
    {KEY_VCPUS, "vcpus", NUMBER},
    {KEY_MEMORY, "memory_bytes", BYTES},
    {KEY_FORCE, "force", TRUE},
    {KEY_DISK_BUS, "disk_bus", TEXT},
    {KEY_MACHINE, "machine", TEXT},
    {KEY_DHCP, "dhcp", TRUE},
    {KEY_SSH_KEY, "ssh_key", TEXT},
    {KEY_DROP_CREDENTIALS, "keep_credentials", FALSE},
    {KEY_NO_START, "start", FALSE},
    {KEY_COMMIT_WINDOW, "commit_window_s", SECONDS},
    {KEY_WINDOW_END, "window_end", TEXT},
    {KEY_FAILBACK, "failback", TRUE},
    {KEY_SOURCE_AFTER, "source_after_commit", TEXT},
    {KEY_ON_SOURCE_ALIVE, "on_source_alive", TEXT},
    {KEY_REHEARSE_EVERY, "rehearse_every", NUMBER},
    {KEY_REHEARSE_CHECK, "rehearse_check", TEXT},
};

/* Those that may be changed until the cutover. */
#define LATE_OPTIONS                                                                               \
    {"sync-interval", "WHEN", KEY_SYNC_INTERVAL,                                                   \
     "adaptive (default), manual, a time such as 15m, or\n"                                        \
     "\"cron: M H DAY MONTH WEEKDAY\"", "adaptive manual 15m 1h", 0},                              \
    {"cutover", "WHEN", KEY_CUTOVER,                                                               \
     "manual (default), auto (as soon as mirror, window and budget\n"                              \
     "allow), or a time such as 2026-12-01T22:00:00+01:00", "manual auto", 0},                     \
    {"window", "WINDOW", KEY_WINDOW,                                                               \
     "when a cutover may begin by itself: \"mon-fri 22:00-05:00\",\n"                              \
     "\"sat,sun 00:00-24:00 UTC\"; may be repeated", NULL, 0},                                     \
    {"downtime-budget", "TIME", KEY_BUDGET,                                                        \
     "a cutover by itself waits until its forecast fits", NULL, 0},                                \
    {"over-budget", "WHAT", KEY_OVER_BUDGET,                                                       \
     "when it never fits: wait (default), instant or give-up", "wait instant give-up", 0},         \
    {"priority", "N", KEY_PRIORITY, "who goes first, 0 to 100 (default 50)", NULL, 0},             \
    {"after", "NAME", KEY_AFTER,                                                                   \
     "a migration whose VM must be up before this one's cutover\n"                                 \
     "begins; may be repeated", "@migration", 0},                                                  \
    {"group", "NAME", KEY_GROUP, "all VMs of a group stop and flip as one, or none does", NULL,    \
     0},                                                                                           \
    {"vcpus", "N", KEY_VCPUS, "instead of the source's number", NULL, 0},                          \
    {"memory", "SIZE", KEY_MEMORY, "instead of the source's: 4G", NULL, 0},                        \
    {"force", NULL, KEY_FORCE, "both may be less than the source's", NULL, 0},                     \
    {"disk-bus", "BUS", KEY_DISK_BUS,                                                              \
     "virtio, scsi, sata or ide (default: what the guest has drivers\n"                            \
     "for)", "virtio scsi sata ide", 0},                                                           \
    {"machine", "TYPE", KEY_MACHINE, "q35 or pc (default: the source's)", "q35 pc", 0},            \
    {"shutdown-policy", "POLICY", KEY_SHUTDOWN_POLICY,                                             \
     "a guest that does not shut down: wait, force or fail (default)", "wait force fail", 0},      \
    {"shutdown-timeout", "TIME", KEY_SHUTDOWN_TIMEOUT, "how long it has (default 300s)", NULL, 0}, \
    {"on-failure", "WHAT", KEY_ON_FAILURE,                                                         \
     "a cutover that fails before the flip: restart the source\n"                                  \
     "(default) or keep it off", "restart keep", 0},                                               \
    {"instant", NULL, KEY_INSTANT, INSTANT_HELP, NULL, 0},                                         \
    {"no-start", NULL, KEY_NO_START, "define the VM on the node, but do not start it", NULL, 0},   \
    {"boot-timeout", "TIME", KEY_BOOT_TIMEOUT,                                                     \
     "how long the VM has to come up (default 600s)", NULL, 0},                                    \
    {"commit-window", "TIME", KEY_COMMIT_WINDOW,                                                   \
     "how long one can roll back after the cutover: 24h (default),\n"                              \
     "none, or a time", "24h none", 0},                                                            \
    {"window-end", "WHAT", KEY_WINDOW_END,                                                         \
     "what happens then: commit (default), rollback, or wait", "commit rollback wait", 0},         \
    {"failback", NULL, KEY_FAILBACK,                                                               \
     "until the commit the VM runs through the engine, so that a\n"                                \
     "rollback can send back what it wrote", NULL, 0},                                             \
    {"source-after-commit", "WHAT", KEY_SOURCE_AFTER,                                              \
     "the VM there: keep (default, off), rename or delete", "keep rename delete", 0},              \
    {"on-source-alive", "WHAT", KEY_ON_SOURCE_ALIVE,                                               \
     "when the source's VM comes back to life before the commit:\n"                                \
     "alarm (default), or stop-target too", "alarm stop-target", 0},                               \
    {"rehearse-every", "N", KEY_REHEARSE_EVERY, "rehearse after each N syncs", NULL, 0},           \
    {"rehearse-check", "WHAT", KEY_REHEARSE_CHECK,                                                 \
     "verdict of those: auto (default), agent, running,\n"                                         \
     "console:REGEX or port:N", "auto agent running", 0}

const struct cli_option set_options[] = {LATE_OPTIONS, CLI_OPTIONS_END};

const struct cli_option migrate_options[] = {
    {"name", "NAME", KEY_NAME,
     "of the migration and of the VM on the node (default: the VM's)", NULL, 0},
    {"replicate", "WHEN", KEY_REPLICATE,
     "when the first sync begins: now (default), later (by slipway\n"
     "start), or a time such as 2026-12-01T22:00:00+01:00", "now later", 0},
    {"pool", "DIR", KEY_POOL, "where the targets are made: DIR/NAME/DISK.raw", "@folder", 0},
    {"storage", "DISK=DIR", KEY_STORAGE, "another pool for that disk; may be repeated", NULL, 0},
    {"map-network", "SRC=DST", KEY_MAP_NETWORK,
     "network of the source = network of the node, bridge:NAME or\n"
     "none; may be repeated (default: the same name)", NULL, 0},
    {"no-morph", NULL, KEY_NO_MORPH, "do not change the guest", NULL, 0},
    {"morph-option", "OPTION", KEY_MORPH_OPTION,
     "of slipway-morph(8), such as dhcp or key=FILE; may be repeated", NULL, 0},
    {"dhcp", NULL, KEY_DHCP, "the guest's cards ask for their addresses", NULL, 0},
    {"ssh-key", "FILE", KEY_SSH_KEY, "FILE or USER=FILE: a public key to put into the guest",
     "@file", 0},
    {"drop-credentials", NULL, KEY_DROP_CREDENTIALS, "lock the passwords of the guest's users",
     NULL, 0},
    {"accel", "ACCEL", KEY_ACCEL, "kvm, tcg or auto (default)", "auto kvm tcg", 0},
    {"connections", "N", KEY_CONNECTIONS, "NBD connections per disk, 1 to 16", NULL, 0},
    {"uuid", "UUID", KEY_UUID, "of the VM on the node", NULL, 0},
    LATE_OPTIONS,
    CLI_OPTIONS_END};

static int set_number(const struct cli_common *common, json_t *body, const char *field)
{
    char *end;
    long long n = strtoll(optarg, &end, 10);

    if (end == optarg || *end)
        return common_usage(common, "'%s' is not a whole number", optarg);
    json_object_set_new(body, field, json_integer(n));
    return -1;
}

/* "none", a number of seconds, or a time with a unit. */
static int set_seconds(const struct cli_common *common, json_t *body, const char *field)
{
    struct error *err = NULL;
    int64_t ns = 0;

    if (strcmp(optarg, "none") == 0)
        return json_object_set_new(body, field, json_integer(0)), -1;
    if (optarg[0] && strspn(optarg, "0123456789") == strlen(optarg))
        return set_number(common, body, field);
    if (calendar_interval_parse(optarg, &ns, &err) < 0)
        return common_fail(common, err);
    json_object_set_new(body, field, json_integer(ns / (int64_t)NS_PER_S));
    return -1;
}

static int set_bytes(const struct cli_common *common, json_t *body, const char *field)
{
    uint64_t bytes;

    if (str_to_bytes(optarg, &bytes) < 0 || bytes > INT64_MAX)
        return common_usage(common, "'%s' is not a size such as 4G", optarg);
    json_object_set_new(body, field, json_integer((json_int_t)bytes));
    return -1;
}

/* The member of body, which is made when it is missing. */
static json_t *member(json_t *body, const char *field, json_t *(*make)(void))
{
    if (!json_object_get(body, field))
        json_object_set_new(body, field, make());
    return json_object_get(body, field);
}

/* KEY=VALUE; the last '=' divides, because names of networks on sources may hold one. */
static int add_pair(const struct cli_common *common, json_t *body, const char *field)
{
    const char *equals = strrchr(optarg, '=');
    _cleanup_free_ char *from = NULL;

    if (!equals || equals == optarg || !equals[1])
        return common_usage(common, "'%s' must be two parts with '=' between them", optarg);
    from = strndup(optarg, (size_t)(equals - optarg));
    json_object_set_new(member(body, field, json_object), from, json_string(equals + 1));
    return -1;
}

static int take(struct cli_common *common, json_t *body, const char *field, enum value_kind kind)
{
    switch (kind) {
    case TEXT:
        json_object_set_new(body, field, json_string(optarg));
        return -1;
    case NUMBER:
        return set_number(common, body, field);
    case SECONDS:
        return set_seconds(common, body, field);
    case BYTES:
        return set_bytes(common, body, field);
    case TRUE:
    case FALSE:
        json_object_set_new(body, field, json_boolean(kind == TRUE));
        return -1;
    case LIST:
        json_array_append_new(member(body, field, json_array), json_string(optarg));
        return -1;
    case MAP:
        return add_pair(common, body, field);
    default: /* MORPH: "dhcp" or "key=FILE", with or without the hyphens */
        json_array_append_new(member(body, field, json_array),
                              json_sprintf("%s%s", str_starts(optarg, "--") ? "" : "--", optarg));
        return -1;
    }
}

int migrate_take(struct cli_common *common, int key, void *context)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].key == key)
            return take(common, context, fields[i].field, fields[i].kind);
    return EXIT_CODE_USAGE;
}

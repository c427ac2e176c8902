/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a migration, and the checks that belong to one of them alone. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/calendar.h"
#include "orchestrator/params.h"

#define SECONDS_MAX (366 * 86400)

static const char *const stop_policies[] = {"wait", "force", "fail", NULL};
static const char *const failure_policies[] = {"restart", "keep", NULL};
static const char *const accels[] = {"auto", "kvm", "tcg", NULL};
static const char *const budget_policies[] = {"wait", "instant", "give-up", NULL};
static const char *const window_ends[] = {"commit", "rollback", "wait", NULL};
static const char *const source_ends[] = {"keep", "rename", "delete", NULL};
static const char *const alive_policies[] = {"alarm", "stop-target", NULL};
static const char *const disk_buses[] = {"virtio", "scsi", "sata", "ide", NULL};
static const char *const machines[] = {"q35", "pc", NULL};

static int names_check(const json_t *value, const char *name, struct error **err)
{
    json_t *item;
    size_t i;
    int r = 0;

    json_array_foreach((json_t *)value, i, item) {
        if (!json_is_string(item))
            return error_set(err, EINVAL, "%s must hold names of migrations", name);
        r = name_check("migration", json_string_value(item), err);
        if (r < 0)
            return error_prefix(err, "%s", name);
    }
    return r;
}

static int one_name_check(const json_t *value, const char *name, struct error **err)
{
    return name_check(name, json_string_value(value), err);
}

static int networks_check(const json_t *networks, const char *name, struct error **err)
{
    const char *from;
    json_t *to;

    json_object_foreach((json_t *)networks, from, to)
        if (!json_is_string(to) || !*json_string_value(to) || !*from)
            return error_set(err, EINVAL, "the network mapping of '%s' must name a destination "
                             "network, \"bridge:NAME\" or \"none\"", from);
    return 0;
}

static int path_check(const json_t *value, const char *name, struct error **err)
{
    const char *path = json_string_value(value);

    return path && path[0] == '/' ? 0 : error_set(err, EINVAL, "%s '%s' must be an absolute path",
                                                  name, path ? path : "");
}

/* FILE or USER=FILE */
static int key_check(const json_t *value, const char *name, struct error **err)
{
    const char *text = json_string_value(value), *file = strchr(text, '=');

    if (text[0] == '/' || (file && file != text && file[1] == '/'))
        return 0;
    return error_set(err, EINVAL, "%s '%s' must be FILE or USER=FILE with an absolute path", name,
                     text);
}

static int storage_check(const json_t *value, const char *name, struct error **err)
{
    const char *disk;
    json_t *pool;

    json_object_foreach((json_t *)value, disk, pool)
        if (!json_is_string(pool) || json_string_value(pool)[0] != '/')
            return error_set(err, EINVAL, "%s of disk '%s' must be the absolute path of a folder",
                             name, disk);
    return 0;
}

static int not_empty_check(const json_t *value, const char *name, struct error **err)
{
    return *json_string_value(value) ? 0 : error_set(err, EINVAL, "%s must not be empty", name);
}

/* What slipwayd itself tells slipway-morph. */
static bool is_ours(const char *name, size_t length)
{
    static const char *const ours[] = {"disk", "nic", "dry-run", "wait", "record", "replay", "json",
                                       "accel", "check", "help", "version"};

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strlen(ours[i]) == length && memcmp(ours[i], name, length) == 0)
            return true;
    return false;
}

/* The rest is told by slipway-morph itself, which knows its options. */
static int morph_options_check(const json_t *options, const char *name, struct error **err)
{
    json_t *option;
    size_t i;

    json_array_foreach((json_t *)options, i, option) {
        const char *text = json_string_value(option);
        size_t length = text && str_starts(text, "--") ? strcspn(text + 2, "=") : 0;

        if (length == 0)
            return error_set(err, EINVAL, "morph_options must hold options of slipway-morph, each "
                             "a string such as \"--dhcp\" or \"--key=/etc/slipway/web.key\"");
        if (is_ours(text + 2, length))
            return error_set(err, EINVAL, "morph_options cannot hold '%s': slipwayd gives that "
                             "option itself", text);
    }
    return 0;
}

static int rehearse_check_check(const json_t *value, const char *name, struct error **err)
{
    const char *text = json_string_value(value);
    char *end;
    long port = str_starts(text, "port:") ? strtol(text + 5, &end, 10) : 0;

    if (strcmp(text, "auto") == 0 || strcmp(text, "agent") == 0 || strcmp(text, "running") == 0 ||
        (str_starts(text, "console:") && text[8]) ||
        (port >= 1 && port <= 65535 && isdigit((unsigned char)text[5]) && !*end))
        return 0;
    return error_set(err, EINVAL,
                     "%s cannot be '%s': choose auto, agent, running, console:REGEX or "
                     "port:NUMBER",
                     name, text);
}

static int replicate_check(const json_t *value, const char *name, struct error **err)
{
    const char *text = json_string_value(value);
    int64_t when;

    if (strcmp(text, "now") == 0 || strcmp(text, "later") == 0)
        return 0;
    if (calendar_time_parse(text, &when, NULL) == 0)
        return 0;
    return error_set(err, EINVAL, "%s cannot be '%s': choose now, later, or a time such as "
                     "2026-12-01T22:00:00+01:00", name, text);
}

static int cutover_check(const json_t *value, const char *name, struct error **err)
{
    const char *text = json_string_value(value);
    int64_t when;

    if (strcmp(text, "manual") == 0 || strcmp(text, "auto") == 0)
        return 0;
    if (calendar_time_parse(text, &when, NULL) == 0)
        return 0;
    return error_set(err, EINVAL, "%s cannot be '%s': choose manual, auto, or a time such as "
                     "2026-12-01T22:00:00+01:00", name, text);
}

static int interval_check(const json_t *value, const char *name, struct error **err)
{
    struct calendar_rhythm rhythm;
    int r = calendar_rhythm_parse(json_string_value(value), &rhythm, err);

    return r < 0 ? error_prefix(err, "%s", name) : 0;
}

static int windows_check(const json_t *value, const char *name, struct error **err)
{
    struct calendar_window window;
    json_t *item;
    size_t i;

    json_array_foreach((json_t *)value, i, item) {
        if (!json_is_string(item))
            return error_set(err, EINVAL, "%s must hold texts such as \"mon-fri 22:00-05:00\"",
                             name);
        if (calendar_window_parse(json_string_value(item), &window, err) < 0)
            return error_prefix(err, "%s", name), -EINVAL;
    }
    return 0;
}

#define STRING(n, ...)                                                                             \
    {                                                                                              \
        .name = n, .kind = FIELD_STRING, __VA_ARGS__                                               \
    }
#define BOOL(n, ...) {.name = n, .kind = FIELD_BOOL, __VA_ARGS__}
#define INTEGER(n, lo, hi, ...)                                                                    \
    {                                                                                              \
        .name = n, .kind = FIELD_INTEGER, .min = lo, .max = hi, __VA_ARGS__                        \
    }

const struct param migration_params[] = {
    STRING("source", .required = true, .what = "name of the source, see slipway source list"),
    STRING("vm", .required = true, .check = not_empty_check, .what = "name or id of the VM there"),
    STRING("name", .what = "of the migration and of the VM on the node (default: the VM's)"),
    STRING("plan", .check = one_name_check, .what = "the plan it comes from"),
    STRING("group", .check = one_name_check, .late = true,
           .what = "all VMs of a group stop and flip as one, or none does"),
    INTEGER("priority", 0, 100, .fallback = "50", .late = true,
            .what = "who goes first: the higher number"),
    {.name = "after",
     .kind = FIELD_ARRAY,
     .check = names_check,
     .late = true,
     .what = "migrations whose VMs must be up on the node before this one's cutover begins"},
    STRING("replicate", .fallback = "\"now\"", .check = replicate_check,
           .what = "when the first sync begins: now, later (by "
                   "slipway start), or a time such as 2026-12-01T22:00:00+01:00"),
    STRING("sync_interval", .fallback = "\"adaptive\"", .check = interval_check, .late = true,
           .what = "adaptive (by the measured rate of change), manual, a time such as 15m, or "
                   "\"cron: M H DAY MONTH WEEKDAY\""),
    STRING("cutover", .fallback = "\"manual\"", .check = cutover_check, .late = true,
           .what = "manual, auto (as soon as mirror, window and budget allow), or a time"),
    {.name = "windows",
     .kind = FIELD_ARRAY,
     .check = windows_check,
     .late = true,
     .what = "when a cutover may begin by itself: [\"mon-fri 22:00-05:00\", \"sat,sun "
             "00:00-24:00 UTC\"]; none: at any time"},
    INTEGER("downtime_budget_s", 0, SECONDS_MAX, .fallback = "0", .late = true,
            .what =
                "a cutover that is not asked for by hand waits until its forecast fits; 0: none"),
    STRING("over_budget", .fallback = "\"wait\"", .choices = budget_policies, .late = true,
           .what = "when the forecast never fits its budget: wait, instant or give-up"),
    STRING("pool", .check = path_check, .what = "folder where the targets are made"),
    {.name = "storage",
     .kind = FIELD_OBJECT,
     .check = storage_check,
     .what = "another pool for a disk: {\"vdb\": \"/bulk\"}"},
    {.name = "networks",
     .kind = FIELD_OBJECT,
     .fallback = "{}",
     .check = networks_check,
     .what = "network of the source to network of the node, \"bridge:NAME\" or \"none\""},
    INTEGER("vcpus", 1, 4096, .late = true, .what = "instead of the source's number"),
    INTEGER("memory_bytes", INT64_C(16) << 20, INT64_C(1) << 46, .late = true,
            .what = "instead of the source's"),
    BOOL("force", .late = true, .what = "vcpus and memory_bytes may be less than the source's"),
    STRING("disk_bus", .choices = disk_buses, .late = true,
           .what = "instead of what the guest has drivers for: virtio, scsi, sata or ide"),
    STRING("machine", .choices = machines, .late = true,
           .what = "q35 or pc, instead of the source's"),
    STRING("uuid", .what = "of the VM on the node (default: the source's)"),
    STRING("accel", .fallback = "\"auto\"", .choices = accels, .what = "auto, kvm or tcg"),
    BOOL("morph", .fallback = "true", .what = "change the guest so that it boots on KVM"),
    {.name = "morph_options",
     .kind = FIELD_ARRAY,
     .check = morph_options_check,
     .what = "more options of slipway-morph(8): [\"--key=/etc/slipway/web.key\"]"},
    BOOL("dhcp", .what = "the guest's cards ask for their addresses instead of keeping them"),
    STRING("ssh_key", .check = key_check,
           .what = "FILE or USER=FILE: a public key to put into the guest (of root unless told)"),
    BOOL("keep_credentials", .what = "false: passwords and host keys of the guest are dropped"),
    STRING("shutdown_policy", .fallback = "\"fail\"", .choices = stop_policies, .late = true,
           .what = "a guest that does not shut down: wait, force it off, or fail"),
    INTEGER("shutdown_timeout_s", 1, 86400, .fallback = "300", .late = true,
            .what = "how long it has for that"),
    STRING("on_failure", .fallback = "\"restart\"", .choices = failure_policies, .late = true,
           .what = "a cutover that fails before the flip: restart the source, or keep it off"),
    BOOL("instant", .fallback = "false", .late = true,
         .what = "the VM starts at once; what is missing comes while it runs"),
    BOOL("start", .fallback = "true", .late = true, .what = "start the VM on the node"),
    INTEGER("boot_timeout_s", 1, 86400, .fallback = "600", .late = true,
            .what = "how long the VM has to come up"),
    INTEGER("commit_window_s", 0, SECONDS_MAX, .fallback = "86400", .late = true,
            .what = "how long after the cutover one can roll back; 0: not at all"),
    STRING("window_end", .fallback = "\"commit\"", .choices = window_ends, .late = true,
           .what = "what happens then: commit, rollback, or wait for somebody"),
    BOOL("failback", .fallback = "false", .late = true,
         .what =
             "until the commit the VM runs through the engine, so that a rollback can send back "
             "what it wrote"),
    STRING("source_after_commit", .fallback = "\"keep\"", .choices = source_ends, .late = true,
           .what = "the source's VM after the commit: keep (off), rename or delete"),
    STRING("on_source_alive", .fallback = "\"alarm\"", .choices = alive_policies, .late = true,
           .what =
               "when the source's VM comes back to life in the window: alarm, or stop-target too"),
    INTEGER("rehearse_every", 0, 1000000, .fallback = "0", .late = true,
            .what = "rehearse after each so many syncs; 0: only when asked"),
    STRING("rehearse_check", .fallback = "\"auto\"", .check = rehearse_check_check, .late = true,
           .what = "verdict of those: auto, agent, running, console:REGEX or port:NUMBER"),
    INTEGER("connections", 1, 16, .what = "NBD connections per disk"),
    {.name = NULL},
};

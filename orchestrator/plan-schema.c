/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan-schema.h"

#include <string.h>

#include "base/str.h"

#define DAY_S 86400

static const struct schema_field migration_fields[] = {
    {"target_name", SCHEMA_PATTERN, .fixed = true, .fallback = "{name}",
     .what = "name of the migration and of the VM on the node; {name} is the VM's on the source"},
    {"uuid", SCHEMA_UUID, .fixed = true,
     .what = "of the VM on the node; only where one VM is selected"},
    {"pool", SCHEMA_PATH, .fixed = true, .fallback = "slipwayd's --pool",
     .what = "folder in which the targets are made: POOL/NAME/DISK.raw"},
    {"storage", SCHEMA_PATHS, .fixed = true,
     .what = "disk of the VM (vda) → folder, where it is not the pool"},
    {"networks", SCHEMA_TEXTS, .fixed = true,
     .what = "network of the source → network of the node, bridge:NAME or none; wins over that of "
             "the plan"},
    {"priority", SCHEMA_INTEGER, .min = 0, .max = 100, .fallback = "50",
     .what = "who comes first when not all can be served; higher is earlier"},
    {"after", SCHEMA_NAMES,
     .what = "VMs, migrations or groups that must be up on the node before this one's cutover"},
    {"group", SCHEMA_NAME,
     .what = "consistent group: its members are stopped and flipped as one, or none of them is"},
    {"replicate", SCHEMA_TIME, .fixed = true, .choices = "now, later", .fallback = "now",
     .what = "when the initial sync begins; later: when `slipway start` asks for it"},
    {"sync_interval", SCHEMA_RHYTHM, .choices = "adaptive, manual", .fallback = "adaptive",
     .what = "how often what changed is copied; adaptive: by dirty rate and cost of a snapshot"},
    {"cutover", SCHEMA_TIME, .choices = "manual, auto", .fallback = "manual",
     .what = "when the VM moves; auto: as soon as the mirror is there and budget and window fit"},
    {"windows", SCHEMA_WINDOWS, .fallback = "any time",
     .what = "when a cutover that nobody asked for by hand may begin"},
    {"downtime_budget_s", SCHEMA_SECONDS, .min = 0, .max = 366 * DAY_S, .fallback = "0: none",
     .what = "how long the VM may be away; deltas get shorter until the forecast fits"},
    {"over_budget", SCHEMA_CHOICE, .choices = "wait, instant, give-up", .fallback = "wait",
     .what = "what happens when the forecast never fits the budget"},
    {"commit_window_s", SCHEMA_SECONDS, .min = 0, .max = 366 * DAY_S, .fallback = "1d",
     .what = "how long after the cutover one can roll back; 0: not at all"},
    {"window_end", SCHEMA_CHOICE, .choices = "commit, rollback, wait", .fallback = "commit",
     .what = "what happens when that time is over"},
    {"failback", SCHEMA_BOOL, .fallback = "false",
     .what = "a rollback sends back what the VM wrote on the node"},
    {"source_after_commit", SCHEMA_CHOICE, .choices = "keep, rename, delete", .fallback = "keep",
     .what = "what becomes of the VM on the source after the commit"},
    {"on_source_alive", SCHEMA_CHOICE, .choices = "alarm, stop-target", .fallback = "alarm",
     .what = "what happens when the VM comes back to life on the source"},
    {"shutdown_policy", SCHEMA_CHOICE, .choices = "wait, force, fail", .fallback = "fail",
     .what = "what happens to a guest that does not shut down in time"},
    {"shutdown_timeout_s", SCHEMA_SECONDS, .min = 1, .max = DAY_S, .fallback = "5m",
     .what = "how long a guest has to shut down"},
    {"on_failure", SCHEMA_CHOICE, .choices = "restart, keep", .fallback = "restart",
     .what = "a cutover that fails before the flip restarts the source or keeps it off"},
    {"instant", SCHEMA_BOOL, .fallback = "false",
     .what = "the VM starts before its last delta is here; what is missing comes meanwhile"},
    {"morph", SCHEMA_BOOL, .fixed = true, .fallback = "true",
     .what = "change the guest so that it boots on KVM"},
    {"morph_options", SCHEMA_OPTIONS, .fixed = true, .what = "options of slipway-morph(8)"},
    {"dhcp", SCHEMA_BOOL, .fixed = true, .fallback = "false",
     .what = "the guest gets its addresses by DHCP; otherwise fixed ones are kept"},
    {"ssh_key", SCHEMA_KEYFILE, .fixed = true,
     .what = "public key that may log in, as root unless told"},
    {"keep_credentials", SCHEMA_BOOL, .fixed = true, .fallback = "true",
     .what = "keep the passwords and keys of the guest"},
    {"vcpus", SCHEMA_INTEGER, .min = 1, .max = 4096, .fallback = "as the source",
     .what = "CPUs of the VM on the node; fewer than the source's only with force"},
    {"memory_bytes", SCHEMA_BYTES, .min = INT64_C(16) << 20, .max = INT64_C(1) << 46,
     .fallback = "as the source",
     .what = "memory of the VM on the node; less than the source's only with force"},
    {"force", SCHEMA_BOOL, .fallback = "false", .what = "allow fewer CPUs and less memory"},
    {"disk_bus", SCHEMA_CHOICE, .choices = "virtio, scsi, sata, ide", .fallback = "by the guest",
     .what = "bus of the VM's disks on the node"},
    {"machine", SCHEMA_CHOICE, .choices = "q35, pc", .fallback = "as the source",
     .what = "machine type on the node"},
    {"start", SCHEMA_BOOL, .fallback = "true", .what = "start the VM on the node"},
    {"accel", SCHEMA_CHOICE, .fixed = true, .choices = "auto, kvm, tcg", .fallback = "auto",
     .what = "what runs the VM on the node"},
    {"connections", SCHEMA_INTEGER, .fixed = true, .min = 1, .max = 16, .fallback = "by the engine",
     .what = "NBD connections per disk"},
    {"boot_timeout_s", SCHEMA_SECONDS, .min = 1, .max = DAY_S, .fallback = "10m",
     .what = "how long the VM has to come up on the node"},
    {"rehearse_every", SCHEMA_INTEGER, .min = 0, .max = 1000000, .fallback = "0: never",
     .what = "rehearse the cutover after each so many syncs"},
    {"rehearse_check", SCHEMA_VERDICT, .choices = "auto, agent, running", .fallback = "auto",
     .what = "by what a rehearsal is judged"},
    {NULL},
};

static const struct schema_field where_fields[] = {
    {"state", SCHEMA_CHOICE, .choices = "running, off, paused", .what = "power state of the VM"},
    {"os", SCHEMA_GLOBS, .what = "guest OS as the source names it"},
    {"arch", SCHEMA_GLOBS, .what = "x86_64, aarch64, …"},
    {"firmware", SCHEMA_CHOICE, .choices = "bios, uefi", .what = "how the VM boots"},
    {"network", SCHEMA_GLOBS, .what = "a network that some NIC of the VM is plugged into"},
    {"vcpus", SCHEMA_COUNTS, .what = "CPUs"},
    {"memory_bytes", SCHEMA_SIZES, .what = "memory"},
    {"disks", SCHEMA_COUNTS, .what = "number of disks"},
    {"disk_bytes", SCHEMA_SIZES, .what = "size of all disks together"},
    {NULL},
};

static const struct schema_object where_object = {"where", {where_fields}};

static const struct schema_field selector_fields[] = {
    {"name", SCHEMA_TEXT, .what = "this VM of the source, by its name or uuid"},
    {"match", SCHEMA_GLOBS, .what = "VMs whose name fits"},
    {"where", SCHEMA_OBJECT, .object = &where_object, .what = "VMs that are so; all must hold"},
    {"except", SCHEMA_GLOBS, .what = "but not these"},
    {NULL},
};

static const struct schema_object selector_object = {
    "an entry of vms", {selector_fields, migration_fields}};

static const struct schema_field rule_fields[] = {
    {"when", SCHEMA_WINDOWS, .fallback = "any time", .what = "when this rule counts"},
    {"bandwidth", SCHEMA_SPEED, .fallback = "unlimited", .what = "what syncs may read in a second"},
    {"iops", SCHEMA_INTEGER, .min = 1, .max = INT64_C(1) << 32, .fallback = "unlimited",
     .what = "how many reads they may make in a second"},
    {"syncs", SCHEMA_INTEGER, .min = 1, .max = 10000, .fallback = "unlimited",
     .what = "how many may run at the same time"},
    {NULL},
};

static const struct schema_object rule_object = {"a rule", {rule_fields}};

static const struct schema_field limit_fields[] = {
    {"scope", SCHEMA_CHOICE, .choices = "all, source, host, network, node", .required = true,
     .what = "what the syncs have in common that share the limit"},
    {"name", SCHEMA_TEXT, .fallback = "of a source: the plan's; otherwise each",
     .what = "a source, a source's host, a network as ADDRESS/BITS, or a node"},
    {"rules", SCHEMA_LIST, .object = &rule_object, .required = true,
     .what = "the first whose time it is counts"},
    {"also_cutover", SCHEMA_BOOL, .fallback = "false",
     .what = "the last delta of a cutover keeps to the limit, too"},
    {NULL},
};

static const struct schema_object limit_object = {"an entry of limits", {limit_fields}};

const struct schema_object plan_schema_migration = {"a migration", {migration_fields}};

static const struct schema_field plan_fields[] = {
    {"plan", SCHEMA_NAME, .required = true, .what = "name of the plan"},
    {"source", SCHEMA_NAME, .required = true, .what = "the source whose VMs it moves"},
    {"networks", SCHEMA_TEXTS,
     .what = "network of the source → network of the node, bridge:NAME or none; each network of "
             "each selected VM must be here"},
    {"storage", SCHEMA_PATHS,
     .what = "folder or pool of the source, or disk → folder on the node; the longest folder wins"},
    {"limits", SCHEMA_LIST, .object = &limit_object,
     .what = "limits of syncs, as `slipway limit set` sets them; they hold for other plans, too"},
    {"defaults", SCHEMA_OBJECT, .object = &plan_schema_migration,
     .what = "fields for every VM of the plan"},
    {"groups", SCHEMA_OBJECTS, .object = &plan_schema_migration,
     .what = "consistent groups with fields for their members; win over defaults"},
    {"vms", SCHEMA_LIST, .object = &selector_object, .required = true,
     .what = "which VMs, with fields for them; a later entry wins over an earlier one"},
    {"except", SCHEMA_GLOBS, .what = "VMs that the plan leaves alone, whatever selects them"},
    {NULL},
};

const struct schema_object plan_schema = {"a plan", {plan_fields}};

void schema_each(const struct schema_object *object,
                 void (*fn)(const struct schema_field *field, void *context), void *context)
{
    for (size_t i = 0; object->tables[i]; i++)
        for (const struct schema_field *f = object->tables[i]; f->name; f++)
            fn(f, context);
}

const struct schema_field *schema_find(const struct schema_object *object, const char *name)
{
    for (size_t i = 0; object->tables[i]; i++)
        for (const struct schema_field *f = object->tables[i]; f->name; f++)
            if (strcmp(f->name, name) == 0)
                return f;
    return NULL;
}

/* What stands for a kind in sentences; %s: the choices. */
static const char *const kind_words[SCHEMA_KIND_COUNT] = {
    [SCHEMA_TEXT] = "a text",
    [SCHEMA_NAME] = "1 to 40 letters, digits, '.', '_' and '-' that begin with a letter or digit",
    [SCHEMA_PATTERN] = "a name, in which {name} may stand for that of the VM",
    [SCHEMA_GLOB] = "a pattern such as \"web-*\"",
    [SCHEMA_GLOBS] = "a pattern such as \"web-*\", or a list of them",
    [SCHEMA_NAMES] = "a name, or a list of names",
    [SCHEMA_PATH] = "an absolute path",
    [SCHEMA_KEYFILE] = "FILE or USER=FILE, with an absolute path",
    [SCHEMA_UUID] = "a UUID such as 6f0d2f5c-3c1e-4f55-9f1c-0d4a8a3b7e21",
    [SCHEMA_BOOL] = "true or false",
    [SCHEMA_BYTES] = "a number of bytes, or a size such as 8G or 512M",
    [SCHEMA_TIME] = "%s, or a time such as 2026-12-01T22:00:00+01:00",
    [SCHEMA_RHYTHM] = "%s, a length of time such as 15m, or \"cron: 0 4 * * *\"",
    [SCHEMA_WINDOWS] = "a window such as \"mon-fri 22:00-05:00\", or a list of them",
    [SCHEMA_SPEED] = "bytes per second such as 100M, bits such as 200Mbit, medium, fast or "
                     "unlimited",
    [SCHEMA_VERDICT] = "%s, \"console:REGEX\" or \"port:NUMBER\"",
    [SCHEMA_OPTIONS] = "a list of options of slipway-morph such as \"--dhcp\"",
    [SCHEMA_TEXTS] = "fields whose values are names",
    [SCHEMA_PATHS] = "fields whose values are absolute paths",
    [SCHEMA_CHOICE] = "%s",
    [SCHEMA_COUNTS] = "a number, or a comparison such as \"<= 4\", or a list of them",
    [SCHEMA_SIZES] = "a size, or a comparison such as \"<= 8G\", or a list of them",
    [SCHEMA_OBJECT] = "fields",
    [SCHEMA_OBJECTS] = "names, each with fields",
    [SCHEMA_LIST] = "a list with at least one entry",
};

char *schema_allowed(const struct schema_field *f)
{
    const char *words = kind_words[f->kind] ? kind_words[f->kind] : "", *hole = strstr(words, "%s");

    if (f->kind == SCHEMA_INTEGER)
        return str_format("a whole number between %lld and %lld", (long long)f->min,
                          (long long)f->max);
    if (f->kind == SCHEMA_SECONDS)
        return str_format("seconds, %lld to %lld, or a length of time such as 30s, 5m or 2h",
                          (long long)f->min, (long long)f->max);
    if (!hole)
        return str_dup(words);
    return str_format("%.*s%s%s", (int)(hole - words), words, f->choices, hole + 2);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "orchestrator/calendar.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"

#define MESSAGE_BYTES 600

void findings_init(struct findings *findings)
{
    *findings = (struct findings){json_array(), json_array()};
}

void findings_done(struct findings *findings)
{
    json_decref(findings->reasons);
    json_decref(findings->warnings);
    *findings = (struct findings){0};
}

static void __attribute__((format(printf, 3, 0)))
add(json_t *list, const char *check, const char *fmt, va_list ap)
{
    char text[MESSAGE_BYTES];
    json_t *message;

    vsnprintf(text, sizeof(text), fmt, ap);
    message = json_string(text);
    if (!message) /* not UTF-8: a name of somebody else's */
        message = json_string("it cannot be said in UTF-8");
    json_array_append_new(list, json_pack("{s:s, s:o}", "check", check, "message", message));
}

void finding_reason(struct findings *findings, const char *check, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(findings->reasons, check, fmt, ap);
    va_end(ap);
}

void finding_warning(struct findings *findings, const char *check, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(findings->warnings, check, fmt, ap);
    va_end(ap);
}

int check_disks(const json_t *description, struct error **err)
{
    json_t *disks = json_object_get(description, "disks"), *disk;
    const char *vm = field_string(description, "name", "?");
    size_t i;

    if (json_array_size(disks) == 0)
        return error_set(err, EINVAL, "VM %s has no disks, so there is nothing to mirror", vm);
    json_array_foreach(disks, i, disk)
        if (field_integer(disk, "size_bytes", 0) <= 0)
            return error_set(err, EINVAL, "disk %s of VM %s has no size",
                             field_string(disk, "name", "?"), vm);
    return 0;
}

/* A provider that knows why tells it with the disk (cbt_why). */
static void check_tracking(const json_t *description, struct findings *findings)
{
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(description, "disks"), i, disk) {
        const char *why = field_string(disk, "cbt_why", NULL);

        if (!field_bool(disk, "cbt", false))
            finding_warning(findings, "cbt", "changes of disk %s (%s) are not tracked%s%s: each "
                            "sync reads all of it and compares", field_string(disk, "name", "?"),
                            field_string(disk, "format", "?"), why ? " because " : "",
                            why ? why : "");
    }
}

/* libvirt makes no checkpoint of a VM that has snapshots, and the other way round. */
static void check_snapshots(const json_t *description, struct findings *findings)
{
    int64_t snapshots = field_integer(description, "snapshots", 0);
    int64_t checkpoints = field_integer(description, "checkpoints", 0);

    if (snapshots > 0)
        finding_warning(findings, "snapshots", "the VM has %lld snapshot%s on the source: while "
                        "they are there changes may not be tracked, and they do not move with it",
                        (long long)snapshots, snapshots == 1 ? "" : "s");
    if (checkpoints > 0)
        finding_warning(findings, "snapshots", "the VM has %lld checkpoint%s of somebody else's, "
                        "such as a backup's: they stay on the source", (long long)checkpoints,
                        checkpoints == 1 ? "" : "s");
}

void check_source_vm(const json_t *description, struct findings *findings)
{
    _cleanup_error_ struct error *err = NULL;

    if (*field_string(description, "denied", ""))
        finding_reason(findings, "privileges", "the source does not let us work with the VM: %s",
                       field_string(description, "denied", ""));
    if (check_disks(description, &err) < 0)
        finding_reason(findings, "disks", "%s", error_text(err));
    check_tracking(description, findings);
    check_snapshots(description, findings);
    if (!*field_string(description, "os_hint", ""))
        finding_warning(findings, "guest", "the source does not say which system the guest is: it "
                        "is unknown until the first morph");
}

static bool is_bridge_there(const char *bridge)
{
    _cleanup_free_ char *path = str_format("/sys/class/net/%s", bridge);
    struct stat st;

    return !strchr(bridge, '/') && stat(path, &st) == 0;
}

static void check_network(const char *network, const json_t *node, struct findings *findings)
{
    static const char *const always[] = {"none", "user", "isolated"};
    json_t *active = json_object_get(json_object_get(node, "networks"), network);

    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (strcmp(network, always[i]) == 0)
            return;
    if (str_starts(network, "bridge:")) {
        if (!is_bridge_there(network + strlen("bridge:")))
            finding_reason(findings, "networks", "the node has no bridge '%s'; make it, or map to "
                           "another network", network + strlen("bridge:"));
    } else if (!active) {
        finding_reason(findings, "networks", "the node has no network '%s'; define it, or map to "
                       "another one, bridge:NAME or none", network);
    } else if (!json_is_true(active)) {
        finding_reason(findings, "networks", "network '%s' of the node is not started; 'virsh "
                       "net-start %s' does it", network, network);
    }
}

static void check_networks(const json_t *params, const json_t *description, const json_t *node,
                           struct findings *findings)
{
    _cleanup_json_ json_t *networks = NULL, *seen = json_object();
    _cleanup_error_ struct error *err = NULL;
    const char *from;
    json_t *to;

    if (params_networks(params, description, &networks, &err) < 0) {
        finding_reason(findings, "networks", "%s", error_text(err));
        return;
    }
    json_object_foreach(networks, from, to) {
        if (json_object_get(seen, json_string_value(to)))
            continue;
        json_object_set_new(seen, json_string_value(to), json_true());
        check_network(json_string_value(to), node, findings);
    }
}

static void check_firmware(const json_t *description, const json_t *node,
                           struct findings *findings)
{
    const char *arch = field_string(description, "arch", "x86_64");
    json_t *able = json_object_get(json_object_get(node, "archs"), arch);

    if (!able) {
        finding_reason(findings, "arch", "the node has no QEMU for %s; install qemu-system for it, "
                       "or choose another node", arch);
        return;
    }
    if (strcmp(field_string(description, "firmware", "bios"), "uefi") == 0 &&
        !field_bool(able, "uefi", false))
        finding_reason(findings, "firmware", "the VM boots by UEFI, for which the node has no "
                       "firmware; install ovmf");
    else if (field_bool(description, "secure_boot", false) &&
             !field_bool(able, "secure_boot", false))
        finding_reason(findings, "firmware", "the VM uses Secure Boot, for which the node has no "
                       "firmware; install ovmf with Secure Boot");
}

/* Without KVM a VM runs many times slower. */
static void check_accel(const json_t *params, const json_t *description, const json_t *node,
                        struct findings *findings)
{
    const char *arch = field_string(description, "arch", "x86_64");
    const char *accel = field_string(params, "accel", "auto");
    json_t *able = json_object_get(json_object_get(node, "archs"), arch);

    if (!able || field_bool(able, "kvm", true) || strcmp(accel, "tcg") == 0)
        return;
    if (strcmp(accel, "kvm") == 0)
        finding_reason(findings, "accel", "the node has no KVM for %s: switch virtualisation on in "
                       "its firmware, or choose accel tcg", arch);
    else
        finding_warning(findings, "accel", "the node has no KVM for %s: the VM will be emulated, "
                        "which is slow", arch);
}

static void check_size(const json_t *params, const json_t *description, const json_t *node,
                       struct findings *findings)
{
    int64_t memory = field_integer(params, "memory_bytes",
                                   field_integer(description, "memory_bytes", 0));
    int64_t vcpus = field_integer(params, "vcpus", field_integer(description, "vcpus", 0));
    int64_t has = field_integer(node, "memory_bytes", 0), cpus = field_integer(node, "vcpus", 0);
    int64_t available = field_integer(node, "memory_free_bytes", has);
    char wanted[32], there[32];

    str_from_bytes((uint64_t)memory, wanted, sizeof(wanted));
    if (has > 0 && memory > has)
        finding_reason(findings, "memory", "the VM wants %s of memory, the node has %s", wanted,
                       str_from_bytes((uint64_t)has, there, sizeof(there)));
    else if (has > 0 && memory > available)
        finding_warning(findings, "memory", "the VM wants %s of memory, the node has %s free now",
                        wanted, str_from_bytes((uint64_t)available, there, sizeof(there)));
    if (cpus > 0 && vcpus > cpus)
        finding_warning(findings, "cpu", "the VM has %lld CPUs, the node %lld", (long long)vcpus,
                        (long long)cpus);
}

/* "7.2.15" against "8.0": negative, 0 or positive; 0 also for what is no version. */
static int version_compare(const char *a, const char *b)
{
    if (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b))
        return 0;
    while (*a || *b) {
        char *end_a, *end_b;
        long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);

        if (x != y)
            return x < y ? -1 : 1;
        if (end_a == a && end_b == b)
            break;
        a = *end_a == '.' ? end_a + 1 : end_a;
        b = *end_b == '.' ? end_b + 1 : end_b;
    }
    return 0;
}

/* A guest that ran with a newer QEMU may find devices an older one does not have. */
static void check_versions(const json_t *node, const json_t *source, struct findings *findings)
{
    const char *here = field_string(node, "qemu", NULL);
    const char *there = field_string(source, "qemu", NULL);

    if (here && there && version_compare(here, there) < 0)
        finding_warning(findings, "versions", "QEMU of the node (%s) is older than that of the "
                        "source (%s): the VM gets the older hardware", here, there);
}

void check_placement(const json_t *params, const json_t *description, const json_t *node,
                     const json_t *source, struct findings *findings)
{
    _cleanup_error_ struct error *err = NULL;

    if (params_check_vm(params, description, &err) < 0)
        finding_reason(findings, "params", "%s", error_text(err));
    check_networks(params, description, node, findings);
    check_firmware(description, node, findings);
    check_accel(params, description, node, findings);
    check_size(params, description, node, findings);
    check_versions(node, source, findings);
}

#define WINDOWS_MAX 64

/* The windows of a migration; those that cannot be read were refused before. */
static size_t windows_of(const json_t *params, struct calendar_window *windows)
{
    size_t count = 0, i;
    json_t *text;

    json_array_foreach(json_object_get(params, "windows"), i, text)
        if (count < WINDOWS_MAX && json_is_string(text) &&
            calendar_window_parse(json_string_value(text), &windows[count], NULL) == 0)
            count++;
    return count;
}

void check_schedule(const json_t *params, int64_t wall_ns, struct findings *findings)
{
    struct calendar_window windows[WINDOWS_MAX];
    size_t count = windows_of(params, windows);
    const char *cutover = field_string(params, "cutover", "manual");
    char text[CALENDAR_TEXT];
    int64_t at;

    if (calendar_time_parse(cutover, &at, NULL) < 0)
        return;
    if (at < wall_ns)
        finding_warning(findings, "schedule", "the time of the cutover, %s, is over: it begins as "
                        "soon as the mirror is there", calendar_text(at, text));
    else if (!calendar_windows_contain(windows, count, at))
        finding_warning(findings, "schedule", "no window is open at the time of the cutover: it "
                        "waits until %s",
                        calendar_text(calendar_windows_next(windows, count, at), text));
}

void check_identity(const json_t *params, const json_t *description, const json_t *node,
                    struct findings *findings)
{
    const char *name = field_string(params, "name", ""), *other;
    const char *uuid = field_string(params, "uuid", field_string(description, "uuid", NULL));
    json_t *vms = json_object_get(node, "vms"), *value;

    if (json_object_get(vms, name))
        finding_reason(findings, "name", "the node has a VM named '%s' already; remove that, or "
                       "choose another target_name", name);
    json_object_foreach(vms, other, value)
        if (uuid && strcmp(other, name) != 0 && json_is_string(value) &&
            strcasecmp(json_string_value(value), uuid) == 0)
            finding_reason(findings, "uuid", "VM '%s' of the node has the uuid %s already; give "
                           "this one another uuid", other, uuid);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/hints.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/drivertable.h"

/* Major and minor of a version like "6.1.0-9-amd64" as 6001; 0 when it has none. */
static int kernel_number(const struct facts *facts)
{
    unsigned major = 0, minor = 0;

    if (facts->kernel_count == 0 ||
        sscanf(facts->kernels[facts->kernel_count - 1].version, "%4u.%4u", &major, &minor) != 2)
        return 0;
    return (int)(MIN(major, 1000u) * 1000 + MIN(minor, 999u));
}

/* NT 6.2 as 6002. */
static int windows_number(const struct facts *facts)
{
    unsigned major = 0, minor = 0;

    if (sscanf(facts->os.version, "%4u.%4u", &major, &minor) < 1)
        return 0;
    return (int)(MIN(major, 1000u) * 1000 + MIN(minor, 999u));
}

static bool is_windows_11(const struct facts *facts)
{
    return facts_is_windows(facts) && strstr(facts->os.pretty, "Windows 11") != NULL;
}

/* The third line of /etc/adjtime says how the hardware clock is kept. */
static bool clock_is_local(const struct facts *facts)
{
    _cleanup_free_ char *text = NULL;
    const char *line;

    if (facts_is_windows(facts))
        return !facts->clock_utc;
    if (tree_text(&facts->tree, "/etc/adjtime", &text, NULL) <= 0)
        return false;
    line = strchr(text, '\n');
    line = line ? strchr(line + 1, '\n') : NULL;
    return line && str_starts(line + 1, "LOCAL");
}

/* "8.5" as "8" for systems whose releases libosinfo knows by their first number only. */
static char *osinfo_url(const char *vendor, const char *id, const char *version, bool minor)
{
    size_t length = minor ? strlen(version) : strcspn(version, ".");

    if (strspn(version, "0123456789.") != strlen(version) || length == 0)
        return str_dup("");
    return str_format("http://%s/%s/%.*s", vendor, id, (int)length, version);
}

/* libosinfo's last part of a name, by the name that drivers have for the system. */
static char *windows_osinfo(const struct facts *facts)
{
    static const struct {
        const char *system, *id;
    } others[] = {{"w7", "7"}, {"w8", "8"}, {"w8.1", "8.1"}, {"w10", "10"}, {"w11", "11"}};
    const char *system = facts->windows ? drivertable_system(facts->windows) : "";

    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(system, others[i].system) == 0)
            system = others[i].id;
    return *system ? str_format("http://microsoft.com/win/%s", system) : str_dup("");
}

static char *osinfo_id(const struct facts *facts)
{
    static const struct {
        const char *id, *vendor, *name;
        bool minor;
    } known[] = {
        {"debian", "debian.org", "debian", false},
        {"ubuntu", "ubuntu.com", "ubuntu", true},
        {"rhel", "redhat.com", "rhel", true},
        {"centos", "centos.org", "centos", false},
        {"rocky", "rockylinux.org", "rocky", false},
        {"almalinux", "almalinux.org", "almalinux", false},
        {"ol", "oracle.com", "ol", true},
        {"fedora", "fedoraproject.org", "fedora", false},
        {"sles", "suse.com", "sle", true},
        {"opensuse-leap", "opensuse.org", "opensuse", true},
        {"alpine", "alpinelinux.org", "alpinelinux", true},
    };
    const struct os *os = &facts->os;

    if (facts_is_windows(facts))
        return windows_osinfo(facts);
    for (size_t i = 0; os->id && i < ARRAY_SIZE(known); i++)
        if (strcmp(os->id, known[i].id) == 0)
            return osinfo_url(known[i].vendor, known[i].name, os->version, known[i].minor);
    if (os->id && strcmp(os->id, "arch") == 0)
        return str_dup("http://archlinux.org/archlinux/rolling");
    return str_dup("");
}

/* Old systems have been tried on the old chipset only; the rest may keep what they had. */
static const char *machine_of(const struct facts *facts)
{
    if (facts_is_windows(facts)) {
        if (is_windows_11(facts))
            return "q35";
        return windows_number(facts) < 6001 ? "pc" : NULL;
    }
    return kernel_number(facts) > 0 && kernel_number(facts) < 3000 ? "pc" : NULL;
}

/* AHCI is known to everything from Windows Vista and Linux 2.6.19 on. */
static const char *disk_bus(const struct facts *facts)
{
    if (facts->virtio_disk)
        return "virtio";
    if (facts->firmware == FIRMWARE_UEFI)
        return "sata";
    return facts_is_windows(facts) && windows_number(facts) < 6000 ? "ide" : "sata";
}

static const char *nic_model(const struct facts *facts)
{
    if (facts->virtio_net)
        return "virtio";
    if (facts_is_windows(facts))
        return windows_number(facts) < 6000 ? "rtl8139" : "e1000e";
    return kernel_number(facts) >= 3000 ? "e1000e" : "e1000";
}

void hints_make(const struct facts *facts, struct plan *plan, struct hints *ret)
{
    *ret = (struct hints){
        .machine = machine_of(facts),
        .disk_bus = disk_bus(facts),
        .nic_model = nic_model(facts),
        .video = "vga", /* the one that needs no driver */
        .clock = clock_is_local(facts) ? "localtime" : "utc",
        .secure_boot = facts->secure_boot,
        .tpm = is_windows_11(facts),
        .hyperv = facts_is_windows(facts) && windows_number(facts) >= 6000,
        .osinfo = osinfo_id(facts),
    };
    if (facts->firmware == FIRMWARE_UEFI || facts->firmware == FIRMWARE_BIOS)
        ret->firmware = facts->firmware == FIRMWARE_UEFI ? "uefi" : "bios";
    if (strcmp(ret->disk_bus, "virtio") != 0)
        plan_warn(plan, "hints",
                  "the guest has no virtio disk driver: its disks have to be on %s, which is "
                  "slower",
                  ret->disk_bus);
    if (strcmp(ret->nic_model, "virtio") != 0)
        plan_warn(plan, "hints",
                  "the guest has no virtio network driver: its cards have to be %s, which is "
                  "slower",
                  ret->nic_model);
}

void hints_done(struct hints *hints)
{
    free(hints->osinfo);
    *hints = (struct hints){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio drivers.  Windows reads its disk before it can install a driver, so the disk drivers
 * are made known in the registry by hand: as services that start with the system, and as what
 * drives their PCI devices: in CriticalDeviceDatabase up to Windows 7, in DriverDatabase from 8 on
 * (where the values are those that virt-v2v found out).  All driver packages are put where the
 * first boot installs them properly.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/driverset.h"
#include "morph/drivertable.h"
#include "morph/windows-edit.h"
#include "morph/windows-engine.h"

#define CHANGE "drivers"
#define SCSI_CLASS "{4D36E97B-E325-11CE-BFC1-08002BE10318}"
#define STAGE "Slipway/drivers"
#define DEVICE_PATH "Microsoft\\Windows\\CurrentVersion"

struct disk_driver {
    const char *service;
    /* Both generations of the device, each with and without the subsystem. */
    const char *devices[4];
};

static const struct disk_driver disk_drivers[] = {
    {"viostor",
     {"VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", "VEN_1AF4&DEV_1001&REV_00",
      "VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", "VEN_1AF4&DEV_1042&REV_01"}},
    {"vioscsi",
     {"VEN_1AF4&DEV_1004&SUBSYS_00081AF4&REV_00", "VEN_1AF4&DEV_1004&REV_00",
      "VEN_1AF4&DEV_1048&SUBSYS_11001AF4&REV_01", "VEN_1AF4&DEV_1048&REV_01"}},
};

static int add_service(struct windows *w, const char *service, struct error **err)
{
    _cleanup_free_ char *key = windows_key(w, "Services\\%s", service);
    _cleanup_free_ char *bus = str_format("%s\\Parameters\\PnpInterface", key);
    _cleanup_free_ char *image = str_format("system32\\drivers\\%s.sys", service);
    int sum = 0;

    hive_sum(&sum, hive_set_number(w->system, key, "Type", 1, err));  /* a driver */
    hive_sum(&sum, hive_set_number(w->system, key, "Start", 0, err)); /* with the system */
    hive_sum(&sum, hive_set_number(w->system, key, "ErrorControl", 1, err));
    hive_sum(&sum, hive_set_text(w->system, key, "Group", HIVE_TEXT, "SCSI miniport", err));
    hive_sum(&sum, hive_set_text(w->system, key, "ImagePath", HIVE_EXPAND, image, err));
    hive_sum(&sum, hive_set_number(w->system, bus, "5", 1, err)); /* 5: PCI */
    return sum;
}

static int add_critical_device(struct windows *w, const char *service, const char *device,
                               struct error **err)
{
    _cleanup_free_ char *key = windows_key(w, "Control\\CriticalDeviceDatabase\\PCI#%s", device);
    int sum = 0;

    hive_sum(&sum, hive_set_text(w->system, key, "Service", HIVE_TEXT, service, err));
    hive_sum(&sum, hive_set_text(w->system, key, "ClassGUID", HIVE_TEXT, SCSI_CLASS, err));
    return sum;
}

/* What DriverDatabase calls the package: it is made up, the real one replaces it when the first
 * boot installs it. */
struct package {
    char *inf, *label, *configuration;
};

static void package_done(struct package *p)
{
    free(p->inf);
    free(p->label);
    free(p->configuration);
}

static int add_database_device(struct windows *w, const struct package *p, const char *device,
                               struct error **err)
{
    _cleanup_free_ char *id = str_format("DriverDatabase\\DeviceIds\\PCI\\%s", device);
    _cleanup_free_ char *descriptor =
        str_format("DriverDatabase\\DriverPackages\\%s\\Descriptors\\PCI\\%s", p->label, device);
    int sum = 0;

    hive_sum(&sum, hive_set(w->system, id, p->inf, HIVE_BINARY, "\x01\xff\x00\x00", 4, err));
    hive_sum(&sum, hive_set_text(w->system, descriptor, "Configuration", HIVE_TEXT,
                                 p->configuration, err));
    return sum;
}

static int add_package(struct windows *w, const struct package *p, const char *service,
                       struct error **err)
{
    /* A version whose second part is the class of SCSI controllers, as in their GUID. */
    static const unsigned char version[48] = {0x00, 0xff, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00,
                                              0x7b, 0xe9, 0x36, 0x4d, 0x25, 0xe3, 0xce, 0x11,
                                              0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18};
    _cleanup_free_ char *inf = str_format("DriverDatabase\\DriverInfFiles\\%s", p->inf);
    _cleanup_free_ char *package = str_format("DriverDatabase\\DriverPackages\\%s", p->label);
    _cleanup_free_ char *configuration =
        str_format("%s\\Configurations\\%s", package, p->configuration);
    int sum = 0;

    hive_sum(&sum, hive_set_text(w->system, inf, "", HIVE_TEXTS, p->label, err));
    hive_sum(&sum, hive_set_text(w->system, inf, "Active", HIVE_TEXT, p->label, err));
    hive_sum(&sum,
             hive_set_text(w->system, inf, "Configurations", HIVE_TEXTS, p->configuration, err));
    hive_sum(&sum,
             hive_set(w->system, package, "Version", HIVE_BINARY, version, sizeof(version), err));
    hive_sum(&sum, hive_set_number(w->system, configuration, "ConfigFlags", 0, err));
    hive_sum(&sum, hive_set_text(w->system, configuration, "Service", HIVE_TEXT, service, err));
    return sum;
}

static int add_devices(struct windows *w, const struct disk_driver *driver, struct error **err)
{
    _cleanup_(package_done) struct package p = {
        .inf = str_format("slipway-%s.inf", driver->service),
        .label = str_format("slipway-%s.inf_%s_0000000000000000", driver->service,
                            windows_arch_name(w->arch)),
        .configuration = str_format("slipway_%s", driver->service)};
    bool database = hive_has_key(w->system, "DriverDatabase");
    int sum = 0;

    if (database)
        hive_sum(&sum, add_package(w, &p, driver->service, err));
    for (size_t i = 0; i < ARRAY_SIZE(driver->devices); i++)
        hive_sum(&sum, database ? add_database_device(w, &p, driver->devices[i], err)
                                : add_critical_device(w, driver->service, driver->devices[i], err));
    return sum;
}

/* True when the guest has this driver, or the agent, from somebody else than this program. */
static bool is_foreign(const struct facts *facts, const char *driver)
{
    bool agent = strcmp(driver, DRIVER_AGENT) == 0;
    _cleanup_free_ char *below =
        agent ? str_dup("Slipway/" WINDOWS_AGENT_FILE) : str_format(STAGE "/%s.inf", driver);
    _cleanup_free_ char *staged = windows_path(facts, below);
    _cleanup_free_ char *service = windows_key(facts->windows, "Services\\QEMU-GA");

    if (tree_exists(&facts->tree, staged))
        return false;
    return agent ? hive_has_key(facts->windows->system, service)
                 : windows_has_boot_driver(facts, driver);
}

static int add_disk_driver(struct facts *facts, struct plan *plan, const struct disk_driver *driver,
                           const struct driver_set *set, struct error **err)
{
    struct windows *w = facts->windows;
    _cleanup_free_ char *name = str_format("%s.sys", driver->service);
    _cleanup_free_ char *below = str_format("System32/drivers/%s", name);
    const struct driver_file *file = driverset_find(set, name);
    int r, sum = 0;

    if (!file || is_foreign(facts, driver->service) || windows_was_v2v(facts))
        return 0;
    r = windows_put(facts, plan, CHANGE, below, file->data, file->length,
                    str_format("the disk driver %s is in place", driver->service),
                    str_dup("Windows must read its virtio disk before it can install a driver"),
                    err);
    hive_sum(&sum, r);
    hive_sum(&sum, add_service(w, driver->service, err));
    hive_sum(&sum, add_devices(w, driver, err));
    if (sum > 0)
        buffer_printf(&w->system_what, "%s%s starts with the system and drives its virtio devices",
                      w->system_what.length ? "; " : "", driver->service);
    return MIN(sum, 0);
}

/* virt-v2v-in-place has packages of its own, but the agent's installer is always ours. */
static bool is_staged(const struct facts *facts, const struct driver_file *file)
{
    bool agent = strcmp(file->driver, DRIVER_AGENT) == 0;

    return !is_foreign(facts, file->driver) && (agent || !windows_was_v2v(facts));
}

/* The packages for the first boot, and the agent's installer. */
static int stage_files(struct facts *facts, struct plan *plan, const struct driver_set *set,
                       struct error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < set->count; i++) {
        const struct driver_file *f = &set->items[i];
        bool agent = strcmp(f->driver, DRIVER_AGENT) == 0;
        _cleanup_free_ char *below =
            agent ? str_dup("Slipway/" WINDOWS_AGENT_FILE) : str_format(STAGE "/%s", f->name);

        if (!is_staged(facts, f))
            continue;
        r = windows_put(facts, plan, CHANGE, below, f->data, f->length,
                        str_format("%s is at hand for the first boot", f->name),
                        str_dup(agent ? "the host asks the guest through this agent"
                                      : "Windows installs the driver from its package"),
                        err);
    }
    return r;
}

/* Windows looks for drivers of new devices in the directories of DevicePath. */
static int extend_device_path(struct windows *w, struct error **err)
{
    static const char place[] = ";%SystemRoot%\\Slipway\\drivers";
    _cleanup_free_ char *old = hive_text(w->software, DEVICE_PATH, "DevicePath"), *path = NULL;
    int r;

    if (old && strcasestr(old, place + 1))
        return 0;
    path = str_format("%s%s", old ? old : "%SystemRoot%\\inf", place);
    r = hive_set_text(w->software, DEVICE_PATH, "DevicePath", HIVE_EXPAND, path, err);
    if (r > 0)
        buffer_add_text(&w->software_what,
                        "DevicePath leads to the virtio drivers, so that new devices find them");
    return r;
}

/* What the plan leaves in the guest, for the domain's hints. */
static void tell_result(struct facts *facts, struct plan *plan, const struct driver_set *set)
{
    const struct windows *w = facts->windows;
    _cleanup_free_ char *staged = windows_path(facts, STAGE "/netkvm.inf");
    _cleanup_free_ char *installed = windows_path(facts, "System32/drivers/netkvm.sys");
    _cleanup_free_ char *left = windows_path(facts, "Drivers/VirtIO/netkvm.inf");
    const char *system = drivertable_system(w), *arch = windows_arch_name(w->arch);

    facts->virtio_disk =
        driverset_find(set, "viostor.sys") || windows_has_boot_driver(facts, "viostor");
    facts->virtio_net = driverset_find(set, "netkvm.inf") || tree_exists(&facts->tree, left) ||
                        tree_exists(&facts->tree, staged) || tree_exists(&facts->tree, installed);
    if (!facts->virtio_disk)
        plan_warn(plan, CHANGE,
                  "there is no virtio disk driver for %s (%s/%s) among the drivers given: the "
                  "guest needs a SATA or IDE disk",
                  w->product, system, arch);
    if (!facts->virtio_net)
        plan_warn(plan, CHANGE,
                  "there is no virtio network driver for %s (%s/%s) among the drivers given: the "
                  "guest needs an e1000 or rtl8139 card",
                  w->product, system, arch);
}

/* Without virtio the disk will be behind AHCI or IDE: drivers that Windows brings, but starts only
 * where it found such hardware when it was installed.  StartOverride does the same in Windows 8 and
 * later. */
static int start_builtin_drivers(struct windows *w, struct error **err)
{
    static const char *const services[] = {"storahci", "msahci",   "iaStorV",
                                           "pciide",   "intelide", "atapi"};
    int sum = 0;

    for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
        _cleanup_free_ char *key = windows_key(w, "Services\\%s", services[i]);
        _cleanup_free_ char *override = str_format("%s\\StartOverride", key);
        uint32_t start;

        if (hive_number(w->system, key, "Start", &start) && start != 0)
            hive_sum(&sum, hive_set_number(w->system, key, "Start", 0, err));
        if (hive_number(w->system, override, "0", &start) && start != 0)
            hive_sum(&sum, hive_set_number(w->system, override, "0", 0, err));
    }
    if (sum > 0)
        buffer_printf(&w->system_what, "%sWindows's own drivers for AHCI and IDE start with it",
                      w->system_what.length ? "; " : "");
    return MIN(sum, 0);
}

static void tell_engine(const struct facts *facts, struct plan *plan)
{
    const struct windows *w = facts->windows;

    if (w->by_v2v)
        plan_note(plan, CHANGE,
                  "virt-v2v-in-place gives the guest its drivers, before these changes");
    else if (w->engine_why && !windows_was_v2v(facts))
        plan_note(plan, CHANGE, "virt-v2v-in-place is not used: %s", w->engine_why);
}

static int load(const struct facts *facts, struct driver_set *ret_set, struct error **err)
{
    const char *source = facts->request->virtio_win;

    if (!source)
        source = driverset_default();
    if (source)
        return driverset_load(source, facts->windows, ret_set, err);
    if (windows_has_boot_driver(facts, "viostor"))
        return 0;
    return error_set(err, ENOENT,
                     "the guest runs %s and has no virtio drivers, and none are at hand; get "
                     "virtio-win.iso (of the virtio-win project) and give it with --virtio-win",
                     facts->windows->product);
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct windows *w = facts->windows;
    _cleanup_(driverset_done) struct driver_set set = {0};
    _cleanup_free_ char *stage = windows_path(facts, STAGE);
    _cleanup_free_ char *agent = windows_path(facts, "Slipway/" WINDOWS_AGENT_FILE);
    int r = load(facts, &set, err);

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(disk_drivers); i++)
        r = add_disk_driver(facts, plan, &disk_drivers[i], &set, err);
    if (r >= 0)
        r = stage_files(facts, plan, &set, err);
    if (r < 0)
        return r;
    tell_result(facts, plan, &set);
    tell_engine(facts, plan);
    if (!facts->virtio_disk) {
        r = start_builtin_drivers(w, err);
        if (r < 0)
            return r;
    }
    w->has_drivers = tree_exists(&facts->tree, stage);
    w->has_agent_file = tree_exists(&facts->tree, agent);
    for (size_t i = 0; i < set.count; i++)
        if (is_staged(facts, &set.items[i]))
            *(strcmp(set.items[i].driver, DRIVER_AGENT) == 0 ? &w->has_agent_file
                                                             : &w->has_drivers) = true;
    r = w->has_drivers ? extend_device_path(w, err) : 0;
    return MIN(r, 0);
}

static const char *describe(void)
{
    return "Windows has virtio drivers for its disk, its network card and the agent's channel";
}

const struct change_ops change_windows_drivers = {
    .name = CHANGE,
    .applies = facts_is_windows,
    .apply = apply,
    .describe = describe,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tools of the platform that the guest has left: their services no longer start (their entries
 * stay, for the uninstaller and for the way back), and at the first boot their uninstaller is
 * tried; that of VMware Tools may refuse outside of VMware, which does no harm then.  Drivers that
 * a system may need to start (disks, filters of other drivers) are left alone.
 */
#include <ctype.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/windows-edit.h"

#define CHANGE "agents"
#define UNINSTALL "Microsoft\\Windows\\CurrentVersion\\Uninstall"
#define START_AUTO 2
#define START_DISABLED 4

static const struct {
    const char *service;
    const char *tools;
    bool part_of_windows; /* then it is of interest only where it starts by itself */
} foreign[] = {
    {"VMTools", "VMware Tools", false},
    {"VGAuthService", "VMware Tools", false},
    {"vmvss", "VMware Tools", false},
    {"vm3dservice", "VMware Tools", false},
    {"VMwareCAFCommAmqpListener", "VMware Tools", false},
    {"VMwareCAFManagementAgentHost", "VMware Tools", false},
    {"VMMEMCTL", "VMware Tools", false},
    {"vmhgfs", "VMware Tools", false},
    {"VMUpgradeHelper", "VMware Tools", false},
    {"VMware Physical Disk Helper Service", "VMware Tools", false},
    {"VBoxService", "VirtualBox Guest Additions", false},
    {"VBoxSF", "VirtualBox Guest Additions", false},
    {"XenSvc", "Xen tools", false},
    {"xensvc", "Xen tools", false},
    {"xenagent", "Xen tools", false},
    {"XenInstall", "Xen tools", false},
    {"rhelscsi", "Xen tools", false},
    {"vmicheartbeat", "Hyper-V integration services", true},
    {"vmickvpexchange", "Hyper-V integration services", true},
    {"vmicrdv", "Hyper-V integration services", true},
    {"vmicshutdown", "Hyper-V integration services", true},
    {"vmictimesync", "Hyper-V integration services", true},
    {"vmicvss", "Hyper-V integration services", true},
};

static int disable_services(struct windows *w, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(foreign); i++) {
        _cleanup_free_ char *key = windows_key(w, "Services\\%s", foreign[i].service);
        uint32_t start;

        if (!hive_number(w->system, key, "Start", &start) || start == START_DISABLED ||
            (foreign[i].part_of_windows && start != START_AUTO))
            continue;
        r = hive_set_number(w->system, key, "Start", START_DISABLED, err);
        if (r > 0)
            buffer_printf(&w->system_what, "%s%s of %s no longer starts",
                          w->system_what.length ? "; " : "", foreign[i].service, foreign[i].tools);
    }
    return r;
}

/* The key of a program that Windows Installer knows is its product code. */
static bool is_product_code(const char *key)
{
    size_t n = strspn(key, "{}-0123456789abcdefABCDEF");

    return n == 38 && !key[n] && key[0] == '{' && key[37] == '}' && !strpbrk(key + 1, "{") &&
           strchr(key, '}') == key + 37;
}

static bool is_tools(const char *name)
{
    static const char *const tools[] = {"VMware Tools", "Citrix XenServer Tools",
                                        "XCP-ng Windows Management Agent",
                                        "Citrix Hypervisor PV Drivers"};

    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        if (strcmp(name, tools[i]) == 0)
            return true;
    return false;
}

/* Only what Windows Installer removes by its product code is run: it needs no word of the guest. */
static void uninstall_tools(struct windows *w)
{
    char **keys = hive_list(w->software, UNINSTALL);

    for (size_t i = 0; keys[i]; i++) {
        _cleanup_free_ char *key = str_format(UNINSTALL "\\%s", keys[i]);
        _cleanup_free_ char *name = hive_text(w->software, key, "DisplayName");

        if (!name || !is_tools(name) || !is_product_code(keys[i]))
            continue;
        buffer_printf(&w->steps, "echo removing %s\n", name);
        buffer_printf(&w->steps,
                      "start \"\" /wait msiexec.exe /x %s /qn /norestart REBOOT=ReallySuppress\n",
                      keys[i]);
    }
    tree_names_free(keys);
}

/* 1618: another installation is going on. */
static void install_agent(struct windows *w)
{
    if (w->has_agent_file)
        buffer_add_text(&w->steps, "echo the QEMU guest agent\n"
                                   "start \"\" /wait msiexec.exe /i \"%here%\\" WINDOWS_AGENT_FILE
                                   "\" /qn /norestart\n"
                                   "if errorlevel 1618 if not errorlevel 1619 set failed=yes\n");
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct windows *w = facts->windows;
    _cleanup_free_ char *agent = windows_key(w, "Services\\QEMU-GA");
    uint32_t start = START_DISABLED;
    int r = disable_services(w, err);

    if (r < 0)
        return r;
    install_agent(w);
    uninstall_tools(w);
    hive_number(w->system, agent, "Start", &start);
    facts->guest_agent = w->has_agent_file || start != START_DISABLED;
    if (!facts->guest_agent)
        plan_note(plan, CHANGE,
                  "the guest has no QEMU guest agent and none is among the drivers given: the host "
                  "cannot ask it for a clean freeze");
    return 0;
}

static const char *describe(void)
{
    return "tools of other platforms are off, the QEMU guest agent is installed at the first boot";
}

const struct change_ops change_windows_agents = {
    .name = CHANGE,
    .applies = facts_is_windows,
    .apply = apply,
    .describe = describe,
};

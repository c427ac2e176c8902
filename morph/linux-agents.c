/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: those of other platforms are switched off, KVM's is switched on.  Packages stay: removing
 * one would run the guest's code.  A unit is off when its links from *.wants and *.requires are
 * gone and a link to /dev/null in /etc/systemd/system masks it.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"

#define UNITS "/etc/systemd/system"
#define AGENT "qemu-guest-agent.service"
#define AGENT_PORT "dev-virtio\\x2dports-org.qemu.guest_agent.0.device"

static const struct {
    const char *unit;
    const char *package;
} foreign[] = {
    {"open-vm-tools.service", "open-vm-tools"},
    {"vmtoolsd.service", "open-vm-tools"},
    {"vgauth.service", "open-vm-tools"},
    {"run-vmblock\\x2dfuse.mount", "open-vm-tools-desktop"},
    {"vmware-tools.service", "VMware Tools"},
    {"vmware-tools-thinprint.service", "VMware Tools"},
    {"virtualbox-guest-utils.service", "virtualbox-guest-utils"},
    {"vboxadd.service", "VirtualBox Guest Additions"},
    {"vboxadd-service.service", "VirtualBox Guest Additions"},
    {"hv-kvp-daemon.service", "hyperv-daemons"},
    {"hv-vss-daemon.service", "hyperv-daemons"},
    {"hv-fcopy-daemon.service", "hyperv-daemons"},
    {"xe-linux-distribution.service", "xe-guest-utilities"},
    {"xe-daemon.service", "xe-guest-utilities"},
    {"walinuxagent.service", "waagent"},
};

static bool unit_installed(const struct facts *facts, const char *unit)
{
    static const char *const places[] = {"/lib/systemd/system", "/usr/lib/systemd/system"};
    _cleanup_free_ char *init = str_format("/etc/init.d/%s", unit);
    char *dot = strrchr(init, '.');

    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *path = str_format("%s/%s", places[i], unit);

        if (tree_exists(&facts->tree, path))
            return true;
    }
    if (dot)
        *dot = '\0';
    return tree_exists(&facts->tree, init);
}

/* Links to the unit in every UNITS/…{.wants,.requires} directory are removed. */
static void remove_wants(struct facts *facts, struct plan *plan, char *const *directories,
                         const char *unit, const char *package)
{
    for (char *const *d = directories; *d; d++) {
        _cleanup_free_ char *path = str_format(UNITS "/%s/%s", *d, unit);
        const char *dot = strrchr(*d, '.');

        if (!dot || (strcmp(dot, ".wants") != 0 && strcmp(dot, ".requires") != 0))
            continue;
        if (tree_kind(&facts->tree, path) == TREE_LINK)
            plan_edit(plan, EDIT_REMOVE, "agents", path, NULL, 0,
                      str_format("%s is no longer started by %.*s", unit, (int)(dot - *d), *d),
                      str_format("%s serves a platform the guest has left", package));
    }
}

static void mask_unit(struct facts *facts, struct plan *plan, const char *unit, const char *package)
{
    _cleanup_free_ char *path = str_format(UNITS "/%s", unit), *target = NULL;
    enum tree_kind kind = tree_kind(&facts->tree, path);

    if (kind == TREE_LINK && tree_readlink(&facts->tree, path, &target) == 0 &&
        strcmp(target, "/dev/null") == 0)
        return;
    if (kind != TREE_NONE && kind != TREE_LINK) {
        plan_warn(plan, "agents", "%s was written by the administrator and is not masked", path);
        return;
    }
    plan_edit(plan, EDIT_LINK, "agents", path, str_dup("/dev/null"), strlen("/dev/null"),
              str_format("%s is masked", unit),
              str_format("%s serves a platform the guest has left", package));
}

static bool has_udev_rule(const struct facts *facts)
{
    static const char *const rules[] = {"/lib/udev/rules.d/60-qemu-guest-agent.rules",
                                        "/usr/lib/udev/rules.d/60-qemu-guest-agent.rules",
                                        "/usr/lib/udev/rules.d/99-qemu-guest-agent.rules",
                                        "/etc/udev/rules.d/60-qemu-guest-agent.rules"};

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (tree_exists(&facts->tree, rules[i]))
            return true;
    return false;
}

/*
 * Debian's unit is bound to its virtio port and started by a udev rule when the port appears, so it
 * only has to be unmasked.  Without that rule the port's device unit is told to want it; wanting it
 * from multi-user.target would make boots without the port wait for it.
 */
static void enable_guest_agent(struct facts *facts, struct plan *plan, char *const *directories)
{
    _cleanup_free_ char *target = NULL;

    if (tree_readlink(&facts->tree, UNITS "/" AGENT, &target) == 0 &&
        strcmp(target, "/dev/null") == 0)
        plan_edit(plan, EDIT_REMOVE, "agents", UNITS "/" AGENT, NULL, 0,
                  str_dup(AGENT " is no longer masked"),
                  str_dup("the host asks the guest through this agent"));
    if (has_udev_rule(facts))
        return;
    for (char *const *d = directories; *d; d++) {
        _cleanup_free_ char *path = str_format(UNITS "/%s/" AGENT, *d);

        if (tree_kind(&facts->tree, path) == TREE_LINK)
            return;
    }
    plan_edit(plan, EDIT_LINK, "agents", UNITS "/" AGENT_PORT ".wants/" AGENT,
              str_dup("/lib/systemd/system/" AGENT), strlen("/lib/systemd/system/" AGENT),
              str_dup(AGENT " starts when its virtio port appears"),
              str_dup("the host asks the guest through this agent"));
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **directories = NULL;
    int r = tree_list(&facts->tree, UNITS, &directories, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        _cleanup_free_ char *link = str_format(UNITS "/%s", foreign[i].unit);

        if (!unit_installed(facts, foreign[i].unit) && tree_kind(&facts->tree, link) != TREE_LINK)
            continue;
        remove_wants(facts, plan, directories, foreign[i].unit, foreign[i].package);
        mask_unit(facts, plan, foreign[i].unit, foreign[i].package);
    }
    facts->guest_agent = unit_installed(facts, AGENT);
    if (facts->guest_agent)
        enable_guest_agent(facts, plan, directories);
    else
        plan_note(plan, "agents",
                  "the guest has no qemu-guest-agent: the host cannot ask it for a clean freeze");
    return 0;
}

static const char *describe(void)
{
    return "agents of other platforms are off, the QEMU guest agent is on";
}

const struct change_ops change_linux_agents = {
    .name = "agents",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

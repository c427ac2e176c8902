/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents: those of other platforms are switched off, KVM's is switched on.  Packages stay, as
 * removing one would run the guest's code; so does the uninstaller of VMware's tarball.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/init.h"

#define UNITS "/etc/systemd/system"
#define AGENT "qemu-guest-agent"
#define AGENT_PORT "dev-virtio\\x2dports-org.qemu.guest_agent.0.device"

/*
 * Names of units, jobs and scripts as the packages of the distributions have them, and those that
 * the makers' own installers leave.  waagent: outside Azure it waits for a host that never answers,
 * and could provision the guest anew; cloud-init reads Azure's metadata without it.
 */
static const struct {
    const char *package;
    const char *names[12];
} foreign[] = {
    {"open-vm-tools",
     {"open-vm-tools", "vmtoolsd", "vgauth", "vgauthd", "run-vmblock\\x2dfuse.mount",
      "vmware-vmblock-fuse"}},
    {"VMware Tools",
     {"vmware-tools", "vmware-tools-services", "vmware-tools-thinprint", "vmware-tools-vgauth",
      "vmware-guestd", "vmware-user"}},
    {"xe-guest-utilities", {"xe-linux-distribution", "xe-daemon", "xe-guest-utilities"}},
    {"VirtualBox Guest Additions",
     {"vboxadd", "vboxadd-service", "vboxadd-x11", "vboxservice", "vboxclient",
      "virtualbox-guest-utils", "virtualbox-guest-x11", "virtualbox-guest-additions"}},
    {"Hyper-V's daemons",
     {"hypervkvpd", "hypervvssd", "hypervfcopyd", "hv-kvp-daemon", "hv-vss-daemon",
      "hv-fcopy-daemon", "hv_kvp_daemon", "hv_vss_daemon", "hv_fcopy_daemon"}},
    {"Hyper-V's daemons",
     {"hyperv-daemons.hv-kvp-daemon.service", "hyperv-daemons.hv-vss-daemon.service",
      "hyperv-daemons.hv-fcopy-daemon.service", "hyperv-daemons", "hv_fcopy_uio_daemon"}},
    {"Parallels Tools", {"prltoolsd", "prltools_updater", "prltools-updater", "prl-x11"}},
    {"waagent", {"walinuxagent", "waagent", "walinuxagent-network-setup"}},
};

static int disable_foreign(struct facts *facts, struct plan *plan, enum init init,
                           struct error **err)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
        _cleanup_free_ char *why =
            str_format("%s serves a platform the guest has left", foreign[i].package);

        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(foreign[i].names) && foreign[i].names[k]; k++) {
            const struct service service = {foreign[i].names[k], "agents", why};

            r = service_disable(facts, plan, init, &service, err);
        }
    }
    return r;
}

static bool has_udev_rule(const struct facts *facts)
{
    static const char *const directories[] = {"/lib/udev/rules.d", "/usr/lib/udev/rules.d",
                                              "/etc/udev/rules.d"};
    static const char *const names[] = {"60-qemu-guest-agent.rules", "80-qemu-guest-agent.rules",
                                        "99-qemu-guest-agent.rules"};

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
            _cleanup_free_ char *path = str_format("%s/%s", directories[i], names[k]);

            if (tree_exists(&facts->tree, path))
                return true;
        }
    }
    return false;
}

static bool is_wanted(const struct facts *facts, char *const *directories)
{
    for (char *const *d = directories; *d; d++) {
        _cleanup_free_ char *path = str_format(UNITS "/%s/" AGENT ".service", *d);

        if (tree_kind(&facts->tree, path) == TREE_LINK)
            return true;
    }
    return false;
}

/*
 * The unit of most families is bound to its virtio port and started by a udev rule when the port
 * appears, so it only has to be unmasked.  Without that rule the port's device unit is told to want
 * it; wanting it from multi-user.target would make boots without the port wait for it.
 */
static int enable_unit(struct facts *facts, struct plan *plan, const char *unit, struct error **err)
{
    _cleanup_names_ char **directories = NULL;
    _cleanup_free_ char *target = NULL;
    int r = tree_list(&facts->tree, UNITS, &directories, err);

    if (r < 0)
        return r;
    if (tree_readlink(&facts->tree, UNITS "/" AGENT ".service", &target) == 0 &&
        strcmp(target, "/dev/null") == 0)
        plan_edit(plan, EDIT_REMOVE, "agents", UNITS "/" AGENT ".service", NULL, 0,
                  str_dup(AGENT ".service is no longer masked"),
                  str_dup("the host asks the guest through this agent"));
    if (has_udev_rule(facts) || is_wanted(facts, directories))
        return 0;
    plan_edit(plan, EDIT_LINK, "agents", UNITS "/" AGENT_PORT ".wants/" AGENT ".service",
              str_dup(unit), strlen(unit),
              str_dup(AGENT ".service starts when its virtio port appears"),
              str_dup("the host asks the guest through this agent"));
    return 0;
}

/* 1 when the agent is installed and will start, 0 when there is none. */
static int enable_agent(struct facts *facts, struct plan *plan, enum init init, struct error **err)
{
    /* Red Hat's script was named after the program. */
    static const char *const names[] = {AGENT, "qemu-ga"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *file = service_file(facts, init, names[i]);
        const struct service service = {names[i], "agents",
                                        "the host asks the guest through this agent"};
        int r;

        if (!file)
            continue;
        if (init == INIT_SYSTEMD && !str_starts(file, "/etc/init.d/"))
            r = enable_unit(facts, plan, file, err);
        else
            r = service_enable(facts, plan, init, &service, err);
        return r < 0 ? r : 1;
    }
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    enum init init = init_of(&facts->tree);
    int r = disable_foreign(facts, plan, init, err);

    if (r == 0)
        r = enable_agent(facts, plan, init, err);
    if (r < 0)
        return r;
    facts->guest_agent = r > 0;
    if (!facts->guest_agent)
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

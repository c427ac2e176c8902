/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cloud-init leaves the guest as it is.  On a hypervisor it does not know it would take the guest
 * for a new instance: it asks its data sources for the instance's id, and with another id it writes
 * the network configuration anew, makes new SSH host keys and sets the hostname.  Two settings
 * stop that (cloud-init's documentation, "Networking" and "Instance metadata"): the network
 * configuration is the administrator's, and the instance it cached at its last boot stays the
 * instance, whatever the data sources say.  Data sources, users and everything else stay.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/netconfig.h"

#define CONFIGS "/etc/cloud/cloud.cfg.d"
#define OURS "99-slipway-network.cfg"

static const char text_of_ours[] =
    "# The network was configured before the move to KVM and stays as it is.\n"
    "network: {config: disabled}\n"
    "# This is the instance that cloud-init knows, although the platform is another one now.\n"
    "manual_cache_clean: true\n";

static bool is_installed(const struct facts *facts)
{
    static const char *const signs[] = {"/etc/cloud/cloud.cfg", "/usr/bin/cloud-init",
                                        "/usr/local/bin/cloud-init", "/bin/cloud-init"};

    for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
        if (tree_exists(&facts->tree, signs[i]))
            return true;
    return false;
}

/* Files are read in the order of their names, and the last one that says something wins. */
static int warn_of_later(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_names_ char **names = NULL;
    int r = tree_list(&facts->tree, CONFIGS, &names, err);

    for (char **n = names; r == 0 && n && *n; n++) {
        _cleanup_free_ char *path = str_format(CONFIGS "/%s", *n), *text = NULL;
        size_t length = strlen(*n);
        struct word line;
        const char *rest;

        if (strcmp(*n, OURS) <= 0 || length < 4 || strcmp(*n + length - 4, ".cfg") != 0)
            continue;
        r = tree_text(&facts->tree, path, &text, err);
        rest = text;
        while (r > 0 && line_next(&rest, &line))
            if (line.length >= 8 && strncmp(line.at, "network:", 8) == 0 &&
                !memmem(line.at, line.length, "disabled", 8))
                plan_warn(
                    plan, "cloud-init",
                    "%s comes after ours and gives cloud-init a network configuration: remove "
                    "its 'network:' when the guest loses its addresses",
                    path);
        r = r < 0 ? r : 0;
    }
    return r;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    _cleanup_free_ char *old = NULL;
    int r;

    if (!is_installed(facts) || tree_exists(&facts->tree, "/etc/cloud/cloud-init.disabled"))
        return 0;
    r = tree_text(&facts->tree, CONFIGS "/" OURS, &old, err);
    if (r >= 0)
        r = warn_of_later(facts, plan, err);
    if (r < 0)
        return r;
    if (tree_kind(&facts->tree, "/var/lib/cloud/instance") == TREE_NONE)
        plan_warn(plan, "cloud-init",
                  "cloud-init never ran in this guest: at its first boot it may set the hostname "
                  "and make new SSH host keys");
    if (old && strcmp(old, text_of_ours) == 0)
        return 0;
    plan_edit(plan, EDIT_WRITE, "cloud-init", CONFIGS "/" OURS, str_dup(text_of_ours),
              strlen(text_of_ours),
              str_dup("cloud-init keeps the network configuration and the instance it knows"),
              str_dup("on another platform it would take the guest for a new instance, and write "
                      "its network, host keys and hostname anew"));
    return 0;
}

static const char *describe(void)
{
    return "cloud-init does not set up the guest anew";
}

const struct change_ops change_linux_cloudinit = {
    .name = "cloud-init",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

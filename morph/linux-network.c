/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network goes on as it was.  Predictable names come from where a card sits on the PCI
 * bus, which is different on the destination; the guest's configuration is written for the old
 * names.  So each card keeps its old name by its MAC address, in the way this guest's udev
 * understands: a systemd .link file, a udev rule, HWADDR= or /etc/mactab.  Configuration that asks
 * for the source's hardware is rewritten, and with --dhcp fixed addresses become DHCP.
 */
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/inifile.h"
#include "morph/init.h"
#include "morph/link.h"
#include "morph/netfiles.h"
#include "morph/netpins.h"

#define LINKS "/etc/systemd/network"
#define RULES "/etc/udev/rules.d/70-persistent-net.rules"
#define MACTAB "/etc/mactab"
#define WHY                                                                                        \
    "its place on the bus would give it another name, and the guest's addresses are configured "   \
    "for this one"

enum naming { NAMING_LINK, NAMING_RULES, NAMING_HWADDR, NAMING_MACTAB };

static bool has_any(const struct facts *facts, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (tree_exists(&facts->tree, paths[i]))
            return true;
    return false;
}

/* Does the distribution bring these rules? */
static bool has_rules(const struct facts *facts, const char *file)
{
    _cleanup_free_ char *lib = str_format("/lib/udev/rules.d/%s", file);
    _cleanup_free_ char *usr = str_format("/usr/lib/udev/rules.d/%s", file);
    const char *const paths[] = {lib, usr};

    return has_any(facts, paths, ARRAY_SIZE(paths));
}

/* A file of the same name in /etc, a link to /dev/null or an empty one, takes their place. */
static bool links_are_masked(const struct facts *facts)
{
    static const char path[] = "/etc/udev/rules.d/80-net-setup-link.rules";
    _cleanup_free_ char *text = NULL;
    enum tree_kind kind = tree_kind(&facts->tree, path);

    if (kind == TREE_LINK || kind == TREE_NONE)
        return kind == TREE_LINK;
    return tree_text(&facts->tree, path, &text, NULL) > 0 && !strstr(text, "net_setup_link");
}

/*
 * 80-net-setup-link.rules is what makes .link files give names; an administrator masks it to have
 * the kernel's.  Where udev's generator of persistent names is still there (RHEL 6, SLES 11 and 12,
 * Debian up to 8, Ubuntu up to 14.04), or the rules of systemd 197 to 208 (RHEL 7), rules do.
 */
static enum naming naming_of(const struct facts *facts)
{
    static const char *const udev[] = {"/sbin/udevd",
                                       "/lib/udev/udevd",
                                       "/usr/lib/systemd/systemd-udevd",
                                       "/lib/systemd/systemd-udevd",
                                       "/sbin/udevadm",
                                       "/bin/udevadm",
                                       "/usr/bin/udevadm"};
    int redhat = facts->family == FAMILY_REDHAT && facts->os.version ? atoi(facts->os.version) : 0;

    if ((facts->family == FAMILY_ALPINE || tree_exists(&facts->tree, "/etc/mdev.conf")) &&
        !has_any(facts, udev, ARRAY_SIZE(udev)))
        return NAMING_MACTAB;
    if (facts->family == FAMILY_ALPINE)
        return NAMING_RULES; /* eudev */
    if (redhat == 4 || redhat == 5)
        return NAMING_HWADDR; /* its udev knows no ATTR{} */
    if (redhat == 6 || redhat == 7)
        return NAMING_RULES;
    if (has_rules(facts, "75-persistent-net-generator.rules") || links_are_masked(facts))
        return NAMING_RULES;
    if (has_rules(facts, "80-net-name-slot.rules") && !has_rules(facts, "80-net-setup-link.rules"))
        return NAMING_RULES;
    return NAMING_LINK;
}

/* Only the first .link file that fits a card counts, and that will be ours: it takes over what the
 * guest's first one sets beside the name. */
static void take_settings(const struct netwish *wish, struct pin *pin, const struct netfiles *files)
{
    for (size_t i = 0; i < files->count && !pin->settings; i++) {
        const struct netfile *f = &files->items[i];
        _cleanup_netedit_ struct netedit edit = {0};

        if (f->style != &netstyle_link || str_starts(netfile_name(f), LINK_PREFIX))
            continue;
        f->style->rewrite(wish, netfile_name(f), f->text, &edit);
        pin->settings = link_settings(edit.out.data ? edit.out.data : f->text, pin);
    }
}

/* Does a rule or .link file of the guest itself already do it? */
static bool guest_pins(const struct netconfig *config, const struct pin *pin)
{
    const struct netname *n = netconfig_find(config, pin->name);

    return n && n->pins && strcmp(n->mac, pin->mac) == 0;
}

static void propose_link(struct plan *plan, const struct netconfig *config,
                         const struct netfiles *files, const struct pin *pin)
{
    _cleanup_free_ char *file = link_file_name(pin), *text = link_text(pin);
    _cleanup_free_ char *path = str_format(LINKS "/%s", file);
    const struct netfile *old = netfiles_find(files, path);
    size_t length = strlen(text);

    if (old ? strcmp(old->text, text) == 0 : guest_pins(config, pin))
        return;
    plan_edit(plan, EDIT_WRITE, "network", path, steal_ptr(text), length,
              str_format("the card with MAC %s is called %s", pin->mac, pin->name), str_dup(WHY));
}

/* Ours for a name that another card has now would fight with the new one. */
static void drop_old_links(struct facts *facts, struct plan *plan, const struct netfiles *files)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct netfile *f = &files->items[i];
        bool wanted = facts->pin_count == 0;

        if (f->style != &netstyle_link || !str_starts(netfile_name(f), LINK_PREFIX))
            continue;
        for (size_t p = 0; p < facts->pin_count; p++) {
            _cleanup_free_ char *file = link_file_name(&facts->pins[p]);

            wanted |= strcmp(file, netfile_name(f)) == 0;
        }
        for (size_t p = 0; !wanted && p < facts->pin_count; p++) {
            if (!word_is(inifile_get(f->text, "Match.MACAddress"), facts->pins[p].mac))
                continue;
            plan_edit(plan, EDIT_DELETE, "network", f->path, NULL, 0,
                      str_format("%s no longer gets this name", facts->pins[p].mac),
                      str_dup("the card has another name now"));
            break;
        }
    }
}

static void propose_rewrite(struct plan *plan, const struct netwish *wish,
                            const struct netstyle *style, const char *path, const char *text)
{
    _cleanup_netedit_ struct netedit edit = {0};
    const char *name = strrchr(path, '/') + 1;
    struct edit *e;
    size_t length;

    if (style->rewrite && !(style == &netstyle_link && str_starts(name, LINK_PREFIX)))
        style->rewrite(wish, name, text, &edit);
    if (edit.warning.length > 0)
        plan_warn(plan, "network", "%s: %s", path, edit.warning.data);
    if (edit.what.length == 0 || (edit.out.data && strcmp(edit.out.data, text) == 0))
        return;
    length = edit.out.length;
    e = plan_edit(plan, EDIT_WRITE, "network", path, buffer_steal(&edit.out), length,
                  buffer_steal(&edit.what),
                  str_dup(style == &netstyle_rules || style == &netstyle_mactab ? WHY
                          : wish->dhcp
                              ? "fixed addresses are to become DHCP, and matches by the "
                                "source's hardware find nothing any more"
                              : "what tells the source's hardware finds nothing any more"));
    e->secret = style == &netstyle_keyfile || style == &netstyle_netplan;
}

static void propose_rewrites(struct plan *plan, const struct netwish *wish,
                             const struct netfiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        propose_rewrite(plan, wish, files->items[i].style, files->items[i].path,
                        files->items[i].text);
    if (wish->rules && !netfiles_find(files, RULES))
        propose_rewrite(plan, wish, &netstyle_rules, RULES, "");
    if (wish->table && wish->pin_count > 0 && !netfiles_find(files, MACTAB))
        propose_rewrite(plan, wish, &netstyle_mactab, MACTAB, "");
}

/* Without udev the kernel's names stay: nothing has to be done when they are the old ones. */
static bool kernel_names_fit(const struct facts *facts)
{
    const struct request *q = facts->request;

    for (size_t i = 0; i < q->nic_count; i++) {
        _cleanup_free_ char *name = str_format("eth%zu", i);

        for (size_t p = 0; p < facts->pin_count; p++)
            if (strcmp(facts->pins[p].mac, q->nics[i].mac) == 0 &&
                strcmp(facts->pins[p].name, name) != 0)
                return false;
    }
    return true;
}

static bool has_style(const struct netfiles *files, const struct netstyle *style)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].style == style)
            return true;
    return false;
}

/* What --dhcp cannot reach. */
static int warn_dhcp(struct facts *facts, struct plan *plan, const struct netfiles *files,
                     struct error **err)
{
    static const char *const clients[] = {
        "/sbin/dhclient",   "/usr/sbin/dhclient", "/sbin/udhcpc",     "/sbin/dhcpcd",
        "/usr/sbin/dhcpcd", "/usr/bin/dhcpcd",    "/sbin/dhcpcd-bin", "/sbin/pump",
        "/usr/sbin/udhcpc", "/bin/busybox"};
    _cleanup_free_ char *dhcpcd = NULL;
    int r = tree_text(&facts->tree, "/etc/dhcpcd.conf", &dhcpcd, err);

    if (r < 0)
        return r;
    if (dhcpcd && strstr(dhcpcd, "\nstatic ip_address="))
        plan_warn(plan, "network", "/etc/dhcpcd.conf has a fixed address, which stays");
    if (has_style(files, &netstyle_wicked))
        plan_warn(plan, "network", "/etc/wicked/ifconfig may have fixed addresses, which stay");
    if (has_style(files, &netstyle_interfaces) && !has_any(facts, clients, ARRAY_SIZE(clients)))
        plan_warn(plan, "network",
                  "no DHCP client was found in the guest; install one (isc-dhcp-client, dhcpcd) in "
                  "the source, or leave out --dhcp");
    return 0;
}

/* kudzu of RHEL 4 and 5 sees other hardware at the first boot, moves the card's configuration away
 * and asks for DHCP. */
static int disable_kudzu(struct facts *facts, struct plan *plan, struct error **err)
{
    static const struct service kudzu = {"kudzu", "network",
                                         "it would replace the configuration of the network card"};

    return service_disable(facts, plan, init_of(&facts->tree), &kudzu, err);
}

static int propose(struct facts *facts, struct plan *plan, const struct netfiles *files,
                   struct error **err)
{
    _cleanup_free_ struct netconfig *config = mem_new(1, sizeof(*config));
    enum naming naming = naming_of(facts);
    struct netwish wish = {.config = config,
                           .nics = facts->request->nics,
                           .nic_count = facts->request->nic_count,
                           .dhcp = facts->request->dhcp};

    netfiles_tell(files, facts->request, config);
    netpins_decide(facts, plan, config);
    netpins_check_names(facts, plan, config);
    wish.heir = netpins_heir(facts, config);
    wish.pins = facts->pins;
    wish.pin_count = facts->pin_count;
    for (size_t i = 0; i < facts->pin_count; i++)
        take_settings(&wish, &facts->pins[i], files);
    wish.rules = naming == NAMING_RULES;
    wish.hwaddr = naming == NAMING_HWADDR;
    wish.table = naming == NAMING_MACTAB && !kernel_names_fit(facts);
    for (size_t i = 0; naming == NAMING_LINK && i < facts->pin_count; i++)
        propose_link(plan, config, files, &facts->pins[i]);
    if (naming == NAMING_LINK)
        drop_old_links(facts, plan, files);
    if (wish.table && !tree_exists(&facts->tree, "/etc/mdev.conf"))
        plan_warn(plan, "network",
                  "the guest has no /etc/mdev.conf that could start nameif: its cards get the "
                  "kernel's names, in their order in the VM");
    if (naming == NAMING_LINK || naming == NAMING_MACTAB)
        netpins_check_order(facts, plan);
    propose_rewrites(plan, &wish, files);
    return wish.dhcp ? warn_dhcp(facts, plan, files, err) : 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct netfiles files;
    int r = netfiles_read(facts, plan, &files, err);

    if (r == 0)
        r = propose(facts, plan, &files, err);
    if (r == 0 && facts->family == FAMILY_REDHAT)
        r = disable_kudzu(facts, plan, err);
    netfiles_done(&files);
    return r;
}

static const char *describe(void)
{
    return "network cards keep their names by MAC address, and their configuration its effect";
}

const struct change_ops change_linux_network = {
    .name = "network",
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};

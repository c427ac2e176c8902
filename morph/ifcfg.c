/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifcfg files: one interface each, assignments of a shell.  Red Hat's are named freely and tell the
 * interface by DEVICE= or HWADDR= (initscripts' sysconfig.txt); SUSE's are named by the interface
 * (ifcfg(5)), and their default method is static.
 */
#include <ctype.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

/* What editors, package managers and people leave beside the files is not read by the guest. */
static bool is_ifcfg(const char *file)
{
    static const char *const ignored[] = {"~",        ".bak",     ".orig",       ".old", ".rpmnew",
                                          ".rpmorig", ".rpmsave", ".scpmbackup", ".swp"};
    size_t length = strlen(file);

    if (!str_starts(file, "ifcfg-") || strcmp(file, "ifcfg-lo") == 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++) {
        size_t n = strlen(ignored[i]);

        if (length > n && strcmp(file + length - n, ignored[i]) == 0)
            return false;
    }
    return true;
}

static struct word file_device(const char *file)
{
    return WORD(file + strlen("ifcfg-"));
}

static bool is_yes(struct word value)
{
    static const char *const words[] = {"yes", "YES", "Yes", "true", "1", "y"};

    return word_is_any(value, words, ARRAY_SIZE(words));
}

static void set_upper(struct netconfig *config, struct netname *n, struct word upper)
{
    struct netname *u = upper.length == 36 ? NULL : netconfig_entry(config, upper);

    if (u && u != n)
        u->kind = NET_BRIDGE;
    if (upper.length > 0 && upper.length < sizeof(n->upper) && u != n) {
        memset(n->upper, 0, sizeof(n->upper));
        memcpy(n->upper, upper.at, upper.length);
    }
}

static enum netkind redhat_kind(const char *text, enum netkind kind)
{
    static const char *const lan[] = {"Bridge", "bridge", "Bond",     "bond",
                                      "Team",   "team",   "OVSBridge"};
    static const char *const vlan[] = {"Vlan", "vlan", "VLAN"};
    static const char *const card[] = {"Ethernet", "ethernet", "Ether"};
    struct word type = shellvar_get(text, "TYPE");

    if (word_is(shellvar_get(text, "DEVICETYPE"), "Team"))
        return NET_BRIDGE;
    if (word_is_any(type, lan, ARRAY_SIZE(lan)) || is_yes(shellvar_get(text, "BONDING_MASTER")) ||
        shellvar_get(text, "BONDING_OPTS").length > 0)
        return NET_BRIDGE;
    if (word_is_any(type, vlan, ARRAY_SIZE(vlan)))
        return NET_VLAN;
    if (type.length == 0 || word_is_any(type, card, ARRAY_SIZE(card)))
        return kind;
    return NET_OTHER;
}

/* The interface an ifcfg file of Red Hat is for; empty when it goes by MAC alone. */
static struct word redhat_device(const char *file, const char *text)
{
    struct word device = shellvar_get(text, "DEVICE");

    if (device.length == 0 && strstr(file, "-range"))
        device = (struct word){file + 6, strcspn(file + 6, "-")};
    if (device.length == 0 && shellvar_get(text, "HWADDR").length == 0 &&
        netname_is_valid(file + 6, strlen(file + 6)))
        device = file_device(file);
    return device;
}

/* The bond, bridge or team it is a member of; empty when of none. */
static struct word redhat_upper(const char *text)
{
    static const char *const keys[] = {"MASTER",      "TEAM_MASTER", "BRIDGE",
                                       "MASTER_UUID", "BRIDGE_UUID", "TEAM_MASTER_UUID"};
    struct word upper = {text, 0};

    for (size_t i = 0; i < ARRAY_SIZE(keys) && upper.length == 0; i++)
        upper = shellvar_get(text, keys[i]);
    return upper;
}

static void read_redhat(struct netconfig *config, const char *file, const char *text)
{
    struct word device = redhat_device(file, text), mac = shellvar_get(text, "HWADDR");
    struct word uuid = shellvar_get(text, "UUID");
    struct netname *n = netconfig_entry(config, device);
    bool vlan = is_yes(shellvar_get(text, "VLAN"));

    netconfig_entry(config, shellvar_get(text, "PHYSDEV"));
    if (device.length == 0)
        n = netconfig_by_mac(config, mac);
    if (!n || memchr(device.at, ':', device.length))
        return;
    /* eth0.5 gave the entry of eth0, which has a file of its own. */
    if (memchr(device.at, '.', device.length))
        return;
    if (device.length > 0)
        n->kind = vlan ? NET_VLAN : redhat_kind(text, n->kind);
    if (uuid.length == 36)
        memcpy(n->uuid, uuid.at, uuid.length);
    if (!n->upper[0])
        set_upper(config, n, redhat_upper(text));
    netname_set_mac(config, n, mac);
}

/* KEY, KEY0, KEY_1, KEY_lan: several addresses.  Not KEYDEV. */
static bool is_key(struct word name, const char *key)
{
    size_t n = strlen(key);

    if (name.length < n || strncmp(name.at, key, n) != 0)
        return false;
    if (n < name.length && name.at[n] == '_')
        return n + 1 < name.length;
    while (n < name.length && isdigit((unsigned char)name.at[n]))
        n++;
    return n == name.length;
}

static bool is_any_key(struct word name, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_key(name, keys[i]))
            return true;
    return false;
}

static void end_line(struct netedit *edit)
{
    if (edit->out.length > 0 && edit->out.data[edit->out.length - 1] != '\n')
        buffer_add_text(&edit->out, "\n");
}

static bool has_fixed(const char *text, const char *const *keys, size_t count)
{
    struct word line, name, value;

    while (line_next(&text, &line))
        if (shellvar_parse(line, &name, &value) && value.length > 0 &&
            is_any_key(name, keys, count))
            return true;
    return false;
}

/* Lines of `keys` become comments, and the assignment `method` says dhcp. */
static void make_dhcp(struct netedit *edit, const char *text, const char *const *keys, size_t count,
                      const char *dhcp)
{
    struct word line, name, value;
    bool told = false;

    while (line_next(&text, &line)) {
        bool parsed = shellvar_parse(line, &name, &value);

        if (parsed && is_any_key(name, keys, count))
            netedit_comment(edit, line);
        else if (parsed && word_is(name, "BOOTPROTO") && (told = true))
            netedit_replace(edit, line, value, dhcp);
        else
            netedit_keep(edit, line);
    }
    end_line(edit);
    if (!told)
        buffer_printf(&edit->out, "BOOTPROTO=%s\n", dhcp);
}

static const char *const redhat_fixed[] = {
    "IPADDR",        "NETMASK", "PREFIX",   "GATEWAY",
    "BROADCAST",     "NETWORK", "IPV6ADDR", "IPV6ADDR_SECONDARIES",
    "IPV6_DEFAULTGW"};

static void redhat_dhcp(const char *text, struct word device, struct netedit *edit)
{
    static const char *const six[] = {"IPV6ADDR"};
    bool auto6 = has_fixed(text, six, 1);

    make_dhcp(edit, text, redhat_fixed, ARRAY_SIZE(redhat_fixed), "dhcp");
    if (auto6 && !is_yes(shellvar_get(text, "IPV6_AUTOCONF")))
        buffer_add_text(&edit->out, "IPV6_AUTOCONF=yes\n");
    netedit_what(edit, "%.*s gets its address by DHCP", (int)device.length, device.at);
}

/* An alias is nothing but a further fixed address: it is kept, but no longer brought up. */
static void alias_off(const char *text, struct word device, struct netedit *edit)
{
    struct word line, name, value;

    while (line_next(&text, &line)) {
        bool parsed = shellvar_parse(line, &name, &value);

        if (parsed && (word_is(name, "ONBOOT") || word_is(name, "ONPARENT")))
            netedit_comment(edit, line);
        else
            netedit_keep(edit, line);
    }
    end_line(edit);
    buffer_add_text(&edit->out, "ONBOOT=no\nONPARENT=no\n");
    netedit_what(edit, "the further fixed address %.*s is no longer brought up", (int)device.length,
                 device.at);
}

static struct word before_colon(struct word device)
{
    const char *colon = memchr(device.at, ':', device.length);

    return colon ? (struct word){device.at, (size_t)(colon - device.at)} : device;
}

/* The card's MAC address is another one now. */
static void rebind(const char *text, const char *mac, struct word device, struct netedit *edit)
{
    struct word line, name, value;

    while (line_next(&text, &line)) {
        if (shellvar_parse(line, &name, &value) && word_is(name, "HWADDR"))
            netedit_replace(edit, line, value, mac);
        else
            netedit_keep(edit, line);
    }
    if (device.length == 0)
        device = WORD("it");
    netedit_what(edit, "%.*s is the card with MAC %s", (int)device.length, device.at, mac);
}

static void add_hwaddr(const struct netwish *wish, const char *text, struct word device,
                       struct netedit *edit)
{
    const char *mac = netwish_pinned(wish, device);

    if (!wish->hwaddr || !mac || shellvar_get(text, "HWADDR").length > 0)
        return;
    buffer_add_text(&edit->out, text);
    end_line(edit);
    buffer_printf(&edit->out, "HWADDR=%s\n", mac);
    netedit_what(edit, "%.*s is the card with MAC %s", (int)device.length, device.at, mac);
}

static bool redhat_to_dhcp(const struct netwish *wish, const char *text, struct word device)
{
    enum netkind kind = redhat_kind(text, NET_CARD);

    return (kind == NET_CARD || kind == NET_BRIDGE) && !is_yes(shellvar_get(text, "VLAN")) &&
           redhat_upper(text).length == 0 && !memchr(device.at, '.', device.length) &&
           netwish_dhcp(wish, device) && has_fixed(text, redhat_fixed, ARRAY_SIZE(redhat_fixed));
}

static void rewrite_redhat(const struct netwish *wish, const char *file, const char *text,
                           struct netedit *edit)
{
    struct word device = redhat_device(file, text), card = before_colon(device);
    struct word hwaddr = shellvar_get(text, "HWADDR");
    const char *mac = netwish_mac(wish, device, hwaddr);
    _cleanup_netedit_ struct netedit bound = {0};

    if (mac)
        rebind(text, mac, device, &bound);
    else
        add_hwaddr(wish, text, device, &bound);
    if (bound.what.length > 0) {
        text = bound.out.data;
        buffer_add(&edit->what, bound.what.data, bound.what.length);
    }
    if (strstr(file, "-range") && netwish_dhcp(wish, device)) {
        netedit_warn(edit, "its range of fixed addresses stays");
    } else if (card.length < device.length && netwish_dhcp(wish, card) &&
               !word_is(shellvar_get(text, "ONPARENT"), "no")) {
        alias_off(text, device, edit);
    } else if (card.length == device.length && redhat_to_dhcp(wish, text, device)) {
        redhat_dhcp(text, device, edit);
    } else if (edit->what.length > 0) {
        buffer_add_text(&edit->out, text);
    }
}

static bool suse_is_card(struct word device)
{
    return !memchr(device.at, '.', device.length) && !memchr(device.at, ':', device.length);
}

static void read_suse(struct netconfig *config, const char *file, const char *text)
{
    struct word device = file_device(file), line, name, value, ether;
    struct netname *n = suse_is_card(device) ? netconfig_entry(config, device) : NULL;

    ether = shellvar_get(text, "ETHERDEVICE");
    netconfig_entry(config, ether);
    if (!n)
        return;
    if (ether.length > 0)
        n->kind = NET_VLAN;
    else if (is_yes(shellvar_get(text, "BRIDGE")) || is_yes(shellvar_get(text, "BONDING_MASTER")) ||
             shellvar_get(text, "TEAM_RUNNER").length > 0)
        n->kind = NET_BRIDGE;
    while (line_next(&text, &line))
        if (shellvar_parse(line, &name, &value) &&
            (is_key(name, "BONDING_SLAVE") || is_key(name, "TEAM_PORT_DEVICE") ||
             word_is(name, "BRIDGE_PORTS")))
            netconfig_members(config, n, value);
}

static const char *const suse_fixed[] = {"IPADDR",    "NETMASK",       "PREFIXLEN", "NETWORK",
                                         "BROADCAST", "REMOTE_IPADDR", "LABEL"};

static void rewrite_suse(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct word device = file_device(file);

    if (!suse_is_card(device) || !netwish_dhcp(wish, device) ||
        !has_fixed(text, suse_fixed, ARRAY_SIZE(suse_fixed)))
        return;
    make_dhcp(edit, text, suse_fixed, ARRAY_SIZE(suse_fixed), "dhcp");
    netedit_what(edit, "%.*s gets its address by DHCP", (int)device.length, device.at);
}

/* Red Hat's /etc/sysconfig/network: a default gateway for all interfaces. */
static void rewrite_sysconfig(const struct netwish *wish, const char *file, const char *text,
                              struct netedit *edit)
{
    struct word line, name, value;

    while (wish->dhcp && line_next(&text, &line)) {
        bool gateway = shellvar_parse(line, &name, &value) &&
                       (word_is(name, "GATEWAY") || word_is(name, "IPV6_DEFAULTGW"));

        gateway ? netedit_comment(edit, line) : netedit_keep(edit, line);
        if (gateway)
            netedit_what(edit, "the fixed default gateway is a comment");
    }
}

static bool is_routes(const char *file)
{
    return strcmp(file, "routes") == 0 || str_starts(file, "ifroute-");
}

static bool is_redhat_routes(const char *file)
{
    return str_starts(file, "route-") || str_starts(file, "route6-");
}

static void rewrite_routes(const struct netwish *wish, const char *file, const char *text,
                           struct netedit *edit)
{
    struct word line;

    while (wish->dhcp && line_next(&text, &line)) {
        const char *at = line.at;
        struct word first = word_next(&at, line.at + line.length);
        bool gateway =
            word_is(first, "default") || word_is(first, "0.0.0.0/0") || word_is(first, "::/0");

        gateway ? netedit_comment(edit, line) : netedit_keep(edit, line);
        if (gateway)
            netedit_what(edit, "the fixed default gateway is a comment");
    }
}

static bool is_xml(const char *file)
{
    size_t length = strlen(file);

    return length > 4 && strcmp(file + length - 4, ".xml") == 0;
}

/* wicked's own files: <name>eth0</name>. */
static void read_wicked(struct netconfig *config, const char *file, const char *text)
{
    while ((text = strstr(text, "<name>"))) {
        text += strlen("<name>");
        netconfig_entry(config, word_trim((struct word){text, strcspn(text, "<")}));
    }
}

const struct netstyle netstyle_ifcfg = {
    .name = "ifcfg",
    .directory = "/etc/sysconfig/network-scripts",
    .takes = is_ifcfg,
    .read = read_redhat,
    .rewrite = rewrite_redhat,
};

const struct netstyle netstyle_sysconfig = {
    .name = "ifcfg",
    .directory = "/etc/sysconfig",
    .only = "network",
    .rewrite = rewrite_sysconfig,
};

const struct netstyle netstyle_ifcfg_suse = {
    .name = "ifcfg of SUSE",
    .directory = "/etc/sysconfig/network",
    .takes = is_ifcfg,
    .read = read_suse,
    .rewrite = rewrite_suse,
};

const struct netstyle netstyle_routes_suse = {
    .name = "ifcfg of SUSE",
    .directory = "/etc/sysconfig/network",
    .takes = is_routes,
    .rewrite = rewrite_routes,
};

const struct netstyle netstyle_routes = {
    .name = "ifcfg",
    .directory = "/etc/sysconfig/network-scripts",
    .takes = is_redhat_routes,
    .rewrite = rewrite_routes,
};

const struct netstyle netstyle_wicked = {
    .name = "wicked",
    .directory = "/etc/wicked/ifconfig",
    .takes = is_xml,
    .read = read_wicked,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd's own: .network (systemd.network(5)), .netdev (systemd.netdev(5)) and .link
 * (systemd.link(5)) files.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/inifile.h"
#include "morph/netstyle.h"

static bool ends_in(const char *file, const char *ending)
{
    size_t length = strlen(file), n = strlen(ending);

    return length > n && strcmp(file + length - n, ending) == 0;
}

static bool is_network(const char *file)
{
    return ends_in(file, ".network");
}

static bool is_netdev(const char *file)
{
    return ends_in(file, ".netdev");
}

static bool is_link(const char *file)
{
    return ends_in(file, ".link");
}

static void read_link(struct netconfig *config, const char *file, const char *text)
{
    struct word mac = inifile_get(text, "Match.MACAddress");
    struct netname *n = netconfig_entry(config, inifile_get(text, "Link.Name"));

    if (mac.length == 0)
        mac = inifile_get(text, "Match.PermanentMACAddress");
    if (n && netname_set_mac(config, n, mac))
        n->pins = true;
}

static void read_netdev(struct netconfig *config, const char *file, const char *text)
{
    static const char *const lans[] = {"bridge", "bond", "team"};
    struct word kind = inifile_get(text, "NetDev.Kind"), name = inifile_get(text, "NetDev.Name");
    struct netname *n = memchr(name.at, '.', name.length) ? NULL : netconfig_entry(config, name);

    if (n)
        n->kind = word_is_any(kind, lans, ARRAY_SIZE(lans)) ? NET_BRIDGE
                  : word_is(kind, "vlan")                   ? NET_VLAN
                                                            : NET_OTHER;
}

static struct word upper_of(const char *text)
{
    struct word upper = inifile_get(text, "Network.Bridge");

    return upper.length > 0 ? upper : inifile_get(text, "Network.Bond");
}

static void read_network(struct netconfig *config, const char *file, const char *text)
{
    struct word names = inifile_get(text, "Match.Name"),
                mac = inifile_get(text, "Match.MACAddress");
    struct word upper = upper_of(text);
    const char *at = names.at, *end = at + names.length;
    struct netname *n = NULL, *u = netconfig_entry(config, upper);

    if (u)
        u->kind = NET_BRIDGE;
    for (struct word w = word_next(&at, end); w.length > 0; w = word_next(&at, end)) {
        netconfig_pattern(config, w);
        n = memchr(w.at, '.', w.length) ? NULL : netconfig_entry(config, w);
        if (n && u && n != u)
            memcpy(n->upper, u->name, sizeof(u->name));
    }
    if (names.length == 0)
        n = netconfig_by_mac(config, mac);
    if (n && u && names.length == 0)
        memcpy(n->upper, u->name, sizeof(u->name));
    if (n && names.length > 0 && word_is(names, n->name))
        netname_set_mac(config, n, mac);
}

/* Match= keys that tell hardware the source's hypervisor made. */
static bool is_hardware(const struct iniline *l)
{
    return (iniline_is(l, "Match.Path") && !word_is(l->value, "*")) ||
           (iniline_is(l, "Match.Driver") && netwish_is_source_driver(l->value));
}

/* How much of a card its file tells without hardware. */
struct told {
    bool one; /* a name, or one MAC address */
    bool mac; /* a list of MAC addresses at least */
};

static struct told told_by(const char *text)
{
    struct word name = inifile_get(text, "Match.Name");
    struct word mac = inifile_get(text, "Match.MACAddress");
    char parsed[18];

    if (mac.length == 0)
        mac = inifile_get(text, "Match.PermanentMACAddress");
    return (struct told){.one = mac_parse(mac.at, mac.length, parsed) ||
                                netname_is_valid(name.at, name.length),
                         .mac = mac.length > 0};
}

/* Matches by the source's driver mean all cards; those by its bus mean one of them. */
static void rewrite_hardware(const struct netwish *wish, const struct iniline *l, struct told *told,
                             struct netedit *edit)
{
    bool driver = iniline_is(l, "Match.Driver");

    if (told->one || (told->mac && driver)) {
        netedit_comment(edit, l->line);
        netedit_what(edit, "it no longer asks for %.*s", (int)l->value.length, l->value.at);
        return;
    }
    if (wish->nic_count == 0 || told->mac || (wish->nic_count > 1 && !driver)) {
        netedit_keep(edit, l->line);
        netedit_warn(edit,
                     "it asks for '%.*s', which no card may be any more; give it the card's "
                     "MACAddress= instead",
                     (int)l->value.length, l->value.at);
        return;
    }
    if (wish->nic_count > 1) { /* a list of MAC addresses is understood from systemd 239 on */
        netedit_replace(edit, l->line, l->value, "virtio_net");
        netedit_what(edit, "it asks for the driver virtio_net");
        return;
    }
    buffer_printf(&edit->out, "MACAddress=%s\n", wish->nics[0].mac);
    netedit_what(edit, "it goes by MAC address instead of %.*s", (int)l->value.length, l->value.at);
    *told = (struct told){.one = true, .mac = true};
}

/* What a file with [Match] needs whether it is a .network or a .link; false: nothing. */
static bool rewrite_match(const struct netwish *wish, const struct iniline *l, struct told *told,
                          const char *mac, struct netedit *edit)
{
    if (is_hardware(l)) {
        rewrite_hardware(wish, l, told, edit);
        return true;
    }
    if (!mac || !(iniline_is(l, "Match.MACAddress") || iniline_is(l, "Match.PermanentMACAddress")))
        return false;
    netedit_replace(edit, l->line, l->value, mac);
    netedit_what(edit, "it is for the card with MAC %s", mac);
    return true;
}

static void rewrite_link(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct word old = inifile_get(text, "Match.MACAddress");
    struct iniline l = {.section = {text, 0}};
    struct told told = told_by(text);
    const char *mac;

    if (old.length == 0)
        old = inifile_get(text, "Match.PermanentMACAddress");
    mac = netwish_mac(wish, inifile_get(text, "Link.Name"), old);
    while (inifile_next(&text, &l))
        if (!rewrite_match(wish, &l, &told, mac, edit))
            netedit_keep(edit, l.line);
}

/* What keeps a section is decided at its header: all of [Address], and [Route] without a
 * destination, which is the default route. */
static bool section_is_fixed(const char *rest, struct word section)
{
    struct iniline l = {.section = section};
    bool gateway = false;

    if (word_is(section, "Address"))
        return true;
    if (!word_is(section, "Route"))
        return false;
    while (inifile_next(&rest, &l) && !l.is_header) {
        if (iniline_is(&l, "Route.Destination") && !word_is(l.value, "0.0.0.0/0") &&
            !word_is(l.value, "::/0"))
            return false;
        gateway |= iniline_is(&l, "Route.Gateway");
    }
    return gateway;
}

static bool has_address(const char *text)
{
    return inifile_get(text, "Network.Address").length > 0 ||
           inifile_get(text, "Address.Address").length > 0;
}

static bool to_dhcp(const struct netwish *wish, const char *text)
{
    struct word names = inifile_get(text, "Match.Name");
    const char *at = names.at, *end = at + names.length;
    struct word w = word_next(&at, end);

    if (!wish->dhcp || upper_of(text).length > 0 || !has_address(text))
        return false;
    do {
        if (netwish_dhcp(wish, w))
            return true;
        w = word_next(&at, end);
    } while (w.length > 0);
    return false;
}

static void rewrite_dhcp(const struct iniline *l, const char *rest, bool *dropping, bool *added,
                         struct netedit *edit)
{
    if (l->is_header)
        *dropping = section_is_fixed(rest, l->section);
    if (*dropping && word_trim(l->line).length > 0) {
        netedit_comment(edit, l->line);
    } else if (iniline_is(l, "Network.Address") || iniline_is(l, "Network.Gateway") ||
               iniline_is(l, "Network.DHCP")) {
        netedit_comment(edit, l->line);
    } else {
        netedit_keep(edit, l->line);
    }
    if (l->is_header && word_is(l->section, "Network") && !*added) {
        buffer_add_text(&edit->out, "DHCP=yes\n");
        netedit_what(edit, "the address comes from DHCP");
        *added = true;
    }
}

static void rewrite_network(const struct netwish *wish, const char *file, const char *text,
                            struct netedit *edit)
{
    struct iniline l = {.section = {text, 0}};
    struct told told = told_by(text);
    bool dhcp = to_dhcp(wish, text);
    bool dropping = false, added = false;
    const char *mac =
        netwish_mac(wish, inifile_get(text, "Match.Name"), inifile_get(text, "Match.MACAddress"));

    while (inifile_next(&text, &l)) {
        if (rewrite_match(wish, &l, &told, mac, edit))
            continue;
        if (dhcp)
            rewrite_dhcp(&l, text, &dropping, &added, edit);
        else
            netedit_keep(edit, l.line);
    }
}

#define SYSTEMD "/etc/systemd/network"

const struct netstyle netstyle_network = {
    .name = "networkd",
    .directory = SYSTEMD,
    .takes = is_network,
    .read = read_network,
    .rewrite = rewrite_network,
};

const struct netstyle netstyle_netdev = {
    .name = "networkd",
    .directory = SYSTEMD,
    .takes = is_netdev,
    .read = read_netdev,
};

const struct netstyle netstyle_link = {
    .name = ".link",
    .directory = SYSTEMD,
    .takes = is_link,
    .read = read_link,
    .rewrite = rewrite_link,
};

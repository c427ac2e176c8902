/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkManager's connections; format: nm-settings-keyfile(5).  They hold passwords:
 * NetworkManager reads them only while nobody else can, which rewriting keeps. */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/inifile.h"
#include "morph/netstyle.h"

/* Before 1.20 the files had no suffix. */
static bool is_keyfile(const char *file)
{
    return *file != '.' && file[strlen(file) - 1] != '~' && !strstr(file, ".bak") &&
           !strstr(file, ".orig") && !strstr(file, ".rpm");
}

static struct word first_of(const char *text, const char *const *names, size_t count)
{
    struct word value = {text, 0};

    for (size_t i = 0; i < count && value.length == 0; i++)
        value = inifile_get(text, names[i]);
    return value;
}

static struct word upper_of(const char *text)
{
    static const char *const names[] = {"connection.controller", "connection.master"};

    return first_of(text, names, ARRAY_SIZE(names));
}

static struct word mac_of(const char *text)
{
    static const char *const names[] = {"ethernet.mac-address", "802-3-ethernet.mac-address"};

    return first_of(text, names, ARRAY_SIZE(names));
}

static enum netkind kind_of(const char *text)
{
    static const char *const cards[] = {"ethernet", "802-3-ethernet"};
    static const char *const lans[] = {"bridge", "bond", "team", "ovs-bridge"};
    struct word type = inifile_get(text, "connection.type");

    if (word_is_any(type, cards, ARRAY_SIZE(cards)))
        return NET_CARD;
    if (word_is_any(type, lans, ARRAY_SIZE(lans)))
        return NET_BRIDGE;
    return word_is(type, "vlan") ? NET_VLAN : NET_OTHER;
}

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    static const char *const parents[] = {"vlan.parent", "macvlan.parent"};
    struct word name = inifile_get(text, "connection.interface-name"), mac = mac_of(text);
    struct word uuid = inifile_get(text, "connection.uuid"), upper = upper_of(text);
    enum netkind kind = kind_of(text);
    struct netname *n;

    netconfig_entry(config, first_of(text, parents, ARRAY_SIZE(parents)));
    if (memchr(name.at, '.', name.length))
        return; /* a VLAN's name, which stands for its card */
    n = name.length > 0 ? netconfig_entry(config, name) : netconfig_by_mac(config, mac);
    if (!n)
        return;
    if (name.length > 0)
        n->kind = kind;
    netname_set_mac(config, n, mac);
    if (uuid.length == 36)
        memcpy(n->uuid, uuid.at, uuid.length);
    if (upper.length > 0 && upper.length < sizeof(n->upper) && !word_is(upper, n->name)) {
        memset(n->upper, 0, sizeof(n->upper));
        memcpy(n->upper, upper.at, upper.length);
    }
}

/* address, address1, addresses; with the options that belong to one: address1... only. */
static bool is_fixed(const struct iniline *l)
{
    static const char *const keys[] = {"gateway", "addresses", "address-labels"};

    if (!word_is(l->section, "ipv4") && !word_is(l->section, "ipv6"))
        return false;
    if (word_is_any(l->key, keys, ARRAY_SIZE(keys)))
        return true;
    return l->key.length >= 7 && strncmp(l->key.at, "address", 7) == 0 &&
           strspn(l->key.at + 7, "0123456789") == l->key.length - 7;
}

static bool is_mac(const struct iniline *l)
{
    return iniline_is(l, "ethernet.mac-address") || iniline_is(l, "802-3-ethernet.mac-address");
}

static bool is_hardware_match(const struct iniline *l)
{
    return iniline_is(l, "match.driver") || iniline_is(l, "match.path");
}

/* Is this connection's fixed address to become DHCP? */
static bool to_dhcp(const struct netwish *wish, const char *text)
{
    enum netkind kind = kind_of(text);

    if ((kind != NET_CARD && kind != NET_BRIDGE) || upper_of(text).length > 0)
        return false;
    return netwish_dhcp(wish, inifile_get(text, "connection.interface-name"));
}

static void rewrite_line(const struct netwish *wish, struct iniline *l, const char *mac, bool dhcp,
                         struct netedit *edit)
{
    bool method = iniline_is(l, "ipv4.method") || iniline_is(l, "ipv6.method");
    bool manual = word_is(l->value, "manual");

    if (is_mac(l) && mac) {
        netedit_replace(edit, l->line, l->value, mac);
        netedit_what(edit, "it is for the card with MAC %s", mac);
    } else if (is_hardware_match(l) && wish->nic_count == 1) {
        netedit_comment(edit, l->line);
        netedit_what(edit, "it no longer asks for the source's kind of card");
    } else if (dhcp && method && manual) {
        netedit_replace(edit, l->line, l->value, "auto");
        netedit_what(edit, "the address comes from DHCP");
    } else if (dhcp && is_fixed(l)) {
        netedit_comment(edit, l->line);
    } else {
        netedit_keep(edit, l->line);
    }
    if (is_hardware_match(l) && wish->nic_count != 1)
        netedit_warn(edit, "it asks for '%.*s', which no card may be any more",
                     (int)l->value.length, l->value.at);
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct word name = inifile_get(text, "connection.interface-name");
    const char *mac = netwish_mac(wish, name, mac_of(text));
    struct iniline l = {.section = {text, 0}};
    bool dhcp = to_dhcp(wish, text) && (word_is(inifile_get(text, "ipv4.method"), "manual") ||
                                        word_is(inifile_get(text, "ipv6.method"), "manual"));

    while (inifile_next(&text, &l))
        rewrite_line(wish, &l, mac, dhcp, edit);
}

const struct netstyle netstyle_keyfile = {
    .name = "NetworkManager",
    .directory = "/etc/NetworkManager/system-connections",
    .takes = is_keyfile,
    .read = read_text,
    .rewrite = rewrite_text,
};

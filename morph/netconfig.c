/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/netconfig.h"

#include <ctype.h>
#include <string.h>
#include <sys/types.h>

#include "base/align.h"

/* A piece of the text being read. */
struct word {
    const char *at;
    size_t length;
};

bool netname_is_valid(const char *name, size_t length)
{
    if (length == 0 || length >= NETNAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

bool mac_parse(const char *text, size_t length, char ret_mac[18])
{
    if (length != 17)
        return false;
    for (size_t i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' && text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    for (size_t i = 0; i < 17; i++)
        ret_mac[i] = i % 3 == 2 ? ':' : (char)tolower((unsigned char)text[i]);
    ret_mac[17] = '\0';
    return true;
}

static bool word_is(struct word w, const char *text)
{
    return w.length == strlen(text) && strncmp(w.at, text, w.length) == 0;
}

/* The next blank-separated word before `end`. */
static struct word word_next(const char **at, const char *end)
{
    struct word w;

    while (*at < end && strchr(" \t\r", **at))
        (*at)++;
    w.at = *at;
    while (*at < end && !strchr(" \t\r", **at))
        (*at)++;
    w.length = (size_t)(*at - w.at);
    return w;
}

/* The next line of *text; false at the end. */
static bool line_next(const char **text, const char **ret_start, const char **ret_end)
{
    if (!**text)
        return false;
    *ret_start = *text;
    *ret_end = *text + strcspn(*text, "\n");
    *text = *ret_end + (**ret_end == '\n');
    return true;
}

/* The entry for a name, made when it is new; NULL for names that cannot be. */
static struct netname *entry(struct netconfig *config, struct word name)
{
    struct netname *n;

    if (!netname_is_valid(name.at, name.length) || word_is(name, "lo"))
        return NULL;
    for (size_t i = 0; i < config->count; i++)
        if (word_is(name, config->items[i].name))
            return &config->items[i];
    if (config->count == NETNAMES_MAX)
        return NULL;
    n = &config->items[config->count++];
    *n = (struct netname){0};
    memcpy(n->name, name.at, name.length);
    return n;
}

static bool is_virtual_prefix(const char *name)
{
    static const char *const prefixes[] = {"br", "bond", "dummy", "tun",    "tap",
                                           "wg", "vlan", "veth",  "docker", "virbr"};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* eth0.5 is a VLAN on eth0 and eth0:1 an alias of it. */
static struct netname *interface_entry(struct netconfig *config, struct word name)
{
    struct netname *n;

    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] == '.' || name.at[i] == ':')
            name.length = i;
    n = entry(config, name);
    if (n && is_virtual_prefix(n->name))
        n->is_virtual = true;
    return n;
}

/* The cards a bridge, bond or VLAN is made of. */
static void read_members(struct netconfig *config, struct netname *upper, const char *at,
                         const char *end)
{
    upper->is_virtual = true;
    for (struct word w = word_next(&at, end); w.length > 0; w = word_next(&at, end))
        if (!word_is(w, "none") && !word_is(w, "auto") && !word_is(w, "all"))
            interface_entry(config, w);
}

void netconfig_read_interfaces(struct netconfig *config, const char *text)
{
    static const char *const members[] = {"bridge_ports",   "bridge-ports", "bond-slaves",
                                          "bond_slaves",    "slaves",       "vlan-raw-device",
                                          "vlan_raw_device"};
    const char *at, *end;
    ssize_t current = -1; /* an index: entries never move */

    while (line_next(&text, &at, &end)) {
        struct word key = word_next(&at, end), value;

        if (word_is(key, "iface")) {
            struct netname *n = interface_entry(config, word_next(&at, end));

            current = n ? n - config->items : -1;
            continue;
        }
        if (current < 0 || key.length == 0)
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
            if (word_is(key, members[i]))
                read_members(config, &config->items[current], at, end);
        if (!word_is(key, "hwaddress"))
            continue;
        value = word_next(&at, end);
        if (word_is(value, "ether"))
            value = word_next(&at, end);
        mac_parse(value.at, value.length, config->items[current].mac);
    }
}

/* What stands in quotes behind `key` in the line. */
static struct word quoted(const char *line, const char *end, const char *key)
{
    const char *at = memmem(line, (size_t)(end - line), key, strlen(key)), *close;
    struct word none = {line, 0};

    if (!at)
        return none;
    at += strlen(key);
    close = memchr(at, '"', (size_t)(end - at));
    return close ? (struct word){at, (size_t)(close - at)} : none;
}

void netconfig_read_rules(struct netconfig *config, const char *text)
{
    const char *at, *end;

    while (line_next(&text, &at, &end)) {
        struct word mac = quoted(at, end, "ATTR{address}==\""), name = quoted(at, end, " NAME=\"");
        char parsed[18];
        struct netname *n;

        if (name.length == 0)
            name = quoted(at, end, ",NAME=\"");
        if (*at == '#' || !mac_parse(mac.at, mac.length, parsed))
            continue;
        n = entry(config, name);
        if (!n)
            continue;
        memcpy(n->mac, parsed, sizeof(parsed));
        n->pins = true;
    }
}

/* The values of up to `count` keys "Section.Key" of an ini file; the first of each counts. */
static void ini_read(const char *text, const char *const *keys, struct word *values, size_t count)
{
    struct word section = {text, 0};
    const char *at, *end;

    while (line_next(&text, &at, &end)) {
        const char *equals;

        while (at < end && isspace((unsigned char)*at))
            at++;
        while (end > at && isspace((unsigned char)end[-1]))
            end--;
        if (at < end && *at == '[' && end[-1] == ']')
            section = (struct word){at + 1, (size_t)(end - at - 2)};
        equals = memchr(at, '=', (size_t)(end - at));
        if (at == end || strchr("#;[", *at) || !equals)
            continue;
        for (size_t i = 0; i < count; i++) {
            size_t dot = strcspn(keys[i], ".");
            size_t n = strlen(keys[i] + dot + 1);
            size_t key = (size_t)(equals - at);

            while (key > 0 && isspace((unsigned char)at[key - 1]))
                key--;
            if (values[i].length == 0 && section.length == dot &&
                strncmp(section.at, keys[i], dot) == 0 && key == n &&
                strncmp(at, keys[i] + dot + 1, n) == 0) {
                equals++;
                while (equals < end && isspace((unsigned char)*equals))
                    equals++;
                values[i] = (struct word){equals, (size_t)(end - equals)};
                break;
            }
        }
    }
}

static void record(struct netconfig *config, struct word name, struct word mac, bool pins)
{
    struct netname *n = entry(config, name);

    if (!n)
        return;
    if (mac_parse(mac.at, mac.length, n->mac) && pins)
        n->pins = true;
    if (is_virtual_prefix(n->name))
        n->is_virtual = true;
}

void netconfig_read_link(struct netconfig *config, const char *text)
{
    static const char *const keys[] = {"Match.MACAddress", "Match.PermanentMACAddress",
                                       "Link.Name"};
    struct word v[3] = {{text, 0}, {text, 0}, {text, 0}};

    ini_read(text, keys, v, 3);
    record(config, v[2], v[0].length ? v[0] : v[1], true);
}

void netconfig_read_network(struct netconfig *config, const char *text)
{
    static const char *const keys[] = {"Match.Name", "Match.MACAddress"};
    struct word v[2] = {{text, 0}, {text, 0}};

    ini_read(text, keys, v, 2);
    record(config, v[0], v[1], false);
}

void netconfig_read_keyfile(struct netconfig *config, const char *text)
{
    static const char *const keys[] = {"connection.type", "connection.interface-name",
                                       "ethernet.mac-address", "802-3-ethernet.mac-address"};
    struct word v[4] = {{text, 0}, {text, 0}, {text, 0}, {text, 0}};

    ini_read(text, keys, v, 4);
    if (word_is(v[0], "ethernet") || word_is(v[0], "802-3-ethernet"))
        record(config, v[1], v[2].length ? v[2] : v[3], false);
}

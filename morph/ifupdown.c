/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/network/interfaces of ifupdown, ifupdown-ng and busybox (Debian, Ubuntu up to 17.04,
 * Alpine); format: interfaces(5).
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

/* run-parts's names, and what clouds write. */
static bool is_part(const char *file)
{
    size_t length = strlen(file);

    return *file != '.' && length > 0 && file[length - 1] != '~' && !strstr(file, ".dpkg-") &&
           !strstr(file, ".bak") && !strstr(file, ".orig");
}

static struct word line_words(struct word line, const char **ret_rest)
{
    const char *at = line.at;
    struct word first = word_next(&at, line.at + line.length);

    *ret_rest = at;
    return first;
}

bool interfaces_next_source(const char **text, char **ret_pattern)
{
    struct word line;

    while (line_next(text, &line)) {
        const char *rest;
        struct word key = line_words(line, &rest), path;
        bool directory = word_is(key, "source-directory");

        path = word_next(&rest, line.at + line.length);
        if ((!directory && !word_is(key, "source")) || path.length == 0)
            continue;
        *ret_pattern = str_format("%s%.*s%s", *path.at == '/' ? "" : "/etc/network/",
                                  (int)path.length, path.at, directory ? "/*" : "");
        return true;
    }
    return false;
}

/* Options that name the cards an interface is made of. */
static bool names_members(struct word key)
{
    static const char *const members[] = {"bridge_ports", "bridge-ports", "bond-slaves",
                                          "bond_slaves",  "slaves",       "team-ports"};

    return word_is_any(key, members, ARRAY_SIZE(members));
}

static void read_option(struct netconfig *config, struct netname *n, struct word key,
                        struct word value)
{
    static const char *const raw[] = {"vlan-raw-device", "vlan_raw_device"};
    const char *at = value.at, *end = at + value.length;

    if (names_members(key)) {
        n->kind = NET_BRIDGE;
        netconfig_members(config, n, value);
    } else if (word_is_any(key, raw, ARRAY_SIZE(raw))) {
        n->kind = NET_VLAN;
        netconfig_entry(config, word_trim(value));
    } else if (word_is(key, "bond-master") || word_is(key, "bond_master")) {
        struct netname *upper = netconfig_entry(config, word_trim(value));

        if (upper && upper != n) {
            upper->kind = NET_BRIDGE;
            memcpy(n->upper, upper->name, sizeof(upper->name));
        }
    } else if (word_is(key, "hwaddress")) {
        struct word mac = word_next(&at, end);

        if (word_is(mac, "ether"))
            mac = word_next(&at, end);
        netname_set_mac(config, n, mac);
    }
}

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    struct netname *current = NULL;
    struct word line;

    while (line_next(&text, &line)) {
        const char *rest;
        struct word key = line_words(line, &rest);
        const char *end = line.at + line.length;

        if (word_is(key, "iface"))
            current = netconfig_entry(config, word_next(&rest, end));
        else if (current && key.length > 0)
            read_option(config, current, key, (struct word){rest, (size_t)(end - rest)});
    }
}

/* Each costs a look through the file. */
#define ALIASES_MAX 256

/* A file on its way to DHCP. */
struct stanza {
    struct netedit *edit;
    const struct netwish *wish;
    enum stanza_fate { STANZA_KEEP, STANZA_DHCP, STANZA_DROP } doing;
    struct word name, family;
    const char *text;     /* all of it */
    const char *rest;     /* what is behind this line */
    unsigned aliases;     /* looked for so far */
    bool continued;       /* the line before ended in a backslash */
    bool line_dropped;    /* and was made a comment */
    struct buffer served; /* "ens192/inet " of what has DHCP already */
};

static bool served(struct stanza *s)
{
    _cleanup_free_ char *key = str_format(" %.*s/%.*s ", (int)s->name.length, s->name.at,
                                          (int)s->family.length, s->family.at);

    if (s->served.data && strstr(s->served.data, key))
        return true;
    buffer_add_text(&s->served, key);
    return false;
}

/* Does the stanza that goes on in `text` make the interface part of something, or name what it is
 * made of? */
static bool has_members(const char *text)
{
    struct word line;
    const char *rest;

    while (line_next(&text, &line)) {
        struct word key = line_words(line, &rest);

        if (word_is(key, "iface"))
            return false;
        if (names_members(key) || word_is(key, "bond-master") || word_is(key, "bond_master") ||
            word_is(key, "vlan-raw-device") || word_is(key, "vlan_raw_device"))
            return true;
    }
    return false;
}

static enum stanza_fate what_to_do(struct stanza *s, struct word method)
{
    const char *colon = memchr(s->name.at, ':', s->name.length);
    struct word card = {s->name.at, colon ? (size_t)(colon - s->name.at) : s->name.length};
    bool again;

    if (word_is(method, "dhcp") || word_is(method, "auto"))
        served(s);
    if (!word_is(method, "static") || !netwish_dhcp(s->wish, card) ||
        (!word_is(s->family, "inet") && !word_is(s->family, "inet6")))
        return STANZA_KEEP;
    again = colon || served(s);
    if (again && has_members(s->rest)) {
        netedit_warn(s->edit, "a further fixed address of %.*s stays", (int)card.length, card.at);
        return STANZA_KEEP;
    }
    return again ? STANZA_DROP : STANZA_DHCP;
}

/* "iface NAME inet static": what becomes of the stanza it begins. */
static void begin_iface(struct stanza *s, struct word line, const char *rest)
{
    const char *end = line.at + line.length;
    struct word method;

    s->name = word_next(&rest, end);
    s->family = word_next(&rest, end);
    method = word_next(&rest, end);
    s->doing = what_to_do(s, method);
    if (s->doing == STANZA_DHCP)
        netedit_replace(s->edit, line, method, word_is(s->family, "inet6") ? "auto" : "dhcp");
    else if (s->doing == STANZA_DROP)
        netedit_comment(s->edit, line);
    else
        netedit_keep(s->edit, line);
    s->line_dropped = s->doing == STANZA_DROP;
    if (s->doing == STANZA_DHCP)
        netedit_what(s->edit, "%.*s gets its %s address by %s", (int)s->name.length, s->name.at,
                     word_is(s->family, "inet6") ? "IPv6" : "IPv4",
                     word_is(s->family, "inet6") ? "router advertisement" : "DHCP");
    else if (s->doing == STANZA_DROP)
        netedit_what(s->edit, "a further fixed address of %.*s is a comment", (int)s->name.length,
                     s->name.at);
}

/* Will nothing be left of the alias eth0:1? */
static bool alias_goes(const struct stanza *s, struct word alias)
{
    const char *colon = memchr(alias.at, ':', alias.length), *text = s->text, *rest;
    struct word line;
    bool found = false;

    if (!colon || !netwish_dhcp(s->wish, (struct word){alias.at, (size_t)(colon - alias.at)}))
        return false;
    while (line_next(&text, &line)) {
        struct word key = line_words(line, &rest), name, family;
        const char *end = line.at + line.length;

        name = word_next(&rest, end);
        family = word_next(&rest, end);
        if (!word_is(key, "iface") || name.length != alias.length ||
            memcmp(name.at, alias.at, name.length) != 0)
            continue;
        if (!word_is(word_next(&rest, end), "static") || has_members(text) ||
            (!word_is(family, "inet") && !word_is(family, "inet6")))
            return false;
        found = true;
    }
    return found;
}

/* "auto eth0 eth0:1": ifup fails at an alias that no stanza is for. */
static bool rewrite_auto(struct stanza *s, struct word line, struct word key, const char *rest)
{
    const char *end = line.at + line.length;
    _cleanup_buffer_ struct buffer names = {0};
    bool goes = false;

    for (struct word w = word_next(&rest, end); w.length > 0; w = word_next(&rest, end)) {
        if (memchr(w.at, ':', w.length) && ++s->aliases <= ALIASES_MAX && alias_goes(s, w))
            goes = true;
        else
            buffer_printf(&names, " %.*s", (int)w.length, w.at);
    }
    if (!goes || end[-1] == '\\')
        return false;
    netedit_comment(s->edit, line);
    if (names.length > 0) {
        if (*end != '\n')
            buffer_add_text(&s->edit->out, "\n");
        buffer_printf(&s->edit->out, "%.*s%s\n", (int)key.length, key.at, names.data);
    }
    return true;
}

/* A command that sets what DHCP now sets is for a person to look at. */
static void warn_of_command(struct stanza *s, struct word key, struct word line)
{
    static const char *const commands[] = {"up", "post-up", "pre-up"};

    if (s->doing == STANZA_DHCP && word_is_any(key, commands, ARRAY_SIZE(commands)) &&
        (memmem(line.at, line.length, "default", 7) || memmem(line.at, line.length, "addr ", 5)))
        netedit_warn(s->edit, "a command of %.*s stays that sets an address or default route",
                     (int)s->name.length, s->name.at);
}

static void rewrite_line(struct stanza *s, struct word line)
{
    static const char *const fixed[] = {"address", "netmask", "gateway",     "broadcast",
                                        "network", "scope",   "pointopoint", "preferred-lifetime"};
    static const char *const heads[] = {"auto",   "mapping",  "source",       "source-directory",
                                        "rename", "template", "no-auto-down", "no-scripts"};
    const char *rest;
    struct word key = line_words(line, &rest);
    bool starts = word_is(key, "auto") || (key.length > 6 && strncmp(key.at, "allow-", 6) == 0);

    if (s->continued) {
        s->line_dropped ? netedit_comment(s->edit, line) : netedit_keep(s->edit, line);
        return;
    }
    s->line_dropped = false;
    if (word_is(key, "iface")) {
        begin_iface(s, line, rest);
        return;
    }
    if (word_is_any(key, heads, ARRAY_SIZE(heads)) || starts) {
        s->doing = STANZA_KEEP;
        if (starts && rewrite_auto(s, line, key, rest))
            return;
    }
    if (key.length > 0 && *key.at != '#')
        s->line_dropped = s->doing == STANZA_DROP ||
                          (s->doing == STANZA_DHCP && word_is_any(key, fixed, ARRAY_SIZE(fixed)));
    s->line_dropped ? netedit_comment(s->edit, line) : netedit_keep(s->edit, line);
    warn_of_command(s, key, line);
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct stanza s = {.edit = edit, .wish = wish, .text = text};
    struct word line;

    while (wish->dhcp && line_next(&text, &line)) {
        s.rest = text;
        rewrite_line(&s, line);
        s.continued = line.length > 0 && line.at[line.length - 1] == '\\';
    }
    buffer_done(&s.served);
}

const struct netstyle netstyle_interfaces = {
    .name = "ifupdown",
    .directory = "/etc/network",
    .only = "interfaces",
    .read = read_text,
    .rewrite = rewrite_text,
};

const struct netstyle netstyle_interfaces_d = {
    .name = "ifupdown",
    .directory = "/etc/network/interfaces.d",
    .takes = is_part,
    .read = read_text,
    .rewrite = rewrite_text,
};

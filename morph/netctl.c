/* SPDX-License-Identifier: Apache-2.0 */
/* Arch's netctl: profiles that bash reads; format: netctl.profile(5). */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

static bool is_profile(const char *file)
{
    size_t length = strlen(file);

    return *file != '.' && file[length - 1] != '~' &&
           !(length > 5 && strcmp(file + length - 5, ".conf") == 0);
}

static enum netkind kind_of(struct word connection)
{
    if (word_is(connection, "ethernet"))
        return NET_CARD;
    if (word_is(connection, "bridge") || word_is(connection, "bond"))
        return NET_BRIDGE;
    return word_is(connection, "vlan") ? NET_VLAN : NET_OTHER;
}

/* ('eth0' "eth1") or eth0, put down as eth0 eth1. */
static char *plain_list(struct word value)
{
    char *list = str_format("%.*s", (int)value.length, value.at);

    for (char *p = list; *p; p++)
        if (strchr("()'\",", *p))
            *p = ' ';
    return list;
}

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    struct word name = shellvar_get(text, "Interface");
    struct netname *n;
    _cleanup_free_ char *below = plain_list(shellvar_get(text, "BindsToInterfaces"));

    if (memchr(name.at, '.', name.length))
        name.length = 0;
    n = netconfig_entry(config, name);
    if (!n)
        return;
    n->kind = kind_of(shellvar_get(text, "Connection"));
    if (n->kind == NET_BRIDGE)
        netconfig_members(config, n, WORD(below));
    else if (n->kind == NET_VLAN)
        netconfig_entry(config, word_trim(WORD(below)));
}

static bool to_dhcp(const struct netwish *wish, const char *text)
{
    enum netkind kind = kind_of(shellvar_get(text, "Connection"));

    return (kind == NET_CARD || kind == NET_BRIDGE) &&
           netwish_dhcp(wish, shellvar_get(text, "Interface")) &&
           (word_is(shellvar_get(text, "IP"), "static") ||
            word_is(shellvar_get(text, "IP6"), "static"));
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    static const char *const fixed[] = {"Address", "Gateway", "Address6", "Gateway6"};
    struct word line, name, value;
    bool inside = false; /* an array that is a comment */
    bool dhcp = to_dhcp(wish, text);

    while (dhcp && line_next(&text, &line)) {
        bool parsed = !inside && shellvar_parse(line, &name, &value);

        if (inside || (parsed && word_is_any(name, fixed, ARRAY_SIZE(fixed)))) {
            inside = (inside || (value.length > 0 && *value.at == '(')) &&
                     !memchr(line.at, ')', line.length);
            netedit_comment(edit, line);
        } else if (parsed && word_is(value, "static") &&
                   (word_is(name, "IP") || word_is(name, "IP6"))) {
            netedit_replace(edit, line, value, word_is(name, "IP") ? "dhcp" : "stateless");
            netedit_what(edit, "the address comes from DHCP");
        } else {
            netedit_keep(edit, line);
        }
    }
}

const struct netstyle netstyle_netctl = {
    .name = "netctl",
    .directory = "/etc/netctl",
    .takes = is_profile,
    .read = read_text,
    .rewrite = rewrite_text,
};

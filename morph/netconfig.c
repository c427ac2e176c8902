/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/netconfig.h"

#include <ctype.h>
#include <string.h>

#include "base/align.h"

/* A bond below a bridge below a bridge: deeper ones are not looked through. */
#define DEPTH_MAX 4

bool word_is(struct word w, const char *text)
{
    return w.length == strlen(text) && strncmp(w.at, text, w.length) == 0;
}

bool word_is_any(struct word w, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (word_is(w, texts[i]))
            return true;
    return false;
}

struct word word_next(const char **at, const char *end)
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

struct word word_trim(struct word w)
{
    while (w.length > 0 && isspace((unsigned char)*w.at))
        w.at++, w.length--;
    while (w.length > 0 && isspace((unsigned char)w.at[w.length - 1]))
        w.length--;
    return w;
}

bool line_next(const char **text, struct word *ret_line)
{
    if (!**text)
        return false;
    *ret_line = (struct word){*text, strcspn(*text, "\n")};
    *text += ret_line->length;
    *text += **text == '\n';
    return true;
}

bool netname_is_valid(const char *name, size_t length)
{
    if (length == 0 || length >= NETNAME_MAX || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !(name[i] && strchr("._-", name[i])))
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

/* What a name alone tells. */
static enum netkind kind_of_name(const char *name)
{
    static const struct {
        const char *prefix;
        enum netkind kind;
    } known[] = {
        {"br", NET_BRIDGE},  {"bond", NET_BRIDGE},   {"team", NET_BRIDGE},  {"vmbr", NET_BRIDGE},
        {"vlan", NET_VLAN},  {"dummy", NET_OTHER},   {"tun", NET_OTHER},    {"tap", NET_OTHER},
        {"wg", NET_OTHER},   {"veth", NET_OTHER},    {"docker", NET_OTHER}, {"virbr", NET_OTHER},
        {"ppp", NET_OTHER},  {"wl", NET_OTHER},      {"sit", NET_OTHER},    {"ib", NET_OTHER},
        {"cni", NET_OTHER},  {"lxc", NET_OTHER},     {"gre", NET_OTHER},    {"ipsec", NET_OTHER},
        {"isdn", NET_OTHER}, {"macvlan", NET_OTHER},
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strncmp(name, known[i].prefix, strlen(known[i].prefix)) == 0)
            return known[i].kind;
    return NET_CARD;
}

struct netname *netconfig_entry(struct netconfig *config, struct word name)
{
    struct netname *n;

    for (size_t i = 0; i < name.length; i++)
        if (name.at[i] == '.' || name.at[i] == ':')
            name.length = i;
    if (!netname_is_valid(name.at, name.length) || word_is(name, "lo"))
        return NULL;
    for (size_t i = 0; i < config->count; i++)
        if (word_is(name, config->items[i].name)) {
            config->items[i].configured |= config->configuring;
            return &config->items[i];
        }
    if (config->count == NETNAMES_MAX)
        return NULL;
    n = &config->items[config->count++];
    *n = (struct netname){.configured = config->configuring};
    memcpy(n->name, name.at, name.length);
    n->kind = kind_of_name(n->name);
    return n;
}

static bool is_known(const struct netconfig *config, const char *mac)
{
    for (size_t i = 0; i < config->nic_count; i++)
        if (strcmp(config->nics[i].mac, mac) == 0)
            return true;
    return false;
}

bool netname_set_mac(const struct netconfig *config, struct netname *n, struct word word)
{
    char mac[18];

    if (!mac_parse(word.at, word.length, mac))
        return false;
    if (n->mac[0] && (is_known(config, n->mac) || !is_known(config, mac)))
        return strcmp(n->mac, mac) == 0;
    if (strcmp(n->mac, mac) != 0)
        n->pins = n->rule = n->table = false;
    memcpy(n->mac, mac, sizeof(n->mac));
    return true;
}

struct netname *netconfig_by_mac(struct netconfig *config, struct word mac)
{
    struct netname n = {.kind = NET_LABEL};

    if ((mac.length > 0 && !mac_parse(mac.at, mac.length, n.mac)) || config->count == NETNAMES_MAX)
        return NULL;
    config->items[config->count] = n;
    return &config->items[config->count++];
}

void netconfig_pattern(struct netconfig *config, struct word name)
{
    if (name.length == 0 || name.length >= NETNAME_MAX ||
        config->pattern_count == NETPATTERNS_MAX ||
        (!memchr(name.at, '*', name.length) && !memchr(name.at, '?', name.length)))
        return;
    memcpy(config->patterns[config->pattern_count], name.at, name.length);
    config->patterns[config->pattern_count++][name.length] = '\0';
}

const struct netname *netconfig_find(const struct netconfig *config, const char *name)
{
    for (size_t i = 0; i < config->count; i++)
        if (strcmp(config->items[i].name, name) == 0)
            return &config->items[i];
    return NULL;
}

void netconfig_members(struct netconfig *config, const struct netname *upper, struct word members)
{
    static const char *const no_names[] = {"none", "auto", "all", "regex"};
    const char *at = members.at, *end = at + members.length;

    for (struct word w = word_next(&at, end); w.length > 0; w = word_next(&at, end)) {
        struct netname *member =
            word_is_any(w, no_names, ARRAY_SIZE(no_names)) ? NULL : netconfig_entry(config, w);

        if (member && member != upper)
            memcpy(member->upper, upper->name, sizeof(upper->name));
    }
}

static bool is_below(const struct netname *member, const struct netname *upper)
{
    return member->upper[0] && upper->name[0] &&
           (strcmp(member->upper, upper->name) == 0 ||
            (upper->uuid[0] && strcmp(member->upper, upper->uuid) == 0));
}

/* Marks what is below what is marked already; true when something was added. */
static bool mark_below(const struct netconfig *config, bool marked[NETNAMES_MAX])
{
    bool more = false;

    for (size_t u = 0; u < config->count; u++)
        for (size_t m = 0; marked[u] && m < config->count; m++)
            if (!marked[m] && is_below(&config->items[m], &config->items[u]))
                more = marked[m] = true;
    return more;
}

bool netconfig_is_lan(const struct netconfig *config, const char *name)
{
    const struct netname *n = netconfig_find(config, name);
    bool marked[NETNAMES_MAX] = {false};

    if (!n || n->upper[0] || (n->kind != NET_CARD && n->kind != NET_BRIDGE))
        return false;
    if (n->kind == NET_CARD)
        return true;
    marked[n - config->items] = true;
    for (int depth = 0; depth < DEPTH_MAX && mark_below(config, marked); depth++)
        ;
    for (size_t i = 0; i < config->count; i++)
        if (marked[i] && config->items[i].kind <= NET_LABEL)
            return true;
    return false;
}

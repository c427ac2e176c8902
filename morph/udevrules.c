/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udev rules that name network cards: 70-persistent-net.rules, as udev's generator wrote it until
 * systemd came, and what people wrote; format: udev(7).  A rule holds on the other platform when it
 * asks for the MAC address and for nothing else that the source's hardware told.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

#define KEYS_MAX 32
#define GENERATED "70-persistent-net.rules"

/* KEY{attribute}=="value" */
struct rulekey {
    struct word name; /* with its attribute */
    struct word op;
    struct word value;
};

struct rule {
    struct rulekey keys[KEYS_MAX];
    size_t count;
    struct word name; /* what it calls the card, or empty */
    char mac[18];     /* or "" */
    bool hardware;    /* it asks for something of the source's hardware */
};

static bool is_rules(const char *file)
{
    size_t length = strlen(file);

    return length > 6 && strcmp(file + length - 6, ".rules") == 0;
}

/* The next key of a rule; false at its end or at what cannot be read. */
static bool key_next(struct word *rest, struct rulekey *k)
{
    const char *at = rest->at, *end = at + rest->length, *quote;

    while (at < end && strchr(" \t\r\n,\\", *at))
        at++;
    k->name.at = at;
    while (at < end && !strchr("=!+-:\"", *at))
        at += *at == '{' && memchr(at, '}', (size_t)(end - at))
                  ? (const char *)memchr(at, '}', (size_t)(end - at)) - at + 1
                  : 1;
    k->name.length = (size_t)(at - k->name.at);
    k->name = word_trim(k->name);
    k->op.at = at;
    while (at < end && strchr("=!+-:", *at))
        at++;
    k->op.length = (size_t)(at - k->op.at);
    while (at < end && strchr(" \t", *at))
        at++;
    if (at == end || *at != '"' || k->op.length == 0)
        return false;
    quote = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (!quote)
        return false;
    k->value = (struct word){at + 1, (size_t)(quote - at - 1)};
    *rest = (struct word){quote + 1, (size_t)(end - quote - 1)};
    return true;
}

static bool is_address(const struct rulekey *k)
{
    static const char *const names[] = {"ATTR{address}", "ATTRS{address}", "SYSFS{address}"};

    return word_is_any(k->name, names, ARRAY_SIZE(names)) && word_is(k->op, "==");
}

/* True for what any Ethernet card on any platform fulfils. */
static bool holds_anywhere(const struct rulekey *k)
{
    static const char *const any[] = {"SUBSYSTEM",   "SUBSYSTEMS",   "ACTION",
                                      "ATTR{type}",  "ATTR{dev_id}", "ATTR{dev_port}",
                                      "SYSFS{type}", "ENV{DEVTYPE}", "ENV{INTERFACE}"};

    if (!word_is(k->op, "=="))
        return true; /* assignments, and what must not be */
    if (word_is_any(k->name, any, ARRAY_SIZE(any)) || is_address(k))
        return true;
    if (word_is(k->name, "DRIVERS") || word_is(k->name, "DRIVER"))
        return word_is(k->value, "?*") || word_is(k->value, "*") ||
               strncmp(k->value.at, "virtio", 6) == 0;
    if (word_is(k->name, "KERNEL"))
        return k->value.length > 0 && k->value.at[k->value.length - 1] == '*' &&
               (k->value.length == 1 || strncmp(k->value.at, "eth", 3) == 0);
    return false;
}

/* Reads one rule; false when it does not name a network card. */
static bool rule_parse(struct word text, struct rule *r)
{
    bool net = false;

    *r = (struct rule){0};
    text = word_trim(text);
    if (text.length == 0 || *text.at == '#')
        return false;
    while (r->count < KEYS_MAX && key_next(&text, &r->keys[r->count])) {
        const struct rulekey *k = &r->keys[r->count++];

        if (word_is(k->name, "NAME") && !word_is(k->op, "==") && !word_is(k->op, "!="))
            r->name = k->value;
        if (is_address(k))
            net |= mac_parse(k->value.at, k->value.length, r->mac);
        net |= strncmp(k->name.at, "SUBSYSTEM", 9) == 0 && word_is(k->value, "net");
        r->hardware |= !holds_anywhere(k);
    }
    return net && r->name.length > 0 && netname_is_valid(r->name.at, r->name.length);
}

/* The next rule with the lines it goes on in. */
static bool rule_next(const char **text, struct word *ret_lines)
{
    struct word line;
    bool found = false;

    while (line_next(text, &line)) {
        if (!found)
            *ret_lines = line;
        ret_lines->length = (size_t)(line.at + line.length - ret_lines->at);
        found = true;
        if (line.length == 0 || line.at[line.length - 1] != '\\' || *line.at == '#')
            break;
    }
    return found;
}

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    struct word lines;
    struct rule r;

    while (rule_next(&text, &lines)) {
        struct netname *n = rule_parse(lines, &r) ? netconfig_entry(config, r.name) : NULL;

        if (n && r.mac[0] && netname_set_mac(config, n, WORD(r.mac)))
            n->pins = n->rule = !r.hardware;
    }
}

static bool mac_is_ours(const struct netwish *wish, const char *mac)
{
    for (size_t i = 0; i < wish->nic_count; i++)
        if (strcmp(wish->nics[i].mac, mac) == 0)
            return true;
    return false;
}

static const char *name_of(const struct netwish *wish, const char *mac)
{
    for (size_t i = 0; i < wish->pin_count; i++)
        if (strcmp(wish->pins[i].mac, mac) == 0)
            return wish->pins[i].name;
    return NULL;
}

/* Would this rule do nothing, or the wrong thing, among the new cards? */
static bool is_obsolete(const struct netwish *wish, const struct rule *r)
{
    const char *name = name_of(wish, r->mac), *mac = netwish_pinned(wish, r->name);

    if (r->mac[0] && mac_is_ours(wish, r->mac))
        return name && (r->hardware || !word_is(r->name, name));
    if (r->mac[0])
        return mac != NULL; /* a card that is gone holds a name that is in use */
    return r->hardware && wish->pin_count > 0;
}

/* A rule of several lines becomes several comments. */
static void comment_lines(struct netedit *edit, struct word lines)
{
    const char *end = lines.at + lines.length;

    while (lines.at <= end) {
        const char *newline = memchr(lines.at, '\n', (size_t)(end - lines.at));
        struct word line = {lines.at, (size_t)((newline ? newline : end) - lines.at)};

        netedit_comment(edit, line);
        lines.at += line.length + 1;
    }
}

/* The guest's own rule is enough. */
static bool is_ruled(const struct netwish *wish, const struct pin *pin)
{
    const struct netname *n = netconfig_find(wish->config, pin->name);

    return n && n->rule && strcmp(n->mac, pin->mac) == 0;
}

/* The last rule may lack its newline, or go on in a line that is not there. */
static void end_rule(struct buffer *out)
{
    if (out->length > 0 && out->data[out->length - 1] != '\n')
        buffer_add_text(out, "\n");
    if (out->length > 1 && out->data[out->length - 2] == '\\')
        buffer_add_text(out, "\n");
}

static void add_rules(const struct netwish *wish, struct netedit *edit)
{
    for (size_t i = 0; i < wish->pin_count; i++) {
        const struct pin *pin = &wish->pins[i];

        if (is_ruled(wish, pin))
            continue;
        end_rule(&edit->out);
        buffer_printf(&edit->out,
                      "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
                      "ATTR{address}==\"%s\", ATTR{type}==\"1\", NAME=\"%s\"\n",
                      pin->mac, pin->name);
        netedit_what(edit, "the card with MAC %s is called %s", pin->mac, pin->name);
    }
}

/* Rules for devices of other kinds are for a person to look at. */
static void warn_of_address(struct word lines, struct netedit *edit)
{
    struct word text = word_trim(lines);
    struct rulekey k;

    if (text.length == 0 || *text.at == '#')
        return;
    while (key_next(&text, &k))
        if ((word_is(k.name, "KERNELS") && k.value.length > 5 &&
             strncmp(k.value.at, "0000:", 5) == 0) ||
            (word_is(k.name, "ENV{ID_PATH}") && strncmp(k.value.at, "pci-", 4) == 0))
            netedit_warn(edit, "a rule asks for the PCI address %.*s of the source",
                         (int)k.value.length, k.value.at);
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    struct word lines;
    struct rule r;

    while (rule_next(&text, &lines)) {
        if (!rule_parse(lines, &r))
            warn_of_address(lines, edit);
        if (rule_parse(lines, &r) && is_obsolete(wish, &r)) {
            comment_lines(edit, lines);
            netedit_what(edit, "the rule that called the source's card %.*s is a comment",
                         (int)r.name.length, r.name.at);
        } else {
            netedit_keep(edit, lines);
        }
    }
    if (wish->rules && strcmp(file, GENERATED) == 0)
        add_rules(wish, edit);
}

const struct netstyle netstyle_rules = {
    .name = "udev rules",
    .directory = "/etc/udev/rules.d",
    .takes = is_rules,
    .read = read_text,
    .rewrite = rewrite_text,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netplan's YAML (Ubuntu from 17.10; netplan-yaml(5)); the only file that knows libyaml.
 *
 * The document tells where each node stands in the text; changes are pieces of the text replaced,
 * so that comments, order and quoting of all else stay.
 */
#include <string.h>
#include <yaml.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/netstyle.h"

#define PIECES_MAX 512
#define DEFINITIONS_MAX 512
#define MEMBERS_MAX 64
#define KEYS_MAX 64

/* text[from, to) becomes `text`. */
struct piece {
    size_t from, to;
    char *text;
};

struct document {
    yaml_document_t yaml;
    const char *text;
    struct piece pieces[PIECES_MAX];
    size_t count;
    bool odd; /* something stands where it should not: anchors, or too much of it */
};

/* A key of a mapping with its value; key is NULL when it is not there. */
struct pair {
    yaml_node_t *key, *value;
};

static bool is_yaml(const char *file)
{
    size_t length = strlen(file);

    return *file != '.' && length > 5 && strcmp(file + length - 5, ".yaml") == 0;
}

static bool document_load(struct document *d, const char *text)
{
    yaml_parser_t parser;
    bool loaded = false;

    d->text = text;
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (yaml_parser_load(&parser, &d->yaml)) {
        loaded = yaml_document_get_root_node(&d->yaml) != NULL;
        if (!loaded)
            yaml_document_delete(&d->yaml);
    }
    yaml_parser_delete(&parser);
    return loaded;
}

static void document_done(struct document *d)
{
    yaml_document_delete(&d->yaml);
    for (size_t i = 0; i < d->count; i++)
        free(d->pieces[i].text);
}

/* libyaml counts characters, and none for a byte order mark. */
static size_t byte_of(const char *text, size_t characters)
{
    size_t at = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    for (; characters > 0 && text[at]; characters--)
        for (at++; ((unsigned char)text[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

static struct word scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE)
        return WORD("");
    return (struct word){(const char *)node->data.scalar.value, node->data.scalar.length};
}

static struct pair pair_at(struct document *d, const yaml_node_t *mapping, size_t index)
{
    yaml_node_pair_t *p = mapping->data.mapping.pairs.start + index;

    return (struct pair){yaml_document_get_node(&d->yaml, p->key),
                         yaml_document_get_node(&d->yaml, p->value)};
}

static size_t pair_count(const yaml_node_t *node)
{
    if (!node || node->type != YAML_MAPPING_NODE)
        return 0;
    return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
}

static struct pair get(struct document *d, const yaml_node_t *mapping, const char *key)
{
    for (size_t i = 0; i < pair_count(mapping); i++) {
        struct pair p = pair_at(d, mapping, i);

        if (p.key && p.value && p.key->type == YAML_SCALAR_NODE && word_is(scalar(p.key), key))
            return p;
    }
    return (struct pair){NULL, NULL};
}

static size_t item_count(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SEQUENCE_NODE)
        return 0;
    return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
}

static yaml_node_t *item(struct document *d, const yaml_node_t *sequence, size_t index)
{
    return yaml_document_get_node(&d->yaml, sequence->data.sequence.items.start[index]);
}

/* One definition: ethernets: → ID: → mapping. */
struct definition {
    struct word id;
    struct word name; /* of the interface; empty when the card is found without one */
    yaml_node_t *body;
    enum netkind kind;
};

static const struct {
    const char *section;
    enum netkind kind;
} sections[] = {
    {"ethernets", NET_CARD}, {"bonds", NET_BRIDGE},  {"bridges", NET_BRIDGE},
    {"vlans", NET_VLAN},     {"tunnels", NET_OTHER}, {"dummy-devices", NET_OTHER},
    {"vrfs", NET_OTHER},
};

static bool is_plain(struct word name)
{
    return netname_is_valid(name.at, name.length);
}

static struct definition define(struct document *d, struct pair p, enum netkind kind)
{
    struct pair match = get(d, p.value, "match");
    struct definition def = {.id = scalar(p.key), .body = p.value, .kind = kind};
    struct word set_name = scalar(get(d, p.value, "set-name").value);
    struct word name = scalar(get(d, match.value, "name").value);

    if (set_name.length > 0)
        def.name = set_name;
    else if (!match.key)
        def.name = def.id;
    else
        def.name = is_plain(name) ? name : WORD("");
    return def;
}

/* Calls `visit` for every definition of the document. */
static void each_definition(struct document *d,
                            void (*visit)(struct document *d, struct definition *def,
                                          void *context),
                            void *context)
{
    yaml_node_t *network = get(d, yaml_document_get_root_node(&d->yaml), "network").value;
    size_t seen = 0;

    for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
        yaml_node_t *section = get(d, network, sections[s].section).value;

        for (size_t i = 0; i < pair_count(section) && seen++ < DEFINITIONS_MAX; i++) {
            struct pair p = pair_at(d, section, i);
            struct definition def;

            if (!p.key || !p.value)
                continue;
            def = define(d, p, sections[s].kind);
            if (def.id.length > 0)
                visit(d, &def, context);
        }
    }
}

static void read_definition(struct document *d, struct definition *def, void *context)
{
    struct netconfig *config = context;
    struct word mac = scalar(get(d, get(d, def->body, "match").value, "macaddress").value);
    struct netname *n = NULL;

    if (def->kind == NET_CARD)
        netconfig_pattern(config, scalar(get(d, get(d, def->body, "match").value, "name").value));
    if (def->name.length == 0 && def->kind == NET_CARD)
        netconfig_by_mac(config, mac);
    else if (!memchr(def->name.at, '.', def->name.length))
        n = netconfig_entry(config, def->name);
    if (!n)
        return;
    if (def->kind != NET_CARD)
        n->kind = def->kind;
    netname_set_mac(config, n, mac);
}

/* The interface a definition's ID stands for. */
struct lookup {
    struct word id;
    struct definition found;
};

static void look_up(struct document *d, struct definition *def, void *context)
{
    struct lookup *l = context;

    if (def->id.length == l->id.length && memcmp(def->id.at, l->id.at, l->id.length) == 0)
        l->found = *def;
}

static void read_member(struct document *d, struct netconfig *config, struct netname *upper,
                        struct word id)
{
    struct lookup l = {.id = id};
    struct word mac;
    struct netname *n;

    each_definition(d, look_up, &l);
    if (l.found.name.length > 0 || !l.found.body) {
        n = netconfig_entry(config, l.found.body ? l.found.name : id);
    } else {
        mac = scalar(get(d, get(d, l.found.body, "match").value, "macaddress").value);
        n = netconfig_by_mac(config, mac);
    }
    if (n && n != upper)
        memcpy(n->upper, upper->name, sizeof(upper->name));
}

/* Only names that are there: entries were made before. */
static void read_members(struct document *d, struct definition *def, void *context)
{
    struct netconfig *config = context;
    yaml_node_t *members = get(d, def->body, "interfaces").value;
    struct netname *upper;

    if (def->kind != NET_BRIDGE || def->name.length == 0)
        return;
    upper = netconfig_entry(config, def->name);
    for (size_t i = 0; upper && i < item_count(members) && i < MEMBERS_MAX; i++)
        read_member(d, config, upper, scalar(item(d, members, i)));
}

static void read_text(struct netconfig *config, const char *file, const char *text)
{
    _cleanup_free_ struct document *d = mem_new(1, sizeof(*d));

    if (!document_load(d, text))
        return;
    each_definition(d, read_definition, config);
    each_definition(d, read_members, config);
    document_done(d);
}

/* Replaces text; pieces that overlap are seen when they are put together. */
static void replace(struct document *d, size_t from, size_t to, char *text)
{
    if (d->count == PIECES_MAX || to < from) {
        d->odd = true;
        free(text);
        return;
    }
    d->pieces[d->count++] = (struct piece){from, to, text};
}

static size_t start_of(struct document *d, const yaml_node_t *node)
{
    return byte_of(d->text, node->start_mark.index);
}

/* Where a node's own text ends: of a block, libyaml tells where the next thing begins. */
static size_t end_of(struct document *d, const yaml_node_t *node)
{
    for (int depth = 0; node && depth < 64; depth++) {
        size_t n = pair_count(node), items = item_count(node);

        if (node->type == YAML_MAPPING_NODE && n > 0 &&
            node->data.mapping.style != YAML_FLOW_MAPPING_STYLE)
            node = pair_at(d, node, n - 1).value;
        else if (node->type == YAML_SEQUENCE_NODE && items > 0 &&
                 node->data.sequence.style != YAML_FLOW_SEQUENCE_STYLE)
            node = item(d, node, items - 1);
        else
            return byte_of(d->text, node->end_mark.index);
    }
    d->odd = true;
    return 0;
}

static size_t line_start(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n')
        at--;
    return at;
}

/* What an alias stands for is elsewhere in the text, and shared. */
static bool stands_behind(struct document *d, struct pair p)
{
    size_t key_end = end_of(d, p.key), value = start_of(d, p.value);
    const char *at = d->text + key_end;

    if (value >= key_end && strspn(at, " \t\r\n:") >= value - key_end)
        return true;
    d->odd = true;
    return false;
}

/* The lines of a block entry become comments. */
static void comment_lines(struct document *d, size_t from, size_t to)
{
    for (size_t at = line_start(d->text, from); at < to;) {
        size_t first = at + strspn(d->text + at, " \t");

        if (d->text[first] != '\n' && d->text[first] != '#')
            replace(d, first, first, str_dup("# before slipway-morph: "));
        at += strcspn(d->text + at, "\n");
        at += d->text[at] == '\n';
    }
}

/* The entry between braces goes, with the comma behind it or before it. */
static void remove_flow(struct document *d, size_t from, size_t to)
{
    size_t behind = to + strspn(d->text + to, " \t\r\n");

    if (d->text[behind] == ',') {
        behind++;
        replace(d, from, behind + strspn(d->text + behind, " \t"), str_dup(""));
        return;
    }
    while (from > 0 && strchr(" \t\r\n", d->text[from - 1]))
        from--;
    if (from > 0 && d->text[from - 1] == ',')
        from--;
    replace(d, from, to, str_dup(""));
}

static void remove_pair(struct document *d, const yaml_node_t *mapping, const char *key)
{
    struct pair p = get(d, mapping, key);

    if (!p.key || !stands_behind(d, p))
        return;
    if (mapping->data.mapping.style == YAML_FLOW_MAPPING_STYLE)
        remove_flow(d, start_of(d, p.key), end_of(d, p.value));
    else
        comment_lines(d, start_of(d, p.key), end_of(d, p.value));
}

static void replace_node(struct document *d, const yaml_node_t *node, char *text)
{
    replace(d, start_of(d, node), end_of(d, node), text);
}

/* A rewriting of one document. */
struct rewriting {
    const struct netwish *wish;
    struct netedit *edit;
};

static void rewrite_driver(struct document *d, struct definition *def, yaml_node_t *match,
                           struct rewriting *rw)
{
    struct pair driver = get(d, match, "driver");
    struct word name = scalar(get(d, match, "name").value);
    bool told = get(d, match, "macaddress").key || is_plain(name);

    if (!driver.key || !netwish_is_source_driver(scalar(driver.value)) || !stands_behind(d, driver))
        return;
    if (!told && rw->wish->nic_count == 1) {
        replace_node(d, driver.key, str_dup("macaddress"));
        replace_node(d, driver.value, str_format("\"%s\"", rw->wish->nics[0].mac));
        netedit_what(rw->edit, "'%.*s' goes by MAC address instead of the driver",
                     (int)def->id.length, def->id.at);
        return;
    }
    replace_node(d, driver.value, str_dup("virtio_net"));
    netedit_what(rw->edit, "'%.*s' asks for the driver virtio_net", (int)def->id.length,
                 def->id.at);
}

static void rewrite_mac(struct document *d, struct definition *def, yaml_node_t *match,
                        struct rewriting *rw)
{
    struct pair p = get(d, match, "macaddress");
    const char *mac = p.key ? netwish_mac(rw->wish, def->name, scalar(p.value)) : NULL;

    if (!mac || !stands_behind(d, p))
        return;
    replace_node(d, p.value, str_format("\"%s\"", mac));
    netedit_what(rw->edit, "'%.*s' is the card with MAC %s", (int)def->id.length, def->id.at, mac);
}

static bool is_default_route(struct document *d, const yaml_node_t *route)
{
    struct word to = scalar(get(d, route, "to").value);

    return word_is(to, "default") || word_is(to, "0.0.0.0/0") || word_is(to, "::/0") ||
           word_is(to, "0/0");
}

/* Default routes go, others stay; a list of both is left for a person. */
static void rewrite_routes(struct document *d, struct definition *def, struct rewriting *rw)
{
    yaml_node_t *routes = get(d, def->body, "routes").value;
    size_t defaults = 0, count = item_count(routes);

    for (size_t i = 0; i < count; i++)
        defaults += is_default_route(d, item(d, routes, i));
    if (count > 0 && defaults == count)
        remove_pair(d, def->body, "routes");
    else if (defaults > 0)
        netedit_warn(rw->edit, "the routes of '%.*s' keep a fixed default gateway",
                     (int)def->id.length, def->id.at);
}

static void insert_dhcp(struct document *d, struct definition *def)
{
    struct pair dhcp = get(d, def->body, "dhcp4");
    size_t at = start_of(d, get(d, def->body, "addresses").key), line;

    if (dhcp.key && stands_behind(d, dhcp)) {
        replace_node(d, dhcp.value, str_dup("true"));
        return;
    }
    line = line_start(d->text, at);
    if (def->body->data.mapping.style == YAML_FLOW_MAPPING_STYLE)
        replace(d, at, at, str_dup("dhcp4: true, "));
    else if (strspn(d->text + line, " ") == at - line)
        replace(d, line, line, str_format("%.*sdhcp4: true\n", (int)(at - line), d->text + line));
    else
        d->odd = true;
}

static void rewrite_dhcp(struct document *d, struct definition *def, struct rewriting *rw)
{
    bool lan = (def->kind == NET_CARD || def->kind == NET_BRIDGE) && rw->wish->dhcp;

    if (!lan || item_count(get(d, def->body, "addresses").value) == 0 ||
        !netwish_dhcp(rw->wish, def->name))
        return;
    insert_dhcp(d, def);
    remove_pair(d, def->body, "addresses");
    remove_pair(d, def->body, "gateway4");
    remove_pair(d, def->body, "gateway6");
    rewrite_routes(d, def, rw);
    netedit_what(rw->edit, "'%.*s' gets its address by DHCP", (int)def->id.length, def->id.at);
}

/* A key that is there twice: which one counts is not for us to say. */
static bool has_twins(struct document *d, const yaml_node_t *mapping)
{
    size_t count = pair_count(mapping);

    for (size_t i = 0; i < count && count <= KEYS_MAX; i++)
        for (size_t n = 0; n < i; n++) {
            struct word a = scalar(pair_at(d, mapping, i).key);
            struct word b = scalar(pair_at(d, mapping, n).key);

            if (a.length == b.length && memcmp(a.at, b.at, a.length) == 0)
                return true;
        }
    return count > KEYS_MAX;
}

static void rewrite_definition(struct document *d, struct definition *def, void *context)
{
    yaml_node_t *match = get(d, def->body, "match").value;

    d->odd |= has_twins(d, def->body) || has_twins(d, match);
    rewrite_driver(d, def, match, context);
    rewrite_mac(d, def, match, context);
    rewrite_dhcp(d, def, context);
}

static int by_place(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* False when pieces overlap; what is only removed may, twice is once. */
static bool put_together(struct document *d, struct buffer *out)
{
    size_t at = 0;

    if (d->count > 0)
        qsort(d->pieces, d->count, sizeof(*d->pieces), by_place);
    for (size_t i = 0; i < d->count; i++) {
        struct piece *p = &d->pieces[i];

        if (p->from < at && !*p->text) {
            p->from = at;
            p->to = MAX(at, p->to);
        }
        if (p->from < at)
            return false;
        buffer_add(out, d->text + at, p->from - at);
        buffer_add_text(out, p->text);
        at = p->to;
    }
    buffer_add_text(out, d->text + at);
    return true;
}

static bool is_valid(const char *text)
{
    _cleanup_free_ struct document *d = mem_new(1, sizeof(*d));
    bool valid = document_load(d, text);

    if (valid)
        document_done(d);
    return valid;
}

static void rewrite_text(const struct netwish *wish, const char *file, const char *text,
                         struct netedit *edit)
{
    _cleanup_free_ struct document *d = mem_new(1, sizeof(*d));
    struct rewriting rw = {wish, edit};

    if (!document_load(d, text)) {
        netedit_warn(edit, "it is no YAML that can be read");
        return;
    }
    each_definition(d, rewrite_definition, &rw);
    if (edit->what.length > 0 &&
        (d->odd || !put_together(d, &edit->out) || !is_valid(edit->out.data))) {
        buffer_done(&edit->what);
        netedit_warn(edit, "it needs a change that could not be made for sure (anchors?): %s",
                     "look at its match:, addresses: and gateways by hand");
    }
    document_done(d);
}

const struct netstyle netstyle_netplan = {
    .name = "netplan",
    .directory = "/etc/netplan",
    .takes = is_yaml,
    .read = read_text,
    .rewrite = rewrite_text,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml gives events; a tree is made of them here, by descent, with a budget. */
#include "orchestrator/plan-yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"

#define ANCHORS_MAX 1000

/* An anchor and the finished node it names; the node stays in its tree. */
struct anchor {
    struct anchor *next;
    char *name;
    const struct yaml_node *node; /* NULL: still being read */
};

struct reader {
    yaml_parser_t parser;
    struct problems *problems;
    struct anchor *anchors;
    size_t anchor_count, values;
};

static struct place place_of(yaml_mark_t mark)
{
    return (struct place){.line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
}

void plan_yaml_free(struct yaml_node *tree)
{
    while (tree) {
        struct yaml_node *next = tree->next;

        plan_yaml_free(tree->children); /* as deep as YAML_DEPTH_MAX */
        json_decref(tree->value);
        free(tree->name);
        free(tree);
        tree = next;
    }
}

struct yaml_node *plan_yaml_child(const struct yaml_node *node, const char *name)
{
    for (struct yaml_node *c = node ? node->children : NULL; c; c = c->next)
        if (c->name && strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

struct place plan_yaml_place(const struct yaml_node *node)
{
    return node->key.line ? node->key : node->at;
}

/* -EINVAL after saying what is wrong where. */
#define refuse(r, at, ...) (problem_add((r)->problems, at, NULL, __VA_ARGS__), -EINVAL)

static int next_event(struct reader *r, yaml_event_t *event)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t mark;

    if (yaml_parser_parse(&r->parser, event))
        return 0;
    mark = p->error == YAML_READER_ERROR ? p->mark : p->problem_mark;
    return refuse(r, place_of(mark), "this is not YAML: %s%s%s",
                  p->problem ? p->problem : "out of memory", p->context ? ", " : "",
                  p->context ? p->context : "");
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* [-+]? DIGITS; 0o and 0x without a sign. */
static bool is_integer(const char *text, int *ret_base)
{
    const char *digits = "0123456789";

    *ret_base = 10;
    if (str_starts(text, "0x")) {
        *ret_base = 16;
        digits = "0123456789abcdefABCDEF";
        text += 2;
    } else if (str_starts(text, "0o")) {
        *ret_base = 8;
        digits = "01234567";
        text += 2;
    } else if (*text == '-' || *text == '+') {
        text++;
    }
    return *text && text[strspn(text, digits)] == '\0';
}

/* [-+]? ( "." DIGITS | DIGITS ( "." DIGITS? )? ) ( [eE] [-+]? DIGITS )? */
static bool is_real(const char *text)
{
    size_t before, after = 0;

    if (*text == '-' || *text == '+')
        text++;
    text += before = strspn(text, "0123456789");
    if (*text == '.')
        text += 1 + (after = strspn(text + 1, "0123456789"));
    if (before + after == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '-' || *text == '+')
            text++;
        if (!isdigit((unsigned char)*text))
            return false;
        text += strspn(text, "0123456789");
    }
    return *text == '\0';
}

/* A scalar without quotes.  NULL: a number that no value can hold. */
static json_t *plain_value(const char *text, size_t length)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    int base;

    if (is_one_of(text, nulls))
        return json_null();
    if (is_one_of(text, trues))
        return json_true();
    if (is_one_of(text, falses))
        return json_false();
    errno = 0;
    if (is_integer(text, &base)) {
        long long n = strtoll(base == 10 ? text : text + 2, NULL, base);

        return errno == ERANGE ? NULL : json_integer(n);
    }
    if (is_real(text)) {
        double x = strtod(text, NULL);

        return isfinite(x) ? json_real(x) : NULL;
    }
    return json_stringn(text, length);
}

static int scalar_value(struct reader *r, const yaml_event_t *event, json_t **ret_value)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct place at = place_of(event->start_mark);

    if (event->data.scalar.tag)
        return refuse(r, at, "tags such as %s are not used here: leave it out",
                      (const char *)event->data.scalar.tag);
    if (memchr(text, '\0', length))
        return refuse(r, at, "a text cannot hold the character NUL");
    *ret_value = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(text, length)
                                                                    : json_stringn(text, length);
    return *ret_value ? 0 : refuse(r, at, "%.40s is too large for a number", text);
}

static int count_value(struct reader *r, struct place at)
{
    if (++r->values <= YAML_VALUES_MAX)
        return 0;
    return refuse(r, at, "there are more than %d values, those behind aliases counted each time",
                  YAML_VALUES_MAX);
}

/* Hangs a child below; its value becomes part of the value of the node above, unless a field of
 * that name is there already. */
static void append(struct yaml_node *parent, struct yaml_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->children = child;
    parent->last = child;
    if (!child->name)
        json_array_append(parent->value, child->value);
    else if (!json_object_get(parent->value, child->name))
        json_object_set(parent->value, child->name, child->value);
}

/* Copies what hangs below an anchor, places and all: an error in it is corrected there. */
static int copy_children(struct reader *r, const struct yaml_node *from, struct yaml_node *to,
                         struct place at)
{
    for (const struct yaml_node *c = from->children; c; c = c->next) {
        struct yaml_node *copy = mem_new(1, sizeof(*copy));
        int error;

        copy->name = str_dup(c->name);
        copy->key = c->key;
        copy->at = c->at;
        copy->value = json_is_object(c->value)  ? json_object()
                      : json_is_array(c->value) ? json_array()
                                                : json_incref(c->value);
        error = count_value(r, at);
        if (error == 0)
            error = copy_children(r, c, copy, at);
        append(to, copy);
        if (error < 0)
            return error;
    }
    return 0;
}

static unsigned depth_of(const struct yaml_node *node)
{
    unsigned depth = 0;

    for (const struct yaml_node *c = node->children; c; c = c->next) {
        unsigned below = depth_of(c);

        depth = below > depth ? below : depth;
    }
    return depth + 1;
}

static const struct yaml_node *anchor_find(struct reader *r, const char *name, bool *ret_known)
{
    for (const struct anchor *a = r->anchors; a; a = a->next)
        if (strcmp(a->name, name) == 0) {
            *ret_known = true;
            return a->node;
        }
    *ret_known = false;
    return NULL;
}

static int take_alias(struct reader *r, const yaml_event_t *event, unsigned depth,
                      struct yaml_node *node)
{
    const char *name = (const char *)event->data.alias.anchor;
    bool known;
    const struct yaml_node *from = anchor_find(r, name, &known);

    if (!from)
        return refuse(r, node->at, known ? "*%s stands inside of what it names" :
                      "there is no anchor &%s before this", name);
    if (depth + depth_of(from) > YAML_DEPTH_MAX)
        return refuse(r, node->at, "values are nested more than %d deep", YAML_DEPTH_MAX);
    node->at = from->at;
    node->value = json_is_object(from->value)  ? json_object()
                  : json_is_array(from->value) ? json_array()
                                               : json_incref(from->value);
    return copy_children(r, from, node, node->at);
}

/* Later anchors of a name hide earlier ones; those behind the last that is taken are as good as not
 * there. */
static struct anchor *anchor_begin(struct reader *r, const yaml_char_t *name)
{
    struct anchor *a;

    if (!name || r->anchor_count++ >= ANCHORS_MAX)
        return NULL;
    a = mem_new(1, sizeof(*a));
    a->name = str_dup((const char *)name);
    a->next = r->anchors;
    r->anchors = a;
    return a;
}

static int read_value(struct reader *r, const yaml_event_t *event, unsigned depth,
                      struct yaml_node *node);

/* The key of a mapping: any scalar, as it is written. */
static int read_key(struct reader *r, const yaml_event_t *event, struct yaml_node *child)
{
    child->key = place_of(event->start_mark);
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r, child->key, "a field must be a plain name");
    if (event->data.scalar.tag)
        return refuse(r, child->key, "tags such as %s are not used here: leave it out",
                      (const char *)event->data.scalar.tag);
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
        return refuse(r, child->key, "a field's name cannot hold the character NUL");
    anchor_begin(r, event->data.scalar.anchor); /* a name is not a value: never finished */
    child->name = str_dup((const char *)event->data.scalar.value);
    return 0;
}

/* Said only: an anchor may name the second one. */
static void check_double(struct reader *r, const struct yaml_node *node,
                         const struct yaml_node *child)
{
    if (!child->name || !json_object_get(node->value, child->name) ||
        problems_count(r->problems) > PROBLEMS_MAX) /* looking for the first takes its time */
        return;
    problem_add(r->problems, child->key, child->name, "stands here twice, the first time in line "
                "%u: leave one out", plan_yaml_child(node, child->name)->key.line);
}

/* One field of a mapping, or one value of a list: `event` is how it begins. */
static int read_child(struct reader *r, const yaml_event_t *event, unsigned depth,
                      struct yaml_node *node)
{
    _cleanup_(plan_yaml_freep) struct yaml_node *child = mem_new(1, sizeof(*child));
    yaml_event_t value;
    int error;

    if (json_is_array(node->value)) {
        error = read_value(r, event, depth + 1, child);
    } else {
        error = read_key(r, event, child);
        if (error == 0)
            error = next_event(r, &value);
        if (error < 0)
            return error;
        error = read_value(r, &value, depth + 1, child);
        yaml_event_delete(&value);
    }
    if (error < 0)
        return error;
    check_double(r, node, child);
    append(node, steal_ptr(child));
    return 0;
}

static int read_children(struct reader *r, unsigned depth, struct yaml_node *node)
{
    yaml_event_type_t end =
        json_is_array(node->value) ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT;
    int error = 0;

    if (depth >= YAML_DEPTH_MAX)
        return refuse(r, node->at, "values are nested more than %d deep", YAML_DEPTH_MAX);
    while (error == 0) {
        yaml_event_t event;
        bool over;

        error = next_event(r, &event);
        if (error < 0)
            break;
        over = event.type == end;
        if (!over)
            error = read_child(r, &event, depth, node);
        yaml_event_delete(&event);
        if (over)
            break;
    }
    return error;
}

static int read_inside(struct reader *r, const yaml_event_t *event, unsigned depth,
                       struct yaml_node *node)
{
    const yaml_char_t *tag = event->type == YAML_SEQUENCE_START_EVENT
                                 ? event->data.sequence_start.tag : event->data.mapping_start.tag;

    if (tag)
        return refuse(r, node->at, "tags such as %s are not used here: leave it out",
                      (const char *)tag);
    node->value = event->type == YAML_SEQUENCE_START_EVENT ? json_array() : json_object();
    return read_children(r, depth, node);
}

/* depth: how many mappings and lists are around it. */
static int read_value(struct reader *r, const yaml_event_t *event, unsigned depth,
                      struct yaml_node *node)
{
    struct anchor *anchor = NULL;
    int error;

    node->at = place_of(event->start_mark);
    error = count_value(r, node->at);
    if (error < 0)
        return error;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        anchor = anchor_begin(r, event->data.scalar.anchor);
        error = scalar_value(r, event, &node->value);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = anchor_begin(r, event->data.sequence_start.anchor);
        error = read_inside(r, event, depth, node);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = anchor_begin(r, event->data.mapping_start.anchor);
        error = read_inside(r, event, depth, node);
        break;
    case YAML_ALIAS_EVENT:
        return take_alias(r, event, depth, node);
    default:
        return refuse(r, node->at, "a value is missing here");
    }
    if (anchor)
        anchor->node = node;
    return error;
}

/* Reads events up to the first value: *ret_event is its, or the end of an empty text. */
static int skip_to_document(struct reader *r, yaml_event_t *event)
{
    for (;;) {
        int error = next_event(r, event);

        if (error < 0)
            return error;
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT)
            return 0;
        yaml_event_delete(event);
    }
}

/* Nothing but ends may follow. */
static int expect_end(struct reader *r)
{
    for (bool over = false; !over;) {
        yaml_event_t event;
        int error = next_event(r, &event);

        if (error < 0)
            return error;
        over = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT)
            error = refuse(r, place_of(event.start_mark),
                           "there is a second document: a file holds one");
        yaml_event_delete(&event);
        if (error < 0)
            return error;
    }
    return 0;
}

static int read_document(struct reader *r, struct yaml_node *node)
{
    yaml_event_t event;
    int error = skip_to_document(r, &event);

    if (error < 0)
        return error;
    if (event.type == YAML_STREAM_END_EVENT) {
        yaml_event_delete(&event);
        node->value = json_null();
        node->at = (struct place){1, 1};
        return 0;
    }
    error = read_value(r, &event, 0, node);
    yaml_event_delete(&event);
    return error < 0 ? error : expect_end(r);
}

static void anchors_free(struct anchor *anchors)
{
    while (anchors) {
        struct anchor *next = anchors->next;

        free(anchors->name);
        free(anchors);
        anchors = next;
    }
}

int plan_yaml_parse(const char *text, size_t length, struct yaml_node **ret_tree,
               struct problems *problems)
{
    _cleanup_(plan_yaml_freep) struct yaml_node *tree = mem_new(1, sizeof(*tree));
    struct reader r = {.problems = problems};
    size_t before = problems_count(problems);
    int error;

    if (length > YAML_BYTES_MAX)
        return refuse(&r, ((struct place){1, 1}), "the text has %zu bytes, at most %zu are taken",
                      length, YAML_BYTES_MAX);
    if (!yaml_parser_initialize(&r.parser))
        abort();
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    error = read_document(&r, tree);
    yaml_parser_delete(&r.parser);
    anchors_free(r.anchors);
    if (error < 0 || problems_count(problems) > before)
        return -EINVAL;
    *ret_tree = steal_ptr(tree);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `after`: names become migrations, and there must be an order in which all can be cut over.
 *
 * A consistent group is cut over as one, so it is one node of the graph.  Circles are found by taking
 * away, again and again, the nodes that wait for nobody (Kahn 1962); what is left waits in circles.
 */
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-inside.h"

struct edge {
    size_t waits, for_whom; /* nodes: index of a member, of a group's first member */
    size_t member;          /* whose `after` it is */
};

struct order {
    struct expansion *x;
    json_t *names;  /* migration, VM → index of the member */
    json_t *groups; /* group → [index] */
    struct edge *edges;
    size_t edge_count, edge_room;
};

static void index_members(struct order *o)
{
    o->names = json_object();
    o->groups = json_object();
    for (size_t i = 0; i < o->x->count; i++) {
        const struct member *m = &o->x->members[i];
        const char *group = field_string(m->body, "group", NULL);

        json_object_set_new(o->names, member_vm(m), json_integer((json_int_t)i));
        if (group && !json_object_get(o->groups, group))
            json_object_set_new(o->groups, group, json_array());
        if (group)
            json_array_append_new(json_object_get(o->groups, group), json_integer((json_int_t)i));
    }
    for (size_t i = 0; i < o->x->count; i++) /* wins over a VM that is called so */
        json_object_set_new(o->names, member_name(&o->x->members[i]), json_integer((json_int_t)i));
}

static size_t node_of(const struct order *o, size_t member)
{
    const char *group = field_string(o->x->members[member].body, "group", NULL);
    json_t *members = group ? json_object_get(o->groups, group) : NULL;

    return members ? (size_t)json_integer_value(json_array_get(members, 0)) : member;
}

static void add_edge(struct order *o, size_t member, size_t for_whom)
{
    const struct member *m = &o->x->members[member];

    if (node_of(o, member) == node_of(o, for_whom)) {
        problem_add(o->x->problems, member_place(o->x, m, "after"), "after", "VM %s would wait for "
                    "%s, with which it is cut over as one", member_vm(m),
                    member == for_whom ? "itself" : member_vm(&o->x->members[for_whom]));
        return;
    }
    if (o->edge_count == o->edge_room) {
        o->edge_room = o->edge_room ? 2 * o->edge_room : 64;
        o->edges = realloc(o->edges, o->edge_room * sizeof(*o->edges));
        if (!o->edges)
            abort();
    }
    o->edges[o->edge_count++] =
        (struct edge){node_of(o, member), node_of(o, for_whom), member};
}

static void unknown_name(struct order *o, size_t member, const char *name)
{
    struct expansion *x = o->x;
    const char **names = mem_new(2 * x->count + 1, sizeof(*names)), *nearest, *key;
    size_t count = 0;
    json_t *value;

    json_object_foreach(o->names, key, value)
        if (count < 2 * x->count)
            names[count++] = key;
    nearest = problem_nearest(name, names, count);
    problem_add(x->problems, member_place(x, &x->members[member], "after"), "after",
                "'%s' is no VM or group of this plan and no migration%s%s%s", name,
                nearest ? ": did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    free(names);
}

/* What one name stands for goes into `list`; false: nothing has that name. */
static bool resolve(struct order *o, size_t member, const char *name, json_t *list)
{
    json_t *one = json_object_get(o->names, name), *group = json_object_get(o->groups, name), *at;
    size_t i;

    if (one) {
        add_edge(o, member, (size_t)json_integer_value(one));
        json_array_append_new(
            list, json_string(member_name(&o->x->members[json_integer_value(one)])));
        return true;
    }
    if (group) {
        add_edge(o, member, (size_t)json_integer_value(json_array_get(group, 0)));
        json_array_foreach(group, i, at)
            json_array_append_new(
                list, json_string(member_name(&o->x->members[json_integer_value(at)])));
        return true;
    }
    if (!json_object_get(o->x->known, name))
        return false;
    json_array_append_new(list, json_string(name));
    return true;
}

/* seen: names that were complained about. */
static void resolve_member(struct order *o, size_t member, json_t *seen)
{
    json_t *body = o->x->members[member].body, *after = json_object_get(body, "after"), *name;
    _cleanup_json_ json_t *list = json_array();
    size_t i;

    if (!after)
        return;
    json_array_foreach(after, i, name)
        if (!resolve(o, member, json_string_value(name), list) &&
            !json_object_get(seen, json_string_value(name))) {
            json_object_set_new(seen, json_string_value(name), json_true());
            unknown_name(o, member, json_string_value(name));
        }
    json_object_set(body, "after", list);
}

/* A member or its group, as the admin calls it. */
static const char *node_name(const struct order *o, size_t node)
{
    return field_string(o->x->members[node].body, "group", member_name(&o->x->members[node]));
}

/* Nodes that wait for nobody are taken away until none is left to be taken: `waiting` counts what
 * each of the others waits for.  By rounds over the edges, each node is queued once. */
static void take_away(const struct order *o, size_t *waiting)
{
    size_t count = o->x->count, head = 0, tail = 0;
    size_t *queue = mem_new(count + 1, sizeof(*queue)), *first = mem_new(count + 1, sizeof(*first));
    size_t *sorted = mem_new(o->edge_count + 1, sizeof(*sorted));

    for (size_t e = 0; e < o->edge_count; e++) {
        waiting[o->edges[e].waits]++;
        first[o->edges[e].for_whom + 1]++;
    }
    for (size_t n = 0; n < count; n++) {
        first[n + 1] += first[n];
        if (waiting[n] == 0)
            queue[tail++] = n;
    }
    for (size_t e = o->edge_count; e-- > 0;) { /* edges by whom they wait for, from the end on */
        size_t *slot = &first[o->edges[e].for_whom + 1];

        sorted[--*slot] = e;
    }
    while (head < tail) {
        size_t node = queue[head++];
        size_t end = node + 1 < count ? first[node + 2] : o->edge_count;

        for (size_t i = first[node + 1]; i < end; i++)
            if (--waiting[o->edges[sorted[i]].waits] == 0)
                queue[tail++] = o->edges[sorted[i]].waits;
    }
    free(sorted);
    free(first);
    free(queue);
}

/* The edge by which a node waits for another that waits itself. */
static const struct edge *edge_from(const struct order *o, const size_t *waiting, size_t node)
{
    for (size_t e = 0; e < o->edge_count; e++)
        if (o->edges[e].waits == node && waiting[o->edges[e].for_whom])
            return &o->edges[e];
    return NULL;
}

static void tell_circle(const struct order *o, const size_t *waiting, size_t node)
{
    bool *seen = mem_new(o->x->count, sizeof(*seen));
    const struct edge *edge;
    char text[300];
    size_t used, begin;

    while (!seen[node]) { /* into the circle */
        seen[node] = true;
        node = edge_from(o, waiting, node)->for_whom;
    }
    begin = node;
    edge = edge_from(o, waiting, node);
    used = (size_t)snprintf(text, sizeof(text), "%s", node_name(o, node));
    do {
        node = edge_from(o, waiting, node)->for_whom;
        if (used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, " waits for %s%s",
                                     node_name(o, node), node == begin ? "" : ", which");
    } while (node != begin);
    problem_add(o->x->problems, member_place(o->x, &o->x->members[edge->member], "after"), "after",
                "nobody could be first: %s", text);
    free(seen);
}

static void check_circles(const struct order *o)
{
    size_t *waiting = mem_new(o->x->count + 1, sizeof(*waiting));

    take_away(o, waiting);
    for (size_t n = 0; n < o->x->count; n++)
        if (waiting[n]) {
            tell_circle(o, waiting, n);
            break; /* others may be the same one */
        }
    free(waiting);
}

void plan_order(struct expansion *x)
{
    _cleanup_json_ json_t *seen = json_object();
    struct order o = {.x = x};

    index_members(&o);
    for (size_t i = 0; i < x->count; i++)
        resolve_member(&o, i, seen);
    check_circles(&o);
    json_decref(o.names);
    json_decref(o.groups);
    free(o.edges);
}

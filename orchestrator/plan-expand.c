/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan-inside.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/plan-schema.h"

const struct yaml_node *selector_node(const struct plan *plan, size_t i)
{
    const struct yaml_node *node = plan_yaml_child(plan->tree, "vms")->children;

    while (i-- > 0)
        node = node->next;
    return node;
}

const char *member_vm(const struct member *m)
{
    return field_string(m->vm, "name", "?");
}

const char *member_name(const struct member *m)
{
    return field_string(m->body, "name", "?");
}

struct place member_place(const struct expansion *x, const struct member *m, const char *field)
{
    const struct yaml_node *node = NULL, *last = NULL;

    for (size_t i = m->selector_count; i-- > 0 && !node;) {
        const struct yaml_node *entry = selector_node(x->plan, m->selectors[i]);

        last = last ? last : entry;
        node = plan_yaml_child(entry, field);
    }
    if (!node)
        node = plan_yaml_child(plan_yaml_child(plan_yaml_child(x->plan->tree, "groups"),
                                     field_string(m->body, "group", "")), field);
    if (!node)
        node = plan_yaml_child(plan_yaml_child(x->plan->tree, "defaults"), field);
    return node ? node->at : last->at;
}

/* Fields of `from` over those of the body; maps are merged. */
static void merge(json_t *body, const json_t *from)
{
    const char *field;
    json_t *value;

    json_object_foreach((json_t *)from, field, value) {
        json_t *old = json_object_get(body, field);

        if (!schema_find(&plan_schema_migration, field))
            continue; /* what selects VMs */
        if (json_is_object(value) && json_is_object(old)) {
            json_t *both = json_copy(old); /* the old one belongs to the document */

            json_object_update(both, value);
            json_object_set_new(body, field, both);
        } else {
            json_object_set(body, field, value);
        }
    }
}

/* The group a member is in; what the group says of itself does not count. */
static const json_t *group_of(const struct expansion *x, const struct member *m)
{
    json_t *document = x->plan->document, *vms = json_object_get(document, "vms");
    const char *group = field_string(json_object_get(document, "defaults"), "group", NULL);

    for (size_t i = 0; i < m->selector_count; i++)
        group = field_string(json_array_get(vms, m->selectors[i]), "group", group);
    return group ? json_object_get(json_object_get(document, "groups"), group) : NULL;
}

/* "{name}-new" with the VM's name in it. */
static json_t *target_name(const struct member *m)
{
    const char *pattern = field_string(m->body, "target_name", "{name}");
    const char *hole = strstr(pattern, "{name}");
    _cleanup_free_ char *vm = name_from_vm(member_vm(m));
    _cleanup_free_ char *name = hole ? str_format("%.*s%s%s", (int)(hole - pattern), pattern, vm,
                                                  hole + strlen("{name}")) : str_dup(pattern);

    return json_string(name);
}

static void make_body(struct expansion *x, struct member *m)
{
    json_t *document = x->plan->document, *vms = json_object_get(document, "vms");

    m->body = json_object();
    merge(m->body, json_object_get(document, "defaults"));
    merge(m->body, group_of(x, m));
    for (size_t i = 0; i < m->selector_count; i++)
        merge(m->body, json_array_get(vms, m->selectors[i]));
    json_object_set_new(m->body, "source", json_string(plan_source(x->plan)));
    json_object_set_new(m->body, "vm", json_string(member_vm(m)));
    json_object_set_new(m->body, "plan", json_string(plan_name(x->plan)));
    json_object_set_new(m->body, "name", target_name(m));
    json_object_del(m->body, "target_name");
}

static void check_name(struct expansion *x, const struct member *m)
{
    _cleanup_error_ struct error *err = NULL;

    if (name_check("migration", member_name(m), &err) < 0)
        problem_add(x->problems, member_place(x, m, "target_name"), "target_name",
                    "VM %s would get a name that is not possible: %s", member_vm(m),
                    error_text(err));
}

/* Two members with the same value of a field that must be one's own. */
static void check_unique(struct expansion *x, const char *field, const char *place_field)
{
    _cleanup_json_ json_t *seen = json_object();

    for (size_t i = 0; i < x->count; i++) {
        const struct member *m = &x->members[i];
        const char *value = field_string(m->body, field, NULL);
        const char *other = value ? field_string(seen, value, NULL) : NULL;

        if (other)
            problem_add(x->problems, member_place(x, m, place_field), place_field,
                        "VM %s and VM %s would both have the %s '%s' on the node: give each its "
                        "own", other, member_vm(m), field, value);
        else if (value)
            json_object_set_new(seen, value, json_string(member_vm(m)));
    }
}

/* Once per name: it may stand in a default that a thousand VMs have. */
static void check_groups(struct expansion *x)
{
    json_t *groups = json_object_get(x->plan->document, "groups");
    _cleanup_json_ json_t *seen = json_object();

    for (size_t i = 0; i < x->count; i++) {
        const char *group = field_string(x->members[i].body, "group", NULL), *name, *nearest;
        const char *names[100];
        size_t count = 0;
        json_t *value;

        if (!group || json_object_get(groups, group) || json_object_get(seen, group))
            continue;
        json_object_set_new(seen, group, json_true());
        json_object_foreach(groups, name, value)
            if (count < sizeof(names) / sizeof(names[0]))
                names[count++] = name;
        nearest = problem_nearest(group, names, count);
        problem_add(x->problems, member_place(x, &x->members[i], "group"), "group",
                    "there is no group '%s' in this plan%s%s%s: add it to groups ('%s: {}' will "
                    "do)", group, nearest ? " (did you mean '" : "", nearest ? nearest : "",
                    nearest ? "'?)" : "", group);
    }
}

/* Members are cut over as one, when all of them may; that they are told different things may be
 * meant, or not. */
static void check_together(struct expansion *x)
{
    static const char *const fields[] = {"cutover", "windows", "downtime_budget_s", "over_budget",
                                         "instant"};
    const struct yaml_node *groups = plan_yaml_child(x->plan->tree, "groups");
    _cleanup_json_ json_t *firsts = json_object(), *told = json_object();

    for (size_t i = 0; i < x->count * sizeof(fields) / sizeof(fields[0]); i++) {
        const struct member *m = &x->members[i % x->count], *first;
        const char *field = fields[i / x->count], *group = field_string(m->body, "group", NULL);
        _cleanup_free_ char *key = group ? str_format("%s %s", group, field) : NULL;

        if (!group || json_object_get(told, key))
            continue;
        if (!json_object_get(firsts, group))
            json_object_set_new(firsts, group, json_integer((json_int_t)(i % x->count)));
        first = &x->members[json_integer_value(json_object_get(firsts, group))];
        if (json_equal(json_object_get(m->body, field), json_object_get(first->body, field)) ||
            (!json_object_get(m->body, field) && !json_object_get(first->body, field)))
            continue;
        json_object_set_new(told, key, json_true());
        problem_add(x->warnings, plan_yaml_child(groups, group)->key, "groups",
                    "members of %s differ in %s, such as %s and %s: they are cut over as one, when "
                    "all of them may", group, field, member_vm(first), member_vm(m));
    }
}

static json_t *migrations_of(const struct expansion *x)
{
    json_t *migrations = json_array();

    for (size_t i = 0; i < x->count; i++) {
        const struct member *m = &x->members[i];
        struct place at = selector_node(x->plan, m->selectors[m->selector_count - 1])->at;

        json_array_append_new(migrations, json_pack("{s:s, s:i, s:i, s:O}", "vm", member_vm(m),
                                                    "line", (int)at.line, "column", (int)at.column,
                                                    "body", m->body));
    }
    return migrations;
}

static void expansion_done(struct expansion *x)
{
    for (size_t i = 0; i < x->count; i++) {
        json_decref(x->members[i].body);
        free(x->members[i].selectors);
    }
    free(x->members);
    free(x->selected);
}

int plan_expand(const struct plan *plan, const json_t *inventory, const json_t *known,
                json_t **ret_migrations, struct problems *problems, struct problems *warnings)
{
    struct expansion x = {.plan = plan, .inventory = inventory, .known = known,
                          .problems = problems, .warnings = warnings};
    size_t before = problems_count(problems);

    plan_select(&x);
    for (size_t i = 0; i < x.count; i++)
        make_body(&x, &x.members[i]);
    for (size_t i = 0; i < x.count; i++)
        check_name(&x, &x.members[i]);
    check_unique(&x, "name", "target_name");
    check_unique(&x, "uuid", "uuid");
    check_groups(&x);
    if (problems_count(problems) == before) /* all groups are there */
        check_together(&x);
    plan_map_networks(&x);
    plan_map_storage(&x);
    plan_order(&x);
    if (problems_count(problems) == before)
        *ret_migrations = migrations_of(&x);
    expansion_done(&x);
    return problems_count(problems) == before ? 0 : -EINVAL;
}

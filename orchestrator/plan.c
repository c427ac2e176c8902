/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan.h"

#include <errno.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-inside.h"
#include "orchestrator/plan-values.h"

/* Each entry must say which VMs it is about: one that forgot it should not be about all. */
static void check_selectors(const struct plan *plan, struct problems *problems)
{
    const struct yaml_node *vms = plan_yaml_child(plan->tree, "vms");

    for (const struct yaml_node *c = vms ? vms->children : NULL; c; c = c->next)
        if (json_is_object(c->value) && !plan_yaml_child(c, "name") &&
            !plan_yaml_child(c, "match") && !plan_yaml_child(c, "where"))
            problem_add(problems, c->at, "vms", "this entry does not say which VMs it is about: "
                        "give it name, match or where ('match: \"*\"' for all)");
}

/* The name that a group's members need is given by the group itself. */
static void check_groups(const struct plan *plan, struct problems *problems)
{
    const struct yaml_node *groups = plan_yaml_child(plan->tree, "groups");

    for (const struct yaml_node *g = groups ? groups->children : NULL; g; g = g->next) {
        const struct yaml_node *inner = plan_yaml_child(g, "group");

        if (inner)
            problem_add(problems, inner->key, "group", "a group cannot be in a group: leave it "
                        "out");
    }
}

int plan_parse(const char *text, size_t length, struct plan **ret_plan, struct problems *problems)
{
    _cleanup_(plan_freep) struct plan *plan = mem_new(1, sizeof(*plan));
    size_t before = problems_count(problems);
    int r = plan_yaml_parse(text, length, &plan->tree, problems);

    if (r < 0)
        return r;
    plan->document = values_read(plan->tree, &plan_schema, problems);
    if (json_is_object(plan->tree->value)) {
        check_selectors(plan, problems);
        check_groups(plan, problems);
    }
    if (problems_count(problems) > before)
        return -EINVAL;
    *ret_plan = steal_ptr(plan);
    return 0;
}

struct plan *plan_free(struct plan *plan)
{
    if (!plan)
        return NULL;
    json_decref(plan->document);
    plan_yaml_free(plan->tree);
    free(plan);
    return NULL;
}

const char *plan_name(const struct plan *plan)
{
    return field_string(plan->document, "plan", "");
}

const char *plan_source(const struct plan *plan)
{
    return field_string(plan->document, "source", "");
}

static bool may_be_selected(const struct plan *plan, const json_t *vm)
{
    json_t *selector;
    size_t i;

    if (patterns_fit(json_object_get(plan->document, "except"), vm))
        return false;
    json_array_foreach(json_object_get(plan->document, "vms"), i, selector)
        if (selector_fits(selector, vm))
            return true;
    return false;
}

json_t *plan_wanted(const struct plan *plan, const json_t *list)
{
    json_t *wanted = json_array(), *vm;
    size_t i;

    json_array_foreach(list, i, vm)
        if (may_be_selected(plan, vm))
            json_array_append(wanted, json_object_get(vm, "name"));
    return wanted;
}

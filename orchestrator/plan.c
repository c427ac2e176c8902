/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/govern-limit.h"
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

/* A limit of "the source" is that of the plan's. */
static void name_limit(const struct plan *plan, json_t *limit)
{
    if (strcmp(field_string(limit, "scope", ""), "source") == 0 &&
        !json_object_get(limit, "name"))
        json_object_set_new(limit, "name", json_string(plan_source(plan)));
}

/* What the fields alone do not show: names that fit their scope, rules that say something. */
static void check_limits(const struct plan *plan, struct problems *problems)
{
    const struct yaml_node *node = plan_yaml_child(plan->tree, "limits");
    _cleanup_json_ json_t *seen = json_object();
    json_t *limit;
    size_t i;

    node = node ? node->children : NULL;
    json_array_foreach(json_object_get(plan->document, "limits"), i, limit) {
        _cleanup_free_ char *key = NULL;
        _cleanup_error_ struct error *err = NULL;
        struct govern_limit *parsed = NULL;

        name_limit(plan, limit);
        key = str_format("%s %s", field_string(limit, "scope", ""),
                         field_string(limit, "name", ""));
        if (govern_limit_parse(limit, &parsed, &err) < 0)
            problem_add(problems, node->at, "limits", "%s", error_text(err));
        else if (json_object_get(seen, key))
            problem_add(problems, node->at, "limits", "there is a limit of this scope and name "
                        "before: make one of them, with all rules");
        govern_limit_free(parsed);
        json_object_set_new(seen, key, json_true());
        node = node->next;
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
    if (problems_count(problems) == before) /* otherwise it would be said twice */
        check_limits(plan, problems);
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

const json_t *plan_limits(const struct plan *plan)
{
    return json_object_get(plan->document, "limits");
}

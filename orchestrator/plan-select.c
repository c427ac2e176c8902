/* SPDX-License-Identifier: Apache-2.0 */
/* Which VMs of an inventory the entries of `vms` are about. */
#include "orchestrator/plan-inside.h"

#include <fnmatch.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"

static bool any_fits(const json_t *patterns, const char *text)
{
    json_t *pattern;
    size_t i;

    json_array_foreach(patterns, i, pattern)
        if (fnmatch(json_string_value(pattern), text, 0) == 0)
            return true;
    return false;
}

static bool is_named(const json_t *vm, const char *name)
{
    return strcmp(field_string(vm, "name", ""), name) == 0 ||
           strcmp(field_string(vm, "uuid", ""), name) == 0 ||
           strcmp(field_string(vm, "id", ""), name) == 0;
}

/* True when one of the patterns (list or NULL) fits the VM's name, or is its name or uuid. */
static bool patterns_fit(const json_t *patterns, const json_t *vm)
{
    json_t *pattern;
    size_t i;

    json_array_foreach(patterns, i, pattern)
        if (is_named(vm, json_string_value(pattern)))
            return true;
    return any_fits(patterns, field_string(vm, "name", ""));
}

static bool holds(const char *op, int64_t a, int64_t b)
{
    if (strcmp(op, "<") == 0)
        return a < b;
    if (strcmp(op, "<=") == 0)
        return a <= b;
    if (strcmp(op, ">") == 0)
        return a > b;
    return strcmp(op, ">=") == 0 ? a >= b : a == b;
}

static bool all_hold(const json_t *comparisons, int64_t value)
{
    json_t *c;
    size_t i;

    json_array_foreach(comparisons, i, c)
        if (!holds(field_string(c, "op", "="), value, field_integer(c, "value", 0)))
            return false;
    return true;
}

static int64_t disk_bytes(const json_t *vm)
{
    int64_t sum = 0;
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(vm, "disks"), i, disk)
        sum += field_integer(disk, "size_bytes", 0);
    return sum;
}

static bool some_network_fits(const json_t *patterns, const json_t *vm)
{
    json_t *nic;
    size_t i;

    json_array_foreach(json_object_get(vm, "nics"), i, nic)
        if (any_fits(patterns, field_string(nic, "network", "")))
            return true;
    return false;
}

/* Attributes of which only a description tells. */
static bool described_fits(const char *attribute, const json_t *wanted, const json_t *vm)
{
    if (strcmp(attribute, "os") == 0)
        return any_fits(wanted, field_string(vm, "os_hint", ""));
    if (strcmp(attribute, "arch") == 0)
        return any_fits(wanted, field_string(vm, "arch", ""));
    if (strcmp(attribute, "firmware") == 0)
        return strcmp(json_string_value(wanted), field_string(vm, "firmware", "")) == 0;
    return some_network_fits(wanted, vm);
}

static bool attribute_fits(const char *attribute, const json_t *wanted, const json_t *vm)
{
    if (strcmp(attribute, "state") == 0)
        return strcmp(json_string_value(wanted), field_string(vm, "state", "")) == 0;
    if (strcmp(attribute, "vcpus") == 0 || strcmp(attribute, "memory_bytes") == 0)
        return all_hold(wanted, field_integer(vm, attribute, 0));
    if (strcmp(attribute, "disks") == 0)
        return all_hold(wanted, (int64_t)json_array_size(json_object_get(vm, "disks")));
    if (strcmp(attribute, "disk_bytes") == 0)
        return all_hold(wanted, disk_bytes(vm));
    return !json_object_get(vm, "nics") || described_fits(attribute, wanted, vm);
}

/* All but `except`. */
static bool chosen_by(const json_t *selector, const json_t *vm)
{
    const char *name = field_string(selector, "name", NULL), *attribute;
    json_t *match = json_object_get(selector, "match"), *wanted;

    if (name && !is_named(vm, name))
        return false;
    if (match && !any_fits(match, field_string(vm, "name", "")))
        return false;
    json_object_foreach(json_object_get(selector, "where"), attribute, wanted)
        if (!attribute_fits(attribute, wanted, vm))
            return false;
    return true;
}

/* Does an entry of vms select this VM?  What a VM that is not described yet does not tell counts as
 * fitting. */
static bool selector_fits(const json_t *selector, const json_t *vm)
{
    return chosen_by(selector, vm) && !patterns_fit(json_object_get(selector, "except"), vm);
}

/* Entries that name one VM are looked up: a plan may well name thousands of them. */
struct lookup {
    json_t *named;  /* name → [entry] */
    size_t *others; /* entries that have to be tried on each VM */
    size_t other_count;
};

static void lookup_make(const json_t *vms, struct lookup *ret)
{
    json_t *selector;
    size_t i;

    *ret = (struct lookup){json_object(), mem_new(json_array_size(vms) + 1, sizeof(size_t)), 0};
    json_array_foreach(vms, i, selector) {
        const char *name = field_string(selector, "name", NULL);

        if (!name)
            ret->others[ret->other_count++] = i;
        else if (!json_object_get(ret->named, name))
            json_object_set_new(ret->named, name, json_pack("[I]", (json_int_t)i));
        else
            json_array_append_new(json_object_get(ret->named, name), json_integer((json_int_t)i));
    }
}

static void lookup_done(struct lookup *lookup)
{
    json_decref(lookup->named);
    free(lookup->others);
}

static void add_selector(struct expansion *x, struct member *m, const json_t *vms, size_t i)
{
    size_t at = m->selector_count;

    if (!selector_fits(json_array_get(vms, i), m->vm))
        return;
    x->selected[i]++;
    while (at > 0 && m->selectors[at - 1] > i) {
        m->selectors[at] = m->selectors[at - 1];
        at--;
    }
    if (at > 0 && m->selectors[at - 1] == i) /* its id may be its name, too */
        return;
    m->selectors[at] = i;
    m->selector_count++;
}

static void add_named(struct expansion *x, struct member *m, const json_t *vms,
                      const struct lookup *lookup, const char *key)
{
    const char *name = field_string(m->vm, key, NULL);
    json_t *entry;
    size_t i;

    if (!name || (strcmp(key, "name") != 0 &&
                  strcmp(name, field_string(m->vm, "name", "")) == 0))
        return;
    if (strcmp(key, "id") == 0 && strcmp(name, field_string(m->vm, "uuid", "")) == 0)
        return;
    json_array_foreach(json_object_get(lookup->named, name), i, entry)
        add_selector(x, m, vms, (size_t)json_integer_value(entry));
}

/* Makes the VM a member when some entry is about it. */
static void select_vm(struct expansion *x, const json_t *vm, const struct lookup *lookup)
{
    json_t *vms = json_object_get(x->plan->document, "vms");
    struct member m = {.vm = vm, .selectors = mem_new(json_array_size(vms) + 1, sizeof(size_t))};

    if (!patterns_fit(json_object_get(x->plan->document, "except"), vm)) {
        add_named(x, &m, vms, lookup, "name");
        add_named(x, &m, vms, lookup, "uuid");
        add_named(x, &m, vms, lookup, "id");
        for (size_t i = 0; i < lookup->other_count; i++)
            add_selector(x, &m, vms, lookup->others[i]);
    }
    if (m.selector_count == 0) {
        free(m.selectors);
        return;
    }
    m.selectors = realloc(m.selectors, m.selector_count * sizeof(size_t));
    if (!m.selectors)
        abort();
    x->members[x->count++] = m;
}

/* Exceptions that except nothing are slips: what they should protect would move. */
static void check_except(struct expansion *x, const struct yaml_node *owner,
                         const json_t *selector)
{
    const struct yaml_node *node = plan_yaml_child(owner, "except");
    json_t *patterns = json_object_get(selector ? selector : x->plan->document, "except");
    json_t *pattern, *vm;
    size_t i, j;

    json_array_foreach(patterns, i, pattern) {
        _cleanup_json_ json_t *one = json_pack("[O]", pattern);
        const struct yaml_node *at = node->children;
        bool found = false;

        for (size_t n = 0; at && n < i; n++)
            at = at->next;
        json_array_foreach(x->inventory, j, vm)
            found = found || ((!selector || chosen_by(selector, vm)) && patterns_fit(one, vm));
        if (!found)
            problem_add(x->problems, at ? at->at : node->at, "except", "'%s' excepts nothing: %s "
                        "like that", json_string_value(pattern),
                        selector ? "this entry selects no VM named" : "the source has no VM named");
    }
}

#define NAMES_TRIED 2000

static void name_not_found(struct expansion *x, const struct yaml_node *node, const char *name)
{
    const char **names = mem_new(NAMES_TRIED, sizeof(*names)), *nearest;
    size_t count = 0, i;
    json_t *vm;

    json_array_foreach(x->inventory, i, vm)
        if (count < NAMES_TRIED)
            names[count++] = field_string(vm, "name", "");
    nearest = problem_nearest(name, names, count);
    problem_add(x->problems, node->at, "name", "source %s has no VM '%s'%s%s%s; 'slipway vm list "
                "%s' shows them", plan_source(x->plan), name, nearest ? ": did you mean '" : "",
                nearest ? nearest : "", nearest ? "'?" : "", plan_source(x->plan));
    free(names);
}

/* Why an entry chose nothing. */
static void chose_nothing(struct expansion *x, size_t i, const json_t *selector)
{
    const struct yaml_node *entry = selector_node(x->plan, i);
    const struct yaml_node *node = plan_yaml_child(entry, "name");
    const char *name = field_string(selector, "name", NULL);
    json_t *vm;
    size_t j;

    if (!name) {
        node = plan_yaml_child(entry, "match");
        problem_add(x->problems, node ? node->at : entry->at, node ? "match" : "where",
                    "selects no VM of source %s; 'slipway vm list %s' shows them",
                    plan_source(x->plan), plan_source(x->plan));
        return;
    }
    json_array_foreach(x->inventory, j, vm)
        if (is_named(vm, name)) {
            problem_add(x->problems, node->at, "name", "VM '%s' is there, but %s", name,
                        patterns_fit(json_object_get(x->plan->document, "except"), vm)
                            ? "the plan's except leaves it out"
                            : "it is not as this entry wants it");
            return;
        }
    name_not_found(x, node, name);
}

static struct place named_at(const struct expansion *x, const json_t *entry)
{
    return plan_yaml_child(selector_node(x->plan, (size_t)json_integer_value(entry)), "name")->at;
}

static void check_twice(struct expansion *x, const struct lookup *lookup)
{
    const char *name;
    json_t *entries, *entry;
    size_t i;

    json_object_foreach(lookup->named, name, entries)
        json_array_foreach(entries, i, entry) {
            if (i > 0)
                problem_add(x->problems, named_at(x, entry), "name", "VM '%s' stands here twice, "
                            "the first time in line %u: make one entry of them", name,
                            named_at(x, json_array_get(entries, 0)).line);
        }
}

void plan_select(struct expansion *x)
{
    json_t *vms = json_object_get(x->plan->document, "vms"), *vm, *selector;
    struct lookup lookup;
    size_t i;

    x->members = mem_new(json_array_size(x->inventory) + 1, sizeof(*x->members));
    x->selected = mem_new(json_array_size(vms) + 1, sizeof(*x->selected));
    lookup_make(vms, &lookup);
    json_array_foreach(x->inventory, i, vm)
        select_vm(x, vm, &lookup);
    check_twice(x, &lookup);
    check_except(x, x->plan->tree, NULL);
    json_array_foreach(vms, i, selector) {
        if (x->selected[i] == 0)
            chose_nothing(x, i, selector);
        else if (json_object_get(selector, "except"))
            check_except(x, selector_node(x->plan, i), selector);
    }
    lookup_done(&lookup);
}

static bool may_be_selected(const json_t *vms, const struct lookup *lookup, const json_t *vm)
{
    static const char *const keys[] = {"name", "uuid", "id"};
    json_t *entry;
    size_t i;

    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
        json_array_foreach(json_object_get(lookup->named, field_string(vm, keys[k], "")), i, entry)
            if (selector_fits(json_array_get(vms, (size_t)json_integer_value(entry)), vm))
                return true;
    for (i = 0; i < lookup->other_count; i++)
        if (selector_fits(json_array_get(vms, lookup->others[i]), vm))
            return true;
    return false;
}

json_t *plan_wanted(const struct plan *plan, const json_t *list)
{
    json_t *wanted = json_array(), *vms = json_object_get(plan->document, "vms"), *vm;
    struct lookup lookup;
    size_t i;

    lookup_make(vms, &lookup);
    json_array_foreach(list, i, vm)
        if (!patterns_fit(json_object_get(plan->document, "except"), vm) &&
            may_be_selected(vms, &lookup, vm))
            json_array_append(wanted, json_object_get(vm, "name"));
    lookup_done(&lookup);
    return wanted;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a plan to its migrations, by way of the source. */
#include "orchestrator/plans.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-yaml.h"

static const struct field body_fields[] = {
    {"text", FIELD_STRING, true},
    {"file", FIELD_STRING, false},
    {"check", FIELD_BOOL, false},
    {NULL},
};

static struct place source_place(const struct plan_reading *reading)
{
    return plan_yaml_child(reading->plan->tree, "source")->at;
}

/* VM → description of those that the plan moves already, as they were when it began to: a VM that is
 * off since its cutover, or gone since the commit, is still the one that was selected. */
static json_t *moved_already(struct daemon *d, const struct plan *plan)
{
    json_t *moved = json_object();

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next)
        if (strcmp(field_string(job->params, "plan", ""), plan_name(plan)) == 0 &&
            strcmp(job->source, plan_source(plan)) == 0 && job->state != JOB_CANCELLED)
            json_object_set(moved, field_string(job->description, "name", job->vm),
                            job->description);
    return moved;
}

/* The source's list with these in the place of what it says of them. */
static json_t *with_moved(const json_t *list, const json_t *moved)
{
    json_t *inventory = json_array(), *listed = json_object(), *vm;
    const char *name;
    size_t i;

    json_array_foreach(list, i, vm) {
        name = field_string(vm, "name", "");
        json_object_set_new(listed, name, json_true());
        vm = json_object_get(moved, name) ? json_object_get(moved, name) : vm;
        json_array_append(inventory, vm);
    }
    json_object_foreach((json_t *)moved, name, vm)
        if (!json_object_get(listed, name))
            json_array_append(inventory, vm);
    json_decref(listed);
    return inventory;
}

static void describe(struct plan_reading *reading, const struct source_ops *ops,
                     struct source *source, const char *name)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *description;
    int r = ops->describe(source, name, &description, &err);

    if (r == 0)
        json_object_set_new(reading->descriptions, name, description);
    else if (r != -ENOENT)
        problem_add(&reading->problems, source_place(reading), "source", "VM %s cannot be "
                    "described: %s", name, error_text(err));
}

/* Described are only those that may be selected; a VM that goes away meanwhile is as if it had not
 * been there. */
static void describe_wanted(struct plan_reading *reading, const struct source_ops *ops,
                            struct source *source, json_t *inventory)
{
    _cleanup_json_ json_t *wanted = plan_wanted(reading->plan, inventory);
    json_t *name, *vm;
    size_t i;

    json_array_foreach(wanted, i, name)
        if (!json_object_get(reading->descriptions, json_string_value(name)))
            describe(reading, ops, source, json_string_value(name));
    for (i = json_array_size(inventory); i-- > 0;) {
        vm = json_object_get(reading->descriptions,
                             field_string(json_array_get(inventory, i), "name", ""));
        if (vm)
            json_array_set(inventory, i, vm);
    }
}

/* The inventory: descriptions where they are wanted, entries of the list for the others. */
static int ask(struct daemon *d, struct plan_reading *reading, json_t **ret_inventory,
               struct error **err)
{
    struct leftover_owner owner = {.source = plan_source(reading->plan), .migration = ""};
    _cleanup_json_ json_t *list = NULL;
    const struct source_ops *ops;
    struct source *source;
    int r = sources_open(d, &owner, &ops, &source, err);

    if (r < 0)
        return r;
    if (ops->facts)
        r = ops->facts(source, &reading->source, err);
    if (r == 0)
        r = ops->list(source, &list, err);
    if (r == 0) {
        reading->descriptions = moved_already(d, reading->plan);
        *ret_inventory = with_moved(list, reading->descriptions);
        describe_wanted(reading, ops, source, *ret_inventory);
    }
    ops->close(source);
    return r;
}

static json_t *known_migrations(struct daemon *d)
{
    json_t *known = json_object();

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next)
        json_object_set_new(known, job->name, json_true());
    return known;
}

static void expand(struct daemon *d, struct plan_reading *reading)
{
    _cleanup_json_ json_t *inventory = NULL, *known = known_migrations(d);
    _cleanup_error_ struct error *err = NULL;
    int r = ask(d, reading, &inventory, &err);

    if (!reading->source)
        reading->source = json_object();
    json_object_set_new(reading->source, "name", json_string(plan_source(reading->plan)));
    json_object_set_new(reading->source, "reachable", json_boolean(r == 0));
    if (r < 0) {
        json_object_set_new(reading->source, "message", json_string(error_text(err)));
        problem_add(&reading->problems, source_place(reading), "source", "%s", error_text(err));
        return;
    }
    if (problems_count(&reading->problems) == 0)
        plan_expand(reading->plan, inventory, known, &reading->migrations, &reading->problems,
                    &reading->warnings);
}

int plan_reading_make(struct daemon *d, const json_t *body, struct plan_reading *reading,
                      struct error **err)
{
    int r = fields_check(body, body_fields, "this request", err);

    *reading = (struct plan_reading){0};
    problems_init(&reading->problems);
    problems_init(&reading->warnings);
    if (r < 0)
        return r;
    reading->file = str_dup(field_string(body, "file", "plan"));
    reading->text = str_dup(field_string(body, "text", ""));
    if (plan_parse(reading->text, strlen(reading->text), &reading->plan, &reading->problems) == 0)
        expand(d, reading);
    problems_sort(&reading->problems);
    problems_sort(&reading->warnings);
    return 0;
}

void plan_reading_done(struct plan_reading *reading)
{
    free(reading->file);
    free(reading->text);
    plan_free(reading->plan);
    json_decref(reading->source);
    json_decref(reading->descriptions);
    json_decref(reading->migrations);
    problems_done(&reading->problems);
    problems_done(&reading->warnings);
}

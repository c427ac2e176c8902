/* SPDX-License-Identifier: Apache-2.0 */
/* A plan becomes migrations: new ones are made, those that are there are changed where they may be. */
#include "orchestrator/plans.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor.h"
#include "orchestrator/params.h"

/* One plan is applied at a time; held across I/O, taken before every other lock. */
static pthread_mutex_t applying = PTHREAD_MUTEX_INITIALIZER;

static json_t *entry(const char *vm, const char *name, const char *did, const char *why)
{
    return json_pack("{s:s, s:s, s:s, s:s*}", "vm", vm, "name", name, "did", did, "why", why);
}

/* *ret_job NULL: there is no migration of that name. */
static void find(struct daemon *d, const char *name, json_t **ret_job)
{
    const struct job *job;

    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    *ret_job = job ? job_json_locked(d, job) : NULL;
}

char *plan_stranger(const json_t *params, const json_t *body)
{
    const char *plan = field_string(params, "plan", NULL);

    if (!plan)
        return str_dup("a migration of that name was made without a plan");
    if (strcmp(plan, field_string(body, "plan", "")) != 0)
        return str_format("a migration of that name belongs to plan %s", plan);
    if (strcmp(field_string(params, "vm", ""), field_string(body, "vm", "")) != 0 ||
        strcmp(field_string(params, "source", ""), field_string(body, "source", "")) != 0)
        return str_format("the migration of that name moves VM %s of source %s",
                          field_string(params, "vm", "?"), field_string(params, "source", "?"));
    return NULL;
}

json_t *plan_changes(const json_t *old, const json_t *new)
{
    json_t *changes = json_object(), *value;
    const char *field;

    json_object_foreach((json_t *)new, field, value)
        if (!json_equal(value, json_object_get(old, field)))
            json_object_set(changes, field, value);
    return changes;
}

static json_t *names_of(const json_t *fields)
{
    json_t *names = json_array(), *value;
    const char *field;

    json_object_foreach((json_t *)fields, field, value)
        json_array_append_new(names, json_string(field));
    return names;
}

static json_t *change(struct daemon *d, const json_t *job, const json_t *body, const char *vm)
{
    _cleanup_json_ json_t *params = NULL, *changes = NULL, *changed = NULL;
    _cleanup_error_ struct error *err = NULL;
    const char *name = field_string(body, "name", "");
    json_t *e;
    int r = params_complete(body, d->options->pool, &params, &err);

    if (strcmp(field_string(job, "state", ""), "cancelled") == 0)
        return entry(vm, name, "kept",
                     "it was cancelled; remove it, and apply again to begin anew");
    if (r < 0)
        return entry(vm, name, "failed", error_text(err));
    changes = plan_changes(json_object_get(job, "params"), params);
    if (json_object_size(changes) == 0)
        return entry(vm, name, "unchanged", NULL);
    r = verb_change(d, name, changes, &changed, &err);
    /* EPERM: it has come too far; EBUSY: it is at work, the next time may do. */
    e = entry(vm, name, r == 0 ? "updated" : r == -EPERM || r == -EBUSY ? "kept" : "failed",
              r < 0 ? error_text(err) : NULL);
    json_object_set_new(e, "fields", names_of(changes));
    return e;
}

static json_t *apply_one(struct daemon *d, const json_t *migration)
{
    const json_t *body = json_object_get(migration, "body");
    const char *vm = field_string(migration, "vm", ""), *name = field_string(body, "name", "");
    _cleanup_json_ json_t *job = NULL, *made = NULL;
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *why = NULL;

    find(d, name, &job);
    if (!job)
        return verb_create(d, body, &made, &err) == 0
                   ? entry(vm, name, "created", NULL)
                   : entry(vm, name, "failed", error_text(err));
    why = plan_stranger(json_object_get(job, "params"), body);
    return why ? entry(vm, name, "failed", why) : change(d, job, body, vm);
}

/* Migrations that the plan made once and does not speak of any more stay as they are. */
static void add_left(struct daemon *d, const char *plan, const json_t *migrations, json_t *done)
{
    _cleanup_json_ json_t *members = plan_members(d, plan), *names = json_object();
    json_t *e;
    size_t i;

    json_array_foreach(migrations, i, e)
        json_object_set_new(names, field_string(json_object_get(e, "body"), "name", ""),
                            json_true());
    json_array_foreach(members, i, e)
        if (!plan_member_is_over(e) && !json_object_get(names, field_string(e, "name", "")))
            json_array_append_new(
                done, entry(field_string(e, "vm", ""), field_string(e, "name", ""), "left",
                            "the plan does not select it any more; cancel it if it should not go "
                            "on"));
}

static const json_t *limit_of(const json_t *limits, const json_t *like)
{
    json_t *limit;
    size_t i;

    json_array_foreach(limits, i, limit)
        if (strcmp(field_string(limit, "scope", ""), field_string(like, "scope", "")) == 0 &&
            strcmp(field_string(limit, "name", ""), field_string(like, "name", "")) == 0)
            return limit;
    return NULL;
}

/* Sets what differs; *ret_set is what that was.  Before the migrations: they begin at once. */
static int apply_limits(struct daemon *d, const struct plan *plan, json_t **ret_set,
                        struct error **err)
{
    _cleanup_json_ json_t *list = governor_list(d);
    json_t *set = json_array(), *wanted;
    int r = 0;
    size_t i;

    json_array_foreach(plan_limits(plan), i, wanted) {
        const json_t *old = limit_of(json_object_get(list, "limits"), wanted);
        _cleanup_json_ json_t *limit = NULL;

        r = governor_set(d, wanted, &limit, err);
        if (r < 0)
            break;
        if (!old || !json_equal(old, limit))
            json_array_append(set, limit);
    }
    if (r < 0)
        json_decref(set);
    else
        *ret_set = set;
    return r;
}

static int apply(struct daemon *d, const struct plan_reading *reading, json_t **ret,
                 struct error **err)
{
    const char *name = plan_name(reading->plan);
    json_t *done, *migration, *limits = NULL;
    size_t i;
    int r;

    LOCK_FOR_SCOPE(&applying);
    job_trace("plan", "before-journal");
    r = journal_put_plan(d->journal, name, plan_source(reading->plan), reading->file,
                         reading->text, err);
    job_trace("plan", "after-journal");
    if (r == 0)
        r = apply_limits(d, reading->plan, &limits, err);
    job_trace("plan", "after-limits");
    if (r < 0)
        return r;
    done = json_array();
    json_array_foreach(reading->migrations, i, migration) {
        json_array_append_new(done, apply_one(d, migration));
        job_trace("plan", "after-one");
    }
    add_left(d, name, reading->migrations, done);
    *ret = json_pack("{s:s, s:o, s:o, s:O}", "name", name, "migrations", done, "limits", limits,
                     "warnings", reading->warnings.list);
    return 0;
}

int plans_apply(struct daemon *d, const json_t *body, json_t **ret, struct error **err)
{
    struct plan_reading reading;
    int r;

    if (field_bool(body, "check", false))
        return plans_check(d, body, ret, err);
    r = plan_reading_make(d, body, &reading, err);
    if (r == 0 && !reading.migrations) {
        _cleanup_free_ char *text = problems_text(&reading.problems, reading.file);

        *ret = json_pack("{s:O}", "problems", reading.problems.list);
        r = error_set(err, EINVAL, "%s", text);
    } else if (r == 0) {
        r = apply(d, &reading, ret, err);
    }
    plan_reading_done(&reading);
    return r;
}

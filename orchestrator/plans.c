/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plans.h"

#include <string.h>

#include "orchestrator/fields.h"

static bool belongs(const struct job *job, const char *plan)
{
    return strcmp(field_string(job->params, "plan", ""), plan) == 0;
}

json_t *plan_members(struct daemon *d, const char *plan)
{
    json_t *members = json_array();

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next)
        if (belongs(job, plan))
            json_array_insert_new(members, 0,
                                  json_pack("{s:s, s:s, s:s}", "name", job->name, "vm", job->vm,
                                            "state", job_state_name(job->state)));
    return members;
}

bool plan_member_is_over(const json_t *member)
{
    const char *state = field_string(member, "state", "");

    return strcmp(state, job_state_name(JOB_DONE)) == 0 ||
           strcmp(state, job_state_name(JOB_CANCELLED)) == 0;
}

/* How many migrations there are in each state. */
static json_t *states_of(const json_t *members)
{
    json_t *states = json_object(), *member;
    size_t i;

    json_array_foreach(members, i, member) {
        const char *state = field_string(member, "state", "?");

        json_object_set_new(states, state, json_integer(field_integer(states, state, 0) + 1));
    }
    return states;
}

int plans_list(struct daemon *d, json_t **ret, struct error **err)
{
    json_t *rows, *row;
    size_t i;
    int r = journal_list_plans(d->journal, &rows, err);

    if (r < 0)
        return r;
    json_array_foreach(rows, i, row) {
        _cleanup_json_ json_t *members = plan_members(d, field_string(row, "name", ""));

        json_object_set_new(row, "migrations", json_integer((json_int_t)json_array_size(members)));
        json_object_set_new(row, "states", states_of(members));
    }
    *ret = rows;
    return 0;
}

int plans_get(struct daemon *d, const char *name, json_t **ret, struct error **err)
{
    json_t *row, *members;
    int r = journal_get_plan(d->journal, name, &row, err);

    if (r < 0)
        return r;
    members = plan_members(d, name);
    json_object_set_new(row, "states", states_of(members));
    json_object_set_new(row, "migrations", members);
    *ret = row;
    return 0;
}

int plans_remove(struct daemon *d, const char *name, struct error **err)
{
    _cleanup_json_ json_t *row = NULL, *members = plan_members(d, name);
    json_t *member;
    size_t i;
    int r = journal_get_plan(d->journal, name, &row, err);

    if (r < 0)
        return r;
    json_array_foreach(members, i, member) {
        if (!plan_member_is_over(member))
            return error_set(err, EBUSY, "plan %s has a migration that is not over: %s is %s; let "
                             "it come to its end, or cancel it", name,
                             field_string(member, "name", "?"),
                             field_string(member, "state", "?"));
    }
    return journal_remove_plan(d->journal, name, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Changing what a migration was told. */
#include <string.h>

#include "base/align.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"

/* Behind the cutover only its end can still be chosen. */
static int changes_fit(const struct job *job, const json_t *changes, struct error **err)
{
    static const char *const ends[] = {"commit_window_s", "window_end", "source_after_commit",
                                       "on_source_alive"};
    const char *name;
    json_t *value;

    if (job->state == JOB_DONE || job->state == JOB_CANCELLED)
        return error_set(err, EPERM, "migration %s is %s: there is nothing to change any more",
                         job->name, job_state_name(job->state));
    if (job->state != JOB_WINDOW &&
        !(job->state == JOB_FAILED && job_states[job->failed_state].flags & STATE_CUTOVER))
        return 0;
    json_object_foreach((json_t *)changes, name, value) {
        bool end = false;

        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
            end = end || strcmp(ends[i], name) == 0;
        if (!end)
            return error_set(err, EPERM,
                             "%s of migration %s cannot be changed any more: its cutover "
                             "has begun",
                             name, job->name);
    }
    return 0;
}

static int claim_for_change(struct daemon *d, const char *name, struct job **ret_job,
                            struct error **err)
{
    LOCK_FOR_SCOPE(&d->lock);
    *ret_job = job_find_locked(d, name);
    if (!*ret_job)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    if ((*ret_job)->active)
        return error_set(err, EBUSY, "migration %s is being worked on; try again in a moment",
                         name);
    (*ret_job)->active = true;
    return 0;
}

/* Who changes when or how it is cut over wants it tried again, also when that has failed. */
static int ask_anew(struct daemon *d, struct job *job, const json_t *changes, struct error **err)
{
    static const char *const wishes[] = {"cutover", "windows", "downtime_budget_s", "over_budget",
                                         "instant"};
    struct stamp now;

    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        if (!json_object_get(changes, wishes[i]))
            continue;
        stamp_now(&now);
        return job_set_fact(d, job, "asked_anew",
                            json_pack("{s:I, s:I, s:s}", "wall_ns", (json_int_t)now.wall_ns,
                                      "mono_ns", (json_int_t)now.mono_ns, "boot_id", now.boot_id),
                            err);
    }
    return 0;
}

int verb_change(struct daemon *d, const char *name, const json_t *changes, json_t **ret_job,
                struct error **err)
{
    _cleanup_json_ json_t *params = NULL;
    struct job *job = NULL;
    int r = claim_for_change(d, name, &job, err);

    if (r < 0)
        return r;
    r = changes_fit(job, changes, err);
    if (r == 0)
        r = params_change(job->params, changes, &params, err);
    if (r == 0)
        r = params_check_vm(params, job->description, err);
    if (r == 0)
        r = job_set_params(d, job, params, err);
    if (r == 0)
        r = ask_anew(d, job, changes, err);
    pthread_mutex_lock(&d->lock);
    job->active = false;
    job_tell_locked(d, job);
    if (r == 0)
        *ret_job = job_json_locked(d, job);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return r;
}

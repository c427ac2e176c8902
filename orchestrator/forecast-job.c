/* SPDX-License-Identifier: Apache-2.0 */
/* Forecasts of migrations: made from the journal, kept with the job until there is news. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"

/* The row that says when the source was told to stop, where forecast_make() wants it. */
static void insert_stop(json_t *transitions, const json_t *stop)
{
    for (size_t i = json_array_size(transitions); i > 0; i--) {
        const json_t *row = json_array_get(transitions, i - 1);
        json_t *told;

        if (strcmp(field_string(row, "to_state", ""), "stopping") != 0)
            continue;
        /* An older try's: this one has not come so far. */
        if (field_integer(stop, "wall_ns", 0) < field_integer(row, "wall_ns", 0))
            return;
        told = json_copy((json_t *)stop);
        json_object_set_new(told, "from_state", json_string("stopping"));
        json_object_set_new(told, "to_state", json_string("stopping"));
        json_array_insert_new(transitions, i, told);
        return;
    }
}

/* What the forecast needs of the job itself; new references. */
static int look_at_job(struct daemon *d, const char *name, json_t **ret_params, json_t **ret_stop,
                       struct error **err)
{
    struct job *job;

    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    if (!job)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    *ret_params = json_copy(job->params);
    json_object_set_new(*ret_params, "instant", json_boolean(job_instant(job)));
    *ret_stop = json_incref(json_object_get(job->facts, "stop"));
    return 0;
}

int forecast_update(struct daemon *d, const char *name, struct forecast *ret, struct error **err)
{
    _cleanup_json_ json_t *passes = NULL, *transitions = NULL, *rehearsals = NULL;
    _cleanup_json_ json_t *params = NULL, *stop = NULL;
    struct forecast f;
    struct stamp now;
    struct job *job;
    int r = look_at_job(d, name, &params, &stop, err);

    if (r == 0)
        r = journal_list_recent(d->journal, name, &passes, &transitions, &rehearsals, err);
    if (r < 0)
        return r;
    if (stop)
        insert_stop(transitions, stop);
    stamp_now(&now);
    forecast_make(passes, transitions, rehearsals, params, forecast_now(passes, &now), &f);
    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    if (job) {
        job->forecast = f;
        job->forecast_mono_ns = now.mono_ns;
    }
    if (ret)
        *ret = f;
    return 0;
}

void forecast_refresh(struct daemon *d, const char *name)
{
    _cleanup_error_ struct error *err = NULL;

    if (forecast_update(d, name, NULL, &err) < 0)
        log_debug("%s: no new forecast: %s", name, error_text(err));
}

void forecast_refresh_all(struct daemon *d)
{
    for (const struct job *job = d->jobs; job; job = job->next)
        forecast_refresh(d, job->name);
}

bool forecast_get_locked(const struct job *job, struct forecast *ret)
{
    int64_t age_ns;

    if (!job->forecast_mono_ns || job_states[job->state].flags & STATE_FLIPPED ||
        job->state == JOB_DONE || job->state == JOB_CANCELLED)
        return false;
    age_ns = (int64_t)clock_now_ns() - job->forecast_mono_ns;
    *ret = job->forecast;
    forecast_grow(ret, (double)age_ns / (double)NS_PER_S);
    return true;
}

json_t *forecast_json_locked(const struct job *job)
{
    struct forecast f;

    return forecast_get_locked(job, &f) ? forecast_json(&f) : json_null();
}

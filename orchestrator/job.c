/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/rehearsal.h"

void (*job_trace_hook)(const char *point, const char *detail);

void job_trace(const char *point, const char *detail)
{
    log_debug("%s %s", point, detail);
    if (job_trace_hook)
        job_trace_hook(point, detail);
}

struct job *job_find_locked(struct daemon *d, const char *name)
{
    for (struct job *job = d->jobs; job; job = job->next)
        if (strcmp(job->name, name) == 0)
            return job;
    return NULL;
}

struct job *job_new(const char *name, const json_t *params, const json_t *description)
{
    struct job *job = mem_new(1, sizeof(*job));
    struct stamp now;

    stamp_now(&now);
    job->name = str_dup(name);
    job->source = str_dup(field_string(params, "source", ""));
    job->vm = str_dup(field_string(params, "vm", ""));
    job->params = json_incref((json_t *)params);
    job->description = json_incref((json_t *)description);
    job->facts = json_object();
    job->created_ns = now.wall_ns;
    job->state = strcmp(field_string(params, "replicate", "now"), "now") == 0 ? JOB_CREATED
                                                                            : JOB_PLANNED;
    job->failed_state = -1;
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->name);
    free(job->source);
    free(job->vm);
    free(job->error);
    free(job->alarm);
    json_decref(job->params);
    json_decref(job->description);
    json_decref(job->facts);
    json_decref(job->shown);
    govern_place_done(&job->place);
    rehearsal_free(job->rehearsal);
    free(job);
}

char *job_store(const struct daemon *d, const struct job *job)
{
    return str_format("%s/stores/%s", d->options->state_dir, job->name);
}

char *job_target_folder(const struct job *job, const char *disk)
{
    const char *pool = field_string(job->params, "pool", "");
    const json_t *storage = json_object_get(job->params, "storage");

    return str_format("%s/%s", field_string(storage, disk, pool), job->name);
}

char *job_target(const struct job *job, const char *disk)
{
    _cleanup_free_ char *folder = job_target_folder(job, disk);

    return str_format("%s/%s.raw", folder, disk);
}

/* The row of the journal for a job that is in `state` with these facts and this error. */
static json_t *job_row(const struct job *job, enum job_state state, int failed_state,
                       json_t *facts, int error_code, const char *error)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:O, s:O, s:O, s:i, s:s?, s:I}", "name", job->name,
                     "source", job->source, "vm", job->vm, "state", job_state_name(state),
                     "failed_state", failed_state < 0 ? NULL : job_state_name(failed_state),
                     "params", job->params, "description", job->description, "facts", facts,
                     "error_code", error_code, "error", error, "created_ns", job->created_ns);
}

static json_t *state_event(const char *from, enum job_state to, const char *error)
{
    return json_pack("{s:s, s:s?, s:s, s:s*}", "event", "state", "from", from, "state",
                     job_state_name(to), "error", error);
}

/* The error a job carries in its next state: the new one; or none when a person has just asked
 * for something; or the one it has. */
static void error_after(const struct job *job, enum job_state to, const struct error *why,
                        int *ret_code, const char **ret_text)
{
    bool asked = !(job_states[job->state].flags & STATE_ACTIVE);

    if (to == JOB_DONE || to == JOB_CANCELLED || (asked && !why)) {
        *ret_code = 0;
        *ret_text = NULL;
    } else {
        *ret_code = why ? error_code(why) : job->error_code;
        *ret_text = why ? error_text(why) : job->error;
    }
}

int job_transition(struct daemon *d, struct job *job, enum job_state to, const struct error *why,
                   struct error **err)
{
    const char *from = job_state_name(job->state), *text;
    int failed_state = to == JOB_FAILED ? (int)job->state : -1, code, r;
    _cleanup_json_ json_t *row = NULL, *event = NULL, *facts = json_copy(job->facts);
    _cleanup_free_ char *detail = str_format("%s:%s", from, job_state_name(to));
    json_t *old_facts;
    int64_t seq = 0;

    if (!job_may_follow(job->state, to))
        return error_set(err, EPERM, "migration %s cannot go from %s to %s", job->name, from,
                         job_state_name(to));
    error_after(job, to, why, &code, &text);
    json_object_del(facts, "step_done");
    row = job_row(job, to, failed_state, facts, code, text);
    event = state_event(from, to, why ? text : NULL);
    job_trace("before-journal", detail);
    events_begin(d->events);
    r = journal_put_migration(d->journal, row, from, event, &seq, err);
    if (r < 0) {
        events_end(d->events);
        return r;
    }
    job_trace("after-journal", detail);
    if (why)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_FAILURE, job->name, job->source, "%s: %s -> %s: %s",
                  job->name, from, job_state_name(to), error_text(why));
    else
        log_about(LOG_LEVEL_INFO, LOG_KIND_TRANSITION, job->name, job->source, "%s: %s -> %s",
                  job->name, from, job_state_name(to));
    pthread_mutex_lock(&d->lock);
    if (text != job->error)
        str_replace(&job->error, text);
    job->error_code = code;
    job->failed_state = failed_state;
    job->state = to;
    old_facts = job->facts;
    job->facts = steal_ptr(facts);
    memset(&job->progress, 0, sizeof(job->progress));
    events_publish(d->events, job->name, seq, steal_ptr(event));
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    events_end(d->events);
    json_decref(old_facts);
    return 0;
}

int job_add(struct daemon *d, struct job *job, struct error **err)
{
    _cleanup_json_ json_t *row = job_row(job, job->state, -1, job->facts, 0, NULL);
    json_t *event = state_event(NULL, job->state, NULL);
    int64_t seq = 0;
    int r;

    events_begin(d->events);
    r = journal_put_migration(d->journal, row, NULL, event, &seq, err);
    if (r < 0) {
        events_end(d->events);
        json_decref(event);
        if (r == -EEXIST)
            error_prefix(err, "migration %s", job->name);
        return r;
    }
    job_trace("after-journal", job->state == JOB_CREATED ? "new:created" : "new:planned");
    job->active = job_states[job->state].flags & STATE_ACTIVE;
    pthread_mutex_lock(&d->lock);
    job->next = d->jobs;
    d->jobs = job;
    events_publish(d->events, job->name, seq, event);
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    events_end(d->events);
    return 0;
}

/* Makes these the facts; consumes facts. */
static int put_facts(struct daemon *d, struct job *job, const char *name, json_t *facts,
                     struct error **err)
{
    _cleanup_json_ json_t *row = job_row(job, job->state, job->failed_state, facts,
                                         job->error_code, job->error);
    json_t *old;
    int r;

    job_trace("before-fact", name);
    r = journal_put_migration(d->journal, row, job_state_name(job->state), NULL, NULL, err);
    if (r < 0) {
        json_decref(facts);
        return r;
    }
    pthread_mutex_lock(&d->lock);
    old = job->facts;
    job->facts = facts;
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    json_decref(old);
    job_trace("after-fact", name);
    return 0;
}

int job_set_params(struct daemon *d, struct job *job, json_t *params, struct error **err)
{
    _cleanup_json_ json_t *row = job_row(job, job->state, job->failed_state, job->facts,
                                         job->error_code, job->error);
    json_t *old;
    int r;

    json_object_set(row, "params", params);
    r = journal_put_migration(d->journal, row, job_state_name(job->state), NULL, NULL, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&d->lock);
    old = job->params;
    job->params = json_incref(params);
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    json_decref(old);
    return 0;
}

int job_set_fact(struct daemon *d, struct job *job, const char *name, json_t *value,
                 struct error **err)
{
    json_t *facts = json_copy(job->facts);

    if (value)
        json_object_set_new(facts, name, value);
    else
        json_object_del(facts, name);
    return put_facts(d, job, name, facts, err);
}

int job_set_generation(struct daemon *d, struct job *job, int64_t generation, struct error **err)
{
    json_t *facts = json_copy(job->facts);
    struct stamp now;

    stamp_now(&now);
    json_object_set_new(facts, "generation", json_integer(generation));
    json_object_set_new(facts, "synced_ns", json_integer(now.wall_ns));
    return put_facts(d, job, "generation", facts, err);
}

bool job_fact(const struct job *job, const char *name)
{
    return json_is_true(json_object_get(job->facts, name));
}

enum flip_known job_flip_known(const struct job *job)
{
    if (!job_fact(job, "unflipped"))
        return FLIP_UNKNOWN;
    return job_fact(job, "sealed") ? FLIP_SEALED : FLIP_NOT_DONE;
}

bool job_instant(const struct job *job)
{
    return field_bool(job->facts, "instant", field_bool(job->params, "instant", false));
}

bool job_failback(const struct job *job)
{
    return field_bool(job->params, "failback", false) &&
           field_integer(job->params, "commit_window_s", 0) > 0;
}

bool job_through_engine(const struct job *job)
{
    return (job_fact(job, "instant_flipped") || (job_failback(job) && job_fact(job, "flipped"))) &&
           !job_fact(job, "detached");
}

static int job_load(struct daemon *d, const json_t *row, struct error **err)
{
    int state = job_state_from_name(field_string(row, "state", NULL));
    const char *name = field_string(row, "name", "?");
    json_t *facts = json_object_get(row, "facts");
    struct job *job;

    if (state < 0 || !json_is_object(facts))
        return error_set(err, EBADMSG, "the journal is damaged: migration %s has no known state; "
                         "put %s/journal.db.backup in the place of journal.db", name,
                         d->options->state_dir);
    job = job_new(name, json_object_get(row, "params"), json_object_get(row, "description"));
    job->state = state;
    job->failed_state = job_state_from_name(field_string(row, "failed_state", NULL));
    if (job->failed_state < 0)
        job->failed_state = -1;
    json_object_update(job->facts, facts);
    job->error_code = (int)field_integer(row, "error_code", 0);
    job->error = str_dup(field_string(row, "error", NULL));
    job->created_ns = field_integer(row, "created_ns", 0);
    job->next = d->jobs;
    d->jobs = job;
    return 0;
}

int jobs_load(struct daemon *d, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_migrations(d->journal, &rows, err);

    if (r < 0)
        return r;
    json_array_foreach(rows, i, row) {
        r = job_load(d, row, err);
        if (r < 0)
            return r;
    }
    return 0;
}

void jobs_free(struct daemon *d)
{
    while (d->jobs) {
        struct job *next = d->jobs->next;

        job_free(d->jobs);
        d->jobs = next;
    }
}

static json_t *progress_json(const struct progress_state *p)
{
    json_t *j;

    if (!p->phase[0])
        return json_null();
    j = json_pack("{s:s, s:I, s:I, s:I}", "phase", p->phase, "done_bytes",
                  (json_int_t)p->done_bytes, "total_bytes", (json_int_t)p->total_bytes,
                  "rate_bytes_s", (json_int_t)p->rate_bytes_s);
    if (p->eta_s >= 0)
        json_object_set_new(j, "eta_s", json_real(p->eta_s));
    if (p->limit_bytes_s)
        json_object_set_new(j, "limit_bytes_s", json_integer((json_int_t)p->limit_bytes_s));
    if (p->because[0])
        json_object_set_new(j, "because", json_string(p->because));
    return j;
}

static json_t *disks_json(const struct daemon *d, const struct job *job)
{
    json_t *disks = json_array(), *disk;
    size_t i;

    json_array_foreach(json_object_get(job->description, "disks"), i, disk) {
        const char *name = field_string(disk, "name", "?");
        _cleanup_free_ char *target = job_target(job, name);

        json_array_append_new(disks, json_pack("{s:s, s:I, s:s}", "name", name, "size_bytes",
                                               field_integer(disk, "size_bytes", 0), "target",
                                               target));
    }
    return disks;
}

static json_t *verbs_json(const struct job *job)
{
    json_t *verbs = json_array();
    enum job_state to;

    for (int v = 0; v < JOB_VERB_COUNT; v++) {
        bool possible = job_states[job->state].verbs & (UINT32_C(1) << v);

        if (job->state == JOB_FAILED)
            possible = job_retry_state(job->failed_state, v, job_flip_known(job), &to);
        if (possible)
            json_array_append_new(verbs, json_string(job_verb_name(v)));
    }
    return verbs;
}

json_t *job_json_locked(const struct daemon *d, const struct job *job)
{
    _cleanup_free_ char *store = job_store(d, job);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:O, s:o, s:o, s:o, s:s}", "name", job->name,
                          "source", job->source, "vm", job->vm, "state",
                          job_state_name(job->state), "active", job->active, "params", job->params,
                          "disks", disks_json(d, job), "progress", progress_json(&job->progress),
                          "verbs", verbs_json(job), "store", store);
    json_t *generation = json_object_get(job->facts, "generation");

    json_object_set(j, "generation", generation ? generation : json_null());
    if (json_object_get(job->facts, "synced_ns"))
        json_object_set(j, "synced_ns", json_object_get(job->facts, "synced_ns"));
    json_object_set_new(j, "rehearsal", rehearsal_json_locked(job));
    json_object_set_new(j, "forecast", forecast_json_locked(job));
    if (job->failed_state >= 0)
        json_object_set_new(j, "failed_state", json_string(job_state_name(job->failed_state)));
    if (job->alarm && job->state == JOB_WINDOW)
        json_object_set_new(j, "alarm", json_string(job->alarm));
    if (job->error)
        json_object_set_new(j, "error",
                            json_pack("{s:i, s:s, s:s}", "code", job->error_code, "name",
                                      strerrorname_np(job->error_code)
                                          ? strerrorname_np(job->error_code) : "EIO",
                                      "message", job->error));
    return j;
}

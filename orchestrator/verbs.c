/* SPDX-License-Identifier: Apache-2.0 */
/* What a person does to migrations: create one, or a verb of the verb table. */
#include <string.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/group.h"
#include "orchestrator/params.h"
#include "orchestrator/pause.h"
#include "orchestrator/steps.h"

static int name_free_check(struct daemon *d, const char *name, struct error **err)
{
    LOCK_FOR_SCOPE(&d->lock);
    if (!job_find_locked(d, name))
        return 0;
    return error_set(err, EEXIST, "migration %s exists already: choose another name, or remove it "
                     "when it is finished", name);
}

static int describe(struct daemon *d, const json_t *params, json_t **ret_description,
                    struct error **err)
{
    struct leftover_owner owner = {.source = field_string(params, "source", ""), .migration = ""};
    const struct source_ops *ops;
    struct source *source;
    int r = sources_open(d, &owner, &ops, &source, err);

    if (r < 0)
        return r;
    r = ops->describe(source, field_string(params, "vm", ""), ret_description, err);
    ops->close(source);
    return r;
}

int verb_create(struct daemon *d, const json_t *body, json_t **ret_job, struct error **err)
{
    _cleanup_json_ json_t *params = NULL, *description = NULL;
    struct job *job;
    int r = params_complete(body, d->options->pool, &params, err);

    if (r == 0)
        r = name_free_check(d, field_string(params, "name", ""), err);
    if (r == 0)
        r = describe(d, params, &description, err);
    if (r < 0)
        return r;
    job = job_new(field_string(params, "name", ""), params, description);
    r = params_check_vm(params, description, err);
    if (r == 0)
        r = preflight(d, job, err);
    if (r == 0)
        r = job_add(d, job, err);
    if (r < 0) {
        job_free(job);
        return r;
    }
    pthread_mutex_lock(&d->lock);
    *ret_job = job_json_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    if (job->state == JOB_PLANNED)
        return 0;
    r = runner_start(d, job, err);
    if (r < 0)
        json_decref(*ret_job);
    return r;
}

/* Claims a job at rest for `verb`.  1: a running job has been asked to cancel instead. */
int verb_claim_locked(struct daemon *d, const char *name, enum job_verb verb, struct job **ret_job,
                      struct error **err)
{
    struct job *job = job_find_locked(d, name);
    int r;

    if (!job)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    if (d->stopping)
        return error_set(err, EBUSY, "slipwayd is ending; try again when it runs");
    r = job_verb_check(name, job->state, verb, err);
    if (r < 0)
        return r;
    *ret_job = job;
    if (job->active && verb == VERB_CANCEL) {
        job->cancel = true;
        pthread_cond_broadcast(&d->changed);
        return 1;
    }
    if (job->active && verb == VERB_PAUSE && job_states[job->state].flags & STATE_ACTIVE) {
        job->pause = true;
        pthread_cond_broadcast(&d->changed);
        return 1;
    }
    if (job->active)
        return error_set(err, EBUSY, "migration %s is being worked on; try again in a moment",
                         name);
    job->active = true;
    job->stuck = false;
    return 0;
}

static void unclaim(struct daemon *d, struct job *job)
{
    LOCK_FOR_SCOPE(&d->lock);
    job->active = false;
    job_tell_locked(d, job);
}

static int next_of_verb(const struct job *job, enum job_verb verb, enum job_state *ret_to,
                        struct error **err)
{
    if (job->state != JOB_FAILED) {
        *ret_to = job_begin_state(job->state, verb);
        return 0;
    }
    if (job_retry_state(job->failed_state, verb, job_flip_known(job), ret_to))
        return 0;
    return error_set(err, EPERM, "migration %s failed in %s: %s is not possible there%s", job->name,
                     job_state_name(job->failed_state), job_verb_name(verb),
                     verb == VERB_CANCEL ? " because the target may be the truth already; cutover "
                                           "tries again" : "");
}

/* What becomes of {instant} of a cutover.  It is chosen anew by each one that begins with stopping
 * the source; behind an instant flip there is nothing to choose any more. */
static int choose_instant(struct daemon *d, struct job *job, enum job_state to,
                          const json_t *body, struct error **err)
{
    static const struct field fields[] = {{"instant", FIELD_BOOL, false}, {NULL}};
    json_t *asked = json_object_get(body, "instant");
    int r = body ? fields_check(body, fields, "a cutover", err) : 0;

    if (r < 0)
        return r;
    if (to != JOB_STOPPING || job_fact(job, "instant_flipped")) {
        if (!asked || json_is_true(asked) == job_instant(job))
            return 0;
        return error_set(err, EPERM, "the cutover of migration %s has come too far to be made %s; "
                         "run cutover without that to go on", job->name,
                         json_is_true(asked) ? "instant" : "an ordinary one");
    }
    if (!asked && !json_object_get(job->facts, "instant"))
        return 0;
    return job_set_fact(d, job, "instant", json_incref(asked), err);
}

/* {failback} of a rollback: does what the VM has written go back to the source?  Without a word:
 * when that was prepared. */
static int choose_failback(struct daemon *d, struct job *job, const json_t *body,
                           struct error **err)
{
    static const struct field fields[] = {{"failback", FIELD_BOOL, false}, {NULL}};
    bool wanted = field_bool(body, "failback", job_failback(job));
    int r = body ? fields_check(body, fields, "a rollback", err) : 0;

    if (r < 0)
        return r;
    if (wanted && !job_through_engine(job))
        return error_set(err, EPERM,
                         "migration %s cannot send back what its VM has written, because "
                         "that was not recorded (failback was off at the cutover): roll back "
                         "without failback, the targets stay as they are",
                         job->name);
    return job_set_fact(d, job, "send_back", json_boolean(wanted), err);
}

int verb_begin(struct daemon *d, struct job *job, enum job_verb verb, const json_t *body,
               json_t **ret_job, struct error **err)
{
    enum job_state to;
    int r = next_of_verb(job, verb, &to, err);

    if (r == 0 && verb == VERB_CUTOVER)
        r = choose_instant(d, job, to, body, err);
    if (r == 0 && verb == VERB_ROLLBACK && job->state == JOB_WINDOW)
        r = choose_failback(d, job, body, err);
    if (r == 0 && verb == VERB_PAUSE)
        r = pause_remember(d, job, NULL, err);
    if (r == 0 && verb == VERB_RESUME)
        r = pause_forget(d, job, &to, err);
    if (r == 0)
        r = job_transition(d, job, to, NULL, err);
    if (r < 0) {
        unclaim(d, job);
        return r;
    }
    pthread_mutex_lock(&d->lock);
    *ret_job = job_json_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    r = runner_start(d, job, err);
    if (r < 0)
        json_decref(*ret_job);
    return r;
}

/* A cutover that would begin with stopping the source; not one that only goes on. */
static bool begins_alone(const struct job *job)
{
    enum job_state to;

    return next_of_verb(job, VERB_CUTOVER, &to, NULL) == 0 && to == JOB_STOPPING;
}

static int fits_group(struct daemon *d, const struct job *job, enum job_verb verb,
                      struct error **err)
{
    if (verb == VERB_CANCEL)
        return group_check_cancel(d, job, err);
    return verb == VERB_CUTOVER && begins_alone(job) ? group_check_alone(d, job, err) : 0;
}

int verb_run(struct daemon *d, const char *name, enum job_verb verb, const json_t *body,
             json_t **ret_job, struct error **err)
{
    _cleanup_free_ char *store = NULL;
    struct job *job = NULL;
    int r;

    pthread_mutex_lock(&d->lock);
    r = verb_claim_locked(d, name, verb, &job, err);
    if (r == 1) {
        *ret_job = job_json_locked(d, job);
        store = job_store(d, job);
    }
    pthread_mutex_unlock(&d->lock);
    if (r == 1) {
        /* The engine may be busy for long; its own cancel ends the running sync soon. */
        engine_cancel_sync(store);
        return 0;
    }
    if (r == 0) {
        r = fits_group(d, job, verb, err);
        if (r < 0)
            unclaim(d, job);
    }
    return r < 0 ? r : verb_begin(d, job, verb, body, ret_job, err);
}

static void unlink_locked(struct daemon *d, struct job *job)
{
    for (struct job **p = &d->jobs; *p; p = &(*p)->next)
        if (*p == job) {
            *p = job->next;
            break;
        }
    job_free(job);
}

/* Out of the journal and out of the list, in one for the listeners. */
static int forget(struct daemon *d, struct job *job, const char *name, struct error **err)
{
    json_t *event = json_pack("{s:s}", "event", "removed");
    int64_t seq = 0;
    int r;

    events_begin(d->events);
    r = journal_remove_migration(d->journal, name, event, &seq, err);
    if (r == 0) {
        LOCK_FOR_SCOPE(&d->lock);
        unlink_locked(d, job);
        events_publish(d->events, name, seq, steal_ptr(event));
    }
    events_end(d->events);
    json_decref(event);
    return r;
}

int verb_remove(struct daemon *d, const char *name, bool with_vm, struct error **err)
{
    struct job *job = NULL;
    int r;

    pthread_mutex_lock(&d->lock);
    r = verb_claim_locked(d, name, VERB_REMOVE, &job, err);
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return r;
    r = remove_traces(d, job, with_vm && job->state == JOB_DONE, err);
    if (r == 0)
        r = forget(d, job, name, err);
    if (r < 0)
        unclaim(d, job);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread walks one job from active state to active state until it comes to rest.  It can be
 * killed at any instant: the state it was in is in the journal, and each step may be repeated.
 */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/group.h"
#include "orchestrator/hooks.h"
#include "orchestrator/logkind.h"
#include "orchestrator/pause.h"
#include "orchestrator/rehearsal.h"
#include "orchestrator/steps.h"

/* What a running job is told to do, read under the lock. */
static bool wants(struct run *run, bool *ret_cancel)
{
    LOCK_FOR_SCOPE(&run->daemon->lock);
    *ret_cancel = run->job->cancel && job_may_follow(run->job->state, JOB_CANCELLING) &&
                  !group_decided_locked(run->daemon, run->job);
    return run->daemon->stopping;
}

bool run_interrupted(void *context)
{
    struct run *run = context;

    if (run->rehearsal)
        return rehearsal_interrupted(run->rehearsal);
    LOCK_FOR_SCOPE(&run->daemon->lock);
    return job_interrupted_locked(run->daemon, run->job);
}

/* Where a failure in this state leads. */
static enum job_state after_failure(struct daemon *d, const struct job *job)
{
    bool may_revert = job->state != JOB_FLIPPING || job_flip_known(job) == FLIP_NOT_DONE;

    LOCK_FOR_SCOPE(&d->lock);
    may_revert = may_revert && !group_decided_locked(d, job);

    if (job_may_follow(job->state, JOB_REVERTING) && may_revert &&
        strcmp(field_string(job->params, "on_failure", ""), "restart") == 0)
        return JOB_REVERTING;
    return JOB_FAILED;
}

/* Where success leads. */
static enum job_state next_state(const struct job *job)
{
    struct job_course course = {
        .instant = job_instant(job),
        .afresh = job_fact(job, "afresh"),
        .through_engine = job_through_engine(job),
        .failback = job_failback(job),
        .window = field_integer(job->params, "commit_window_s", 0) > 0,
        .committed = job_fact(job, "committed"),
    };

    return job_next_state(job->state, &course);
}

/* Where a sync that did not come to its end is paused: a person wants it (*ret_why NULL), or there
 * is no room.  False: it is not. */
static bool pauses(struct run *run, int r, const char **ret_why)
{
    LOCK_FOR_SCOPE(&run->daemon->lock);
    *ret_why = NULL;
    if (pause_wanted_locked(run->job)) {
        *ret_why = field_string(run->job->facts, "paused_for", NULL);
        return true;
    }
    if (run->job->state != JOB_SYNCING || r != -ENOSPC)
        return false;
    *ret_why = run->source_full ? "source-room" : "room";
    return true;
}

/* Chooses the next state after a step.  False: stay where we are, the daemon ends. */
static bool choose_next(struct run *run, int r, enum job_state *ret_next, bool *ret_failed)
{
    const struct job *job = run->job;
    bool cancel, stop = wants(run, &cancel);

    *ret_failed = false;
    if (r == 0 && !cancel) {
        *ret_next = next_state(job);
        return true;
    }
    if (cancel) {
        *ret_next = JOB_CANCELLING;
        return true;
    }
    if (pauses(run, r, &run->paused_for)) {
        *ret_next = JOB_PAUSED;
        *ret_failed = run->paused_for != NULL;
        return true;
    }
    if (stop)
        return false;
    *ret_next = after_failure(run->daemon, job);
    *ret_failed = true;
    return true;
}

/* The transition, after what has to be remembered before it. */
static int go_to(struct run *run, enum job_state next, const struct error *why, struct error **err)
{
    int r = 0;

    if (next == JOB_PAUSED)
        r = pause_remember(run->daemon, run->job, run->paused_for, err);
    return r == 0 ? job_transition(run->daemon, run->job, next, why, err) : r;
}

/* A pause that was asked for when the sync had just come to its end. */
static bool pause_at_rest(struct run *run)
{
    _cleanup_error_ struct error *err = NULL;
    bool wanted;

    pthread_mutex_lock(&run->daemon->lock);
    wanted = run->job->pause && run->job->state == JOB_MIRRORED;
    run->job->pause = false;
    pthread_mutex_unlock(&run->daemon->lock);
    run->paused_for = NULL;
    if (wanted && go_to(run, JOB_PAUSED, NULL, &err) < 0)
        log_about(LOG_LEVEL_ERROR, LOG_KIND_STUCK, run->job->name, run->job->source,
                  "%s is not paused: %s", run->job->name, error_text(err));
    return false;
}

/* One state.  False: the thread has nothing more to do. */
static bool run_step(struct run *run)
{
    _cleanup_error_ struct error *err = NULL, *journal_err = NULL;
    struct job *job = run->job;
    enum job_state from = job->state, next;
    bool failed, cancel;
    int r;

    if (!(job_states[job->state].flags & STATE_ACTIVE))
        return pause_at_rest(run);
    job_trace("step", job_state_name(job->state));
    r = steps[job->state](run, &err);
    if (r < 0 && !err)
        error_set_errno(&err, -r, "%s failed", job_state_name(job->state));
    wants(run, &cancel);
    r = group_after_step(run, r, cancel, &err);
    if (r < 0)
        run_disconnect(run);
    if (!choose_next(run, r, &next, &failed))
        return false;
    if (hooks_after_step(run, next, failed ? err : NULL) < 0)
        return false;
    r = go_to(run, next, failed ? err : NULL, &journal_err);
    if (r < 0) {
        log_about(LOG_LEVEL_ERROR, LOG_KIND_STUCK, job->name, job->source, "%s stays %s: %s",
                  job->name, job_state_name(job->state), error_text(journal_err));
        if (r == -ENOSPC)
            run->stuck = str_dup(error_text(journal_err));
        return false;
    }
    if (next == JOB_MIRRORED)
        job->room_tries = 0;
    if (from == JOB_SYNCING || !(job_states[next].flags & STATE_ACTIVE))
        forecast_refresh(run->daemon, job->name);
    return true;
}

static void *run_thread(void *context)
{
    struct run *run = context;
    struct daemon *d = run->daemon;
    _cleanup_free_ char *name = str_dup(run->job->name);

    while (run_step(run))
        ;
    run_disconnect(run);
    pthread_mutex_lock(&d->lock);
    run->job->active = false;
    run->job->cancel = false;
    run->job->pause = false;
    memset(&run->job->progress, 0, sizeof(run->job->progress));
    if (run->stuck)
        pause_stuck_locked(run->job, run->stuck);
    job_tell_locked(d, run->job);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    /* From here on the job may be removed. */
    group_settle(d, name);
    free(run->complaint);
    free(run->stuck);
    free(run);
    pthread_mutex_lock(&d->lock);
    d->threads--;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

int runner_start(struct daemon *d, struct job *job, struct error **err)
{
    struct run *run = mem_new(1, sizeof(*run));
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    run->daemon = d;
    run->job = job;
    run->owner = (struct leftover_owner){.source = job->source, .migration = job->name};
    pthread_mutex_lock(&d->lock);
    d->threads++;
    pthread_mutex_unlock(&d->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attr, run_thread, run);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    free(run);
    pthread_mutex_lock(&d->lock);
    d->threads--;
    job->active = false;
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    return error_set_errno(err, r, "cannot start a thread for migration %s", job->name);
}

int runner_resume(struct daemon *d, struct error **err)
{
    for (struct job *job = d->jobs; job; job = job->next) {
        int r;

        if (!(job_states[job->state].flags & STATE_ACTIVE))
            continue;
        log_about(LOG_LEVEL_INFO, LOG_KIND_CONTINUES, job->name, job->source, "%s: continues in %s",
                  job->name, job_state_name(job->state));
        job->active = true;
        r = runner_start(d, job, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int wait_changed_locked(struct daemon *d, uint64_t until_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                          .tv_nsec = (long)(until_ns % NS_PER_S)};

    return pthread_cond_timedwait(&d->changed, &d->lock, &ts);
}

bool runner_stop(struct daemon *d, uint64_t timeout_ns)
{
    uint64_t until = clock_now_ns() + timeout_ns;

    LOCK_FOR_SCOPE(&d->lock);
    d->stopping = true;
    pthread_cond_broadcast(&d->changed);
    while (d->threads > 0)
        if (wait_changed_locked(d, until) == ETIMEDOUT)
            return false;
    return true;
}

bool job_interrupted_locked(const struct daemon *d, const struct job *job)
{
    return d->stopping || pause_wanted_locked(job) || group_interrupts_locked(d, job) ||
           (job->cancel && job_may_follow(job->state, JOB_CANCELLING) &&
            !group_decided_locked(d, job));
}

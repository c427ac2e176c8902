/* SPDX-License-Identifier: Apache-2.0 */
/* What a group is, and how its members wait for each other; group-verbs.c has how it begins. */
#include "orchestrator/group-inside.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/steps.h"

#define HOLD_NS (20 * NS_PER_S) /* nobody stands still for longer than that for the others */

static const char *const phase_names[] = {
    [PHASE_CUTOVER] = "cutover", [PHASE_FLIPPED] = "flipped", [PHASE_REVERTING] = "reverting",
    [PHASE_SYNC] = "sync"};

const char *group_phase_name(enum group_phase phase)
{
    return phase_names[phase];
}

char *group_key(const struct job *job)
{
    const char *group = field_string(job->params, "group", NULL);
    const char *plan = field_string(job->params, "plan", NULL);

    if (!group)
        return NULL;
    return plan ? str_format("%s:%s", plan, group) : str_dup(group);
}

struct group *group_find_locked(const struct daemon *d, const char *key)
{
    for (struct group *g = d->groups; g; g = g->next)
        if (strcmp(g->key, key) == 0)
            return g;
    return NULL;
}

bool group_has(const struct group *g, const char *name)
{
    json_t *member;
    size_t i;

    json_array_foreach(g->members, i, member)
        if (strcmp(json_string_value(member), name) == 0)
            return true;
    return false;
}

struct group *group_of_locked(const struct daemon *d, const struct job *job)
{
    for (struct group *g = d->groups; g; g = g->next)
        if (group_has(g, job->name))
            return g;
    return NULL;
}

static void tell(struct daemon *d, const struct group *g, const char *phase, const char *reason)
{
    events_record(d->events, NULL,
                  json_pack("{s:s, s:s, s:s?, s:s*}", "event", "group", "group", g->key, "phase",
                            phase, "reason", reason));
}

int group_set_phase(struct daemon *d, struct group *g, enum group_phase phase, const char *reason,
                    struct error **err)
{
    int r;

    job_trace("before-group", phase_names[phase]);
    r = journal_put_group(d->journal, g->key, phase_names[phase], g->members, reason, err);
    if (r < 0)
        return r;
    job_trace("after-group", phase_names[phase]);
    log_about(reason ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, LOG_KIND_GROUP, NULL, NULL,
              "group %s: %s%s%s", g->key, phase_names[phase], reason ? ": " : "",
              reason ? reason : "");
    tell(d, g, phase_names[phase], reason);
    LOCK_FOR_SCOPE(&d->lock);
    g->phase = phase;
    g->deciding = false;
    str_replace(&g->reason, reason);
    pthread_cond_broadcast(&d->changed);
    return 0;
}

/* States in which a member can still go back. */
static bool may_go_back(enum job_state state)
{
    return job_states[state].flags & STATE_CUTOVER && !(job_states[state].flags & STATE_FLIPPED) &&
           state != JOB_FLIPPING && state != JOB_REVERTING;
}

static bool behind_flip(const struct job *job)
{
    return job->state == JOB_FLIPPING || job_states[job->state].flags & STATE_FLIPPED ||
           job->state == JOB_DONE || job->state == JOB_ROLLED_BACK ||
           (job->state == JOB_FAILED && (job->failed_state == JOB_FLIPPING ||
                                         job_states[job->failed_state].flags & STATE_FLIPPED));
}

static bool has_come_to(const struct job *job, enum group_point point)
{
    switch (point) {
    case GROUP_STOPPED:
        return (job->state == JOB_STOPPING && job->group_point >= GROUP_STOPPED) ||
               job->state == JOB_FINAL_SYNC || job->state == JOB_INSTANT_FLIP ||
               job->state == JOB_MORPHING || behind_flip(job);
    case GROUP_READY:
        return (job->state == JOB_MORPHING && job->group_point >= GROUP_READY) ||
               behind_flip(job);
    default: /* a sync that was over before the others came is no reason to wait */
        return job->group_point >= (int)point;
    }
}

static bool all_have_come_locked(const struct daemon *d, const struct group *g,
                                 enum group_point point)
{
    for (const struct job *job = d->jobs; job; job = job->next)
        if (group_has(g, job->name) && !has_come_to(job, point))
            return false;
    return true;
}

/* One of those that wait writes the decision down. */
static int decide(struct run *run, struct group *g, struct error **err)
{
    struct daemon *d = run->daemon;
    bool mine;

    pthread_mutex_lock(&d->lock);
    mine = g->phase == PHASE_CUTOVER && !g->deciding;
    g->deciding = g->deciding || mine;
    while (!mine && g->deciding)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    if (!mine || group_set_phase(d, g, PHASE_FLIPPED, NULL, err) == 0)
        return 0;
    LOCK_FOR_SCOPE(&d->lock);
    g->deciding = false;
    pthread_cond_broadcast(&d->changed);
    return -EIO;
}

static int goes_back(const struct group *g, struct error **err)
{
    return error_set(err, ECANCELED, "group %s goes back: %s", g->key,
                     g->reason ? g->reason : "a member could not go on");
}

static void show_waiting_locked(struct job *job)
{
    strcpy(job->progress.phase, "group");
    job->progress.eta_s = -1;
}

/* 0: all are there.  The lock is held. */
static int wait_locked(struct run *run, struct group *g, enum group_point point,
                       struct error **err)
{
    struct daemon *d = run->daemon;
    uint64_t start = clock_now_ns();

    while (!all_have_come_locked(d, g, point)) {
        uint64_t until = clock_now_ns() + NS_PER_S / 5;
        struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S),
                              .tv_nsec = (long)(until % NS_PER_S)};

        if (g->phase == PHASE_REVERTING)
            return goes_back(g, err);
        if (job_interrupted_locked(d, run->job))
            return error_set(err, ECANCELED, "interrupted while it waited for its group");
        if (point >= GROUP_HELD && clock_now_ns() - start > HOLD_NS)
            return error_set(err, ETIMEDOUT, "group %s: not all members could be frozen in one "
                             "moment", g->key);
        show_waiting_locked(run->job);
        pthread_cond_timedwait(&d->changed, &d->lock, &ts);
    }
    return g->phase == PHASE_REVERTING ? goes_back(g, err) : 0;
}

int group_wait(struct run *run, enum group_point point, struct error **err)
{
    struct daemon *d = run->daemon;
    bool of_sync = point >= GROUP_HERE;
    struct group *g;
    int r;

    pthread_mutex_lock(&d->lock);
    g = group_of_locked(d, run->job);
    if (!g || of_sync != (g->phase == PHASE_SYNC)) {
        pthread_mutex_unlock(&d->lock);
        return 0;
    }
    run->job->group_point = (int)point;
    pthread_cond_broadcast(&d->changed);
    r = wait_locked(run, g, point, err);
    memset(&run->job->progress, 0, sizeof(run->job->progress));
    pthread_mutex_unlock(&d->lock);
    if (r == 0 && point == GROUP_READY)
        r = decide(run, g, err);
    if (r == 0 && point == GROUP_READY) {
        LOCK_FOR_SCOPE(&d->lock);
        r = g->phase == PHASE_REVERTING ? goes_back(g, err) : 0;
    }
    return r;
}

bool group_syncs(struct run *run)
{
    struct group *g;

    LOCK_FOR_SCOPE(&run->daemon->lock);
    g = group_of_locked(run->daemon, run->job);
    return g && g->phase == PHASE_SYNC;
}

bool group_decided_locked(const struct daemon *d, const struct job *job)
{
    const struct group *g = group_of_locked(d, job);

    return g && g->phase == PHASE_FLIPPED;
}

bool group_interrupts_locked(const struct daemon *d, const struct job *job)
{
    const struct group *g = group_of_locked(d, job);

    return g && g->phase == PHASE_REVERTING && may_go_back(job->state);
}

/* Makes the group go back, unless that is so already or it is too late. */
static void take_back(struct run *run, struct group *g, const char *why)
{
    _cleanup_free_ char *reason = str_format("%s: %s", run->job->name, why);
    _cleanup_error_ struct error *err = NULL;

    if (group_set_phase(run->daemon, g, PHASE_REVERTING, reason, &err) == 0)
        return;
    /* Those who wait must not do so for ever; who is started anew finds the phase before. */
    log_about(LOG_LEVEL_ERROR, LOG_KIND_GROUP, NULL, NULL, "group %s: %s", g->key, error_text(err));
    LOCK_FOR_SCOPE(&run->daemon->lock);
    g->phase = PHASE_REVERTING;
    str_replace(&g->reason, reason);
    pthread_cond_broadcast(&run->daemon->changed);
}

int group_after_step(struct run *run, int r, bool cancelled, struct error **err)
{
    struct daemon *d = run->daemon;
    enum group_phase phase = PHASE_FLIPPED;
    struct group *g;

    pthread_mutex_lock(&d->lock);
    g = group_of_locked(d, run->job);
    while (g && g->deciding && r < 0)
        pthread_cond_wait(&d->changed, &d->lock);
    if (g)
        phase = g->phase;
    if (d->stopping && r == -ECANCELED)
        g = NULL;
    pthread_mutex_unlock(&d->lock);
    if (!g || !may_go_back(run->job->state))
        return r;
    if (phase == PHASE_REVERTING) {
        error_free(steal_ptr(*err));
        return goes_back(g, err);
    }
    if (phase == PHASE_CUTOVER && (r < 0 || cancelled))
        take_back(run, g, cancelled ? "it was cancelled" : error_text(*err));
    return r;
}

/* True when nothing more is to come from the group's work. */
static bool is_over_locked(const struct daemon *d, const struct group *g)
{
    for (const struct job *job = d->jobs; job; job = job->next) {
        if (!group_has(g, job->name))
            continue;
        if (job->active || job_states[job->state].flags & STATE_ACTIVE)
            return false;
        /* It goes forward only, and must know that. */
        if (g->phase == PHASE_FLIPPED && job->state == JOB_FAILED &&
            (job->failed_state == JOB_FLIPPING || may_go_back(job->failed_state)))
            return false;
        if (g->phase == PHASE_CUTOVER)
            return false;
    }
    return true;
}

void group_settle(struct daemon *d, const char *migration)
{
    _cleanup_error_ struct error *err = NULL;
    struct group *g;

    pthread_mutex_lock(&d->lock);
    for (g = d->groups; g && !group_has(g, migration);)
        g = g->next;
    if (g && is_over_locked(d, g))
        group_unlink_locked(d, g);
    else
        g = NULL;
    pthread_mutex_unlock(&d->lock);
    if (!g)
        return;
    /* Not removed now, it is found to be over when slipwayd starts. */
    if (g->phase != PHASE_SYNC && journal_remove_group(d->journal, g->key, &err) < 0)
        log_about(LOG_LEVEL_ERROR, LOG_KIND_GROUP, NULL, NULL, "group %s: %s", g->key,
                  error_text(err));
    log_about(LOG_LEVEL_INFO, LOG_KIND_GROUP, NULL, NULL, "group %s: over (%s)", g->key,
              phase_names[g->phase]);
    tell(d, g, NULL, NULL);
    group_free(g);
}

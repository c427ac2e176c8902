/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/scheduler-inside.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/group.h"
#include "orchestrator/rehearsal.h"

#define LOOK_MOST_NS (30 * NS_PER_S)  /* between two looks: the wall clock may have been set */
#define LOOK_LEAST_NS (100 * NS_PER_MS)
#define REFUSED_NS (60 * SCHEDULE_S)  /* before what was refused is tried again */

/* Something to begin, after the table is gone. */
struct deed {
    char *name;
    enum schedule_action action;
    char *reason;
    struct schedule_memory memory;
    json_t *check; /* of a rehearsal, or NULL */
};

static int deeds_take(struct scheduler *s, struct deed **ret_deeds, int64_t *ret_again_ns)
{
    struct deed *deeds = mem_new(s->count + 1, sizeof(*deeds));
    char text[SCHEDULE_TEXT];
    int n = 0;

    *ret_again_ns = LOOK_MOST_NS;
    for (size_t i = 0; i < s->count; i++) {
        const struct schedule_decision *d = &s->decisions[i];
        struct watch *w = &s->watches[i];

        if (d->again_ns < *ret_again_ns)
            *ret_again_ns = d->again_ns;
        if (d->action == SCHEDULE_NOTHING)
            w->memory = d->memory;
        if (d->action == SCHEDULE_NOTHING ||
            (d->action == w->refused_action && s->now.mono_ns < w->refused_until))
            continue;
        deeds[n++] = (struct deed){
            .name = str_dup(w->name), .action = d->action, .memory = d->memory,
            .reason = str_dup(schedule_text(&s->table, i, d, text)),
            .check = json_incref(json_object_get(s->looks[i].params, "rehearse_check"))};
    }
    *ret_deeds = deeds;
    return n;
}

/* Remembers, durably, that the budget never fitted. */
static int note_give_up(struct daemon *d, const char *name, struct error **err)
{
    struct stamp now;
    struct job *job;
    int r;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, name);
    if (!job || job->active || d->stopping) {
        pthread_mutex_unlock(&d->lock);
        return error_set(err, EBUSY, "migration %s is being worked on", name);
    }
    job->active = true;
    pthread_mutex_unlock(&d->lock);
    stamp_now(&now);
    r = job_set_fact(d, job, "gave_up",
                     json_pack("{s:I, s:I, s:s}", "wall_ns", (json_int_t)now.wall_ns, "mono_ns",
                               (json_int_t)now.mono_ns, "boot_id", now.boot_id), err);
    pthread_mutex_lock(&d->lock);
    job->active = false;
    job_tell_locked(d, job);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int run_verb(struct daemon *d, const char *name, const char *verb, const json_t *body,
                    struct error **err)
{
    _cleanup_json_ json_t *job = NULL;

    for (int v = 0; v < JOB_VERB_COUNT; v++)
        if (strcmp(job_verb_name(v), verb) == 0)
            return verb_run(d, name, v, body, &job, err);
    return error_set(err, EOPNOTSUPP, "there is no verb %s", verb);
}

static int rehearse(struct daemon *d, const struct deed *deed, struct error **err)
{
    _cleanup_json_ json_t *body = json_object(), *answer = NULL;

    if (deed->check)
        json_object_set(body, "check", deed->check);
    return rehearsal_begin(d, deed->name, body, &answer, err);
}

static int deed_do(struct daemon *d, const struct deed *deed, struct error **err)
{
    _cleanup_json_ json_t *instant = json_pack("{s:b}", "instant", 1);

    switch (deed->action) {
    case SCHEDULE_START:
        return run_verb(d, deed->name, "start", NULL, err);
    case SCHEDULE_SYNC:
        return run_verb(d, deed->name, "sync", NULL, err);
    case SCHEDULE_CUTOVER:
        return group_cutover_of(d, deed->name, NULL, err);
    case SCHEDULE_INSTANT:
        return group_cutover_of(d, deed->name, instant, err);
    case SCHEDULE_REHEARSE:
        return rehearse(d, deed, err);
    case SCHEDULE_COMMIT:
        return run_verb(d, deed->name, "commit", NULL, err);
    case SCHEDULE_ROLLBACK:
        return run_verb(d, deed->name, "rollback", NULL, err);
    case SCHEDULE_GIVE_UP:
        return note_give_up(d, deed->name, err);
    default:
        return 0;
    }
}

static struct watch *watch_find_locked(struct scheduler *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->watches[i].name, name) == 0)
            return &s->watches[i];
    return NULL;
}

/* What is begun is told, with the reason: the admin has not done it. */
static void deed_tell(struct daemon *d, const struct deed *deed)
{
    log_about(LOG_LEVEL_INFO, LOG_KIND_SCHEDULE, deed->name, NULL, "%s: %s by schedule: %s",
              deed->name, schedule_action_name(deed->action), deed->reason);
    events_record(d->events, deed->name,
                  json_pack("{s:s, s:s, s:s}", "event", "schedule", "action",
                            schedule_action_name(deed->action), "reason", deed->reason));
}

static void deed_carry_out(struct scheduler *s, const struct deed *deed)
{
    _cleanup_error_ struct error *err = NULL;
    struct watch *w;
    int r;

    deed_tell(s->daemon, deed);
    r = deed_do(s->daemon, deed, &err);
    if (r < 0)
        log_about(LOG_LEVEL_WARNING, LOG_KIND_SCHEDULE, deed->name, NULL,
                  "%s: no %s by schedule: %s", deed->name, schedule_action_name(deed->action),
                  error_text(err));
    LOCK_FOR_SCOPE(&s->lock);
    w = watch_find_locked(s, deed->name);
    if (!w)
        return;
    if (r == 0) {
        w->memory = deed->memory;
        return;
    }
    str_replace(&w->refused, error_text(err));
    w->refused_action = deed->action;
    w->refused_until = (int64_t)clock_now_ns() + REFUSED_NS;
}

/* *ret_sum: of what was looked at. */
static int64_t look_and_act(struct scheduler *s, uint64_t *ret_sum)
{
    struct deed *deeds;
    int64_t again;
    int n;

    pthread_mutex_lock(&s->lock);
    scheduler_look_locked(s);
    n = deeds_take(s, &deeds, &again);
    *ret_sum = s->sum;
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < n; i++) {
        deed_carry_out(s, &deeds[i]);
        free(deeds[i].name);
        free(deeds[i].reason);
        json_decref(deeds[i].check);
    }
    free(deeds);
    return again;
}

static void wait_changed_locked(struct daemon *d, uint64_t ns)
{
    uint64_t until = clock_now_ns() + ns;
    struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S),
                          .tv_nsec = (long)(until % NS_PER_S)};

    pthread_cond_timedwait(&d->changed, &d->lock, &ts);
}

static void *scheduler_thread(void *context)
{
    struct scheduler *s = context;
    struct daemon *d = s->daemon;

    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        uint64_t sum;
        int64_t again;

        pthread_mutex_unlock(&d->lock);
        again = look_and_act(s, &sum);
        clock_sleep_ns(LOOK_LEAST_NS); /* changes come in bursts */
        pthread_mutex_lock(&d->lock);
        if (!d->stopping && again > 0 && sum == scheduler_sum_locked(d))
            wait_changed_locked(d, (uint64_t)again);
    }
    d->threads--;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

int scheduler_start(struct daemon *d, struct error **err)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    d->scheduler = mem_new(1, sizeof(*d->scheduler));
    d->scheduler->daemon = d;
    pthread_mutex_init(&d->scheduler->lock, NULL);
    if (d->options->no_schedule)
        return 0;
    pthread_mutex_lock(&d->lock);
    d->threads++;
    pthread_mutex_unlock(&d->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attr, scheduler_thread, d->scheduler);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    pthread_mutex_lock(&d->lock);
    d->threads--;
    pthread_mutex_unlock(&d->lock);
    return error_set_errno(err, r, "cannot start the thread of the schedule");
}

void scheduler_free(struct daemon *d)
{
    if (!d->scheduler)
        return;
    scheduler_forget_locked(d->scheduler);
    pthread_mutex_destroy(&d->scheduler->lock);
    free(d->scheduler);
    d->scheduler = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/pause.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/steps.h"

#define ROOM_PERCENT 5 /* of a file system must be free for work to go on by itself */
#define TRIES_DOUBLED 6u
#define SOURCE_ROOM_RETRY_NS (300 * NS_PER_S)

bool pause_wanted_locked(const struct job *job)
{
    return job->state == JOB_SYNCING && (job->pause || job_fact(job, "paused"));
}

int pause_remember(struct daemon *d, struct job *job, const char *why, struct error **err)
{
    int r = job_set_fact(d, job, "paused_from", json_string(job_state_name(job->state)), err);

    if (r == 0)
        r = job_set_fact(d, job, "paused_for", why ? json_string(why) : NULL, err);
    return r == 0 ? job_set_fact(d, job, "paused", json_true(), err) : r;
}

int pause_forget(struct daemon *d, struct job *job, enum job_state *ret_to, struct error **err)
{
    int to = job_state_from_name(field_string(job->facts, "paused_from", NULL));
    int r = job_set_fact(d, job, "paused_for", NULL, err);

    *ret_to = to >= 0 && job_may_follow(JOB_PAUSED, to) ? (enum job_state)to : JOB_SYNCING;
    return r == 0 ? job_set_fact(d, job, "paused", NULL, err) : r;
}

void pause_stuck_locked(struct job *job, const char *because)
{
    job->stuck = true;
    strcpy(job->progress.phase, "waiting");
    job->progress.eta_s = -1;
    snprintf(job->progress.because, sizeof(job->progress.because), "%s", because);
}

/* ---- looking for room ---- */

static bool has_room(const char *path)
{
    struct statvfs s;

    return statvfs(path, &s) < 0 || s.f_bavail >= s.f_blocks / 100 * ROOM_PERCENT;
}

/* A job that waits for room, as it was under the lock. */
struct waiting {
    char *name, *pool;
    bool stuck, source;
};

static size_t list_waiting(struct daemon *d, bool room, uint64_t interval_ns,
                           struct waiting **ret)
{
    uint64_t now = clock_now_ns();
    size_t count = 0, n = 0;

    LOCK_FOR_SCOPE(&d->lock);
    for (struct job *job = d->jobs; job; job = job->next)
        count++;
    *ret = mem_new(count + 1, sizeof(**ret));
    for (struct job *job = d->jobs; job; job = job->next) {
        const char *why = field_string(job->facts, "paused_for", NULL);

        if (job->active || now < job->room_retry_ns ||
            (!job->stuck && (job->state != JOB_PAUSED || !why)))
            continue;
        /* What room is needed is not known: a try that ends the same way makes the next one wait
         * twice as long. */
        if (room)
            job->room_retry_ns = now + (interval_ns << MIN(job->room_tries++, TRIES_DOUBLED));
        (*ret)[n++] = (struct waiting){
            .name = str_dup(job->name), .pool = str_dup(field_string(job->params, "pool", "/")),
            .stuck = job->stuck, .source = why && strcmp(why, "source-room") == 0};
    }
    return n;
}

/* Starts the thread of a job that could not write down how it went on. */
static void unstick(struct daemon *d, const char *name)
{
    struct job *job;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, name);
    if (job && job->stuck && !job->active && !d->stopping) {
        job->stuck = false;
        job->active = true;
        memset(&job->progress, 0, sizeof(job->progress));
        job_tell_locked(d, job);
    } else {
        job = NULL;
    }
    pthread_mutex_unlock(&d->lock);
    if (!job)
        return;
    log_about(LOG_LEVEL_INFO, LOG_KIND_CONTINUES, name, job->source,
              "%s: there is room again; continues in %s", name, job_state_name(job->state));
    runner_start(d, job, NULL);
}

static void resume_by_itself(struct daemon *d, const char *name)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_json_ json_t *job = NULL;

    log_about(LOG_LEVEL_INFO, LOG_KIND_CONTINUES, name, NULL,
              "%s: there may be room again; it is resumed", name);
    if (verb_run(d, name, VERB_RESUME, NULL, &job, &err) < 0)
        log_debug("%s: %s", name, error_text(err));
}

static void look(struct daemon *d, uint64_t interval_ns, bool source_too)
{
    bool room = has_room(d->options->state_dir);
    struct waiting *list;
    size_t count = list_waiting(d, room, interval_ns, &list);

    for (size_t i = 0; i < count; i++) {
        if (list[i].stuck && room)
            unstick(d, list[i].name);
        else if (!list[i].stuck && room && has_room(list[i].pool) &&
                 (!list[i].source || source_too))
            resume_by_itself(d, list[i].name);
        free(list[i].name);
        free(list[i].pool);
    }
    free(list);
}

static uint64_t look_interval_ns(void)
{
    const char *text = getenv("SLIPWAY_ROOM_LOOK_MS");
    unsigned long ms = text ? strtoul(text, NULL, 10) : 0;

    return (ms ? ms : PAUSE_LOOK_MS) * NS_PER_MS;
}

/* False: the daemon ends. */
static bool wait_interval(struct daemon *d, uint64_t interval_ns)
{
    uint64_t until = clock_now_ns() + interval_ns;
    struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S),
                          .tv_nsec = (long)(until % NS_PER_S)};
    int r = 0;

    LOCK_FOR_SCOPE(&d->lock);
    while (!d->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&d->changed, &d->lock, &ts);
    if (d->stopping) {
        d->threads--;
        pthread_cond_broadcast(&d->changed);
    }
    return !d->stopping;
}

static void *watch(void *context)
{
    struct daemon *d = context;
    uint64_t interval_ns = look_interval_ns(), last_source = clock_now_ns();

    pthread_setname_np(pthread_self(), "room");
    while (wait_interval(d, interval_ns)) {
        bool source_too = clock_now_ns() - last_source >= SOURCE_ROOM_RETRY_NS;

        if (source_too)
            last_source = clock_now_ns();
        look(d, interval_ns, source_too);
    }
    return NULL;
}

int pause_watch_start(struct daemon *d, struct error **err)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    pthread_mutex_lock(&d->lock);
    d->threads++;
    pthread_mutex_unlock(&d->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attr, watch, d);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    pthread_mutex_lock(&d->lock);
    d->threads--;
    pthread_mutex_unlock(&d->lock);
    return error_set_errno(err, r, "cannot start the thread that looks for room");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One flow of the governor: what its engine is told, and what is seen of it. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor-inside.h"
#include "orchestrator/steps.h"

#define LOOK_NS (2 * NS_PER_S)

static json_t *limit_args(struct govern_amount amount)
{
    return json_pack("{s:I, s:I}", "source_bytes_s", (json_int_t)amount.bytes_s, "source_iops",
                     (json_int_t)amount.iops);
}

static struct govern_amount amount_read(const json_t *limits)
{
    return (struct govern_amount){
        .bytes_s = (uint64_t)field_integer(limits, "source_bytes_s", 0),
        .iops = (uint64_t)field_integer(limits, "source_iops", 0)};
}

/* The engine's own limits, before it is told others for the first time: from the journal when a
 * slipwayd that was killed has told it before. */
static int remember_before(struct govern_flow *f, struct error **err)
{
    _cleanup_json_ json_t *kept = NULL, *result = NULL, *args = NULL;
    int r = journal_get_governed(f->daemon->journal, f->job->name, &kept, err);

    if (r == 0 && !kept) {
        r = control_call(f->control, "limit", NULL, NULL, NULL, &result, err);
        if (r == 0) {
            args = limit_args(amount_read(json_object_get(result, "vm")));
            r = journal_set_governed(f->daemon->journal, f->job->name, args, err);
        }
    }
    if (r < 0)
        return error_prefix(err, "cannot keep %s to its limits", f->job->name);
    f->before = amount_read(kept ? kept : args);
    f->governed = true;
    return 0;
}

static uint64_t lower_of(uint64_t a, uint64_t b)
{
    if (!a || !b)
        return a ? a : b;
    return a < b ? a : b;
}

static int send_limit(struct govern_flow *f, struct govern_amount amount, struct error **err)
{
    _cleanup_json_ json_t *args = limit_args(amount);

    return control_call(f->control, "limit", args, NULL, NULL, NULL, err);
}

/* True when a slipwayd that was killed has left limits of its own. */
static bool left_governed(struct govern_flow *f)
{
    _cleanup_json_ json_t *kept = NULL;

    return journal_get_governed(f->daemon->journal, f->job->name, &kept, NULL) == 0 && kept;
}

int governor_tell(struct govern_flow *f, struct error **err)
{
    struct govern_amount want;
    bool limited, told_before = f->governed;
    int r = 0;

    pthread_mutex_lock(&f->daemon->lock);
    want = f->want;
    limited = want.bytes_s || want.iops;
    pthread_mutex_unlock(&f->daemon->lock);
    if (!told_before && !limited && !left_governed(f))
        return 0;
    if (!f->governed)
        r = remember_before(f, err);
    if (r == 0)
        r = send_limit(f, (struct govern_amount){.bytes_s = lower_of(want.bytes_s,
                                                                     f->before.bytes_s),
                                                 .iops = lower_of(want.iops, f->before.iops)},
                       err);
    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&f->daemon->lock);
    f->told = want;
    return 0;
}

/* The engine gets its own limits back. */
static void give_back(struct govern_flow *f)
{
    _cleanup_error_ struct error *err = NULL;
    int r = f->governed ? send_limit(f, f->before, &err) : 0;

    if (r == 0 && f->governed)
        r = journal_set_governed(f->daemon->journal, f->job->name, NULL, &err);
    if (r < 0)
        log_debug("%s: its limits stay as they are until its next sync: %s", f->job->name,
                  error_text(err));
}

/* ---- looking ---- */

/* What reads take, of the disk that is worst off; 0: not known. */
static double read_latency_s(const json_t *sync)
{
    json_t *disk;
    double worst = 0;
    size_t i;

    json_array_foreach(json_object_get(sync, "disks"), i, disk) {
        double us = json_number_value(json_object_get(disk, "read_latency_us"));

        if (us / 1e6 > worst)
            worst = us / 1e6;
    }
    return worst;
}

/* Bytes per second since the last look; < 0: not known. */
static double measure(struct govern_flow *f, const json_t *sync)
{
    uint64_t done = (uint64_t)field_integer(sync, "done_bytes", 0), now = clock_now_ns();
    double rate = -1;

    if (strcmp(field_string(sync, "phase", ""), "copy") == 0) {
        if (f->last_ns && done >= f->last_done)
            rate = (double)(done - f->last_done) * (double)NS_PER_S / (double)(now - f->last_ns);
        f->last_ns = now;
        f->last_done = done;
    }
    return rate;
}

static void say_backoff(struct govern_flow *f, enum backoff_change change, double latency_s)
{
    struct run run = {.daemon = f->daemon, .job = f->job}; /* for run_note() alone */
    char rate[32];

    if (change == BACKOFF_LOWERED)
        run_note(&run, "reads of the source take %.0f ms instead of %.0f ms: slowed down to %s/s",
                 latency_s * 1e3, f->backoff.usual_s * 1e3,
                 str_from_bytes((uint64_t)f->backoff.rate, rate, sizeof(rate)));
    else if (change == BACKOFF_OVER)
        run_note(&run, "the source reads as usual again: no longer slowed down");
}

static void look(struct govern_flow *f)
{
    _cleanup_json_ json_t *status = NULL;
    enum backoff_change change = BACKOFF_SAME;
    const json_t *sync;
    double rate, latency_s;

    if (control_call(f->control, "status", NULL, NULL, NULL, &status, NULL) < 0)
        return; /* the job's own thread finds out why */
    sync = json_object_get(status, "sync");
    rate = measure(f, sync);
    latency_s = read_latency_s(sync);
    /* Downtime counts more than the source's other guests. */
    if (!f->cutover)
        change = backoff_look(&f->backoff, latency_s, rate);
    say_backoff(f, change, latency_s);
    LOCK_FOR_SCOPE(&f->daemon->lock);
    f->measured = rate;
    f->held_back = f->backoff.rate;
    governor_divide_locked(f->daemon); /* also for windows that opened meanwhile */
    governor_grant_locked(f->daemon);
}

enum awaited { AWAITED_LOOK, AWAITED_TELL, AWAITED_END };

static bool is_told(const struct govern_flow *f)
{
    return f->told.bytes_s == f->want.bytes_s && f->told.iops == f->want.iops;
}

static enum awaited wait_next(struct govern_flow *f, uint64_t until_ns)
{
    struct daemon *d = f->daemon;
    struct timespec ts = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                          .tv_nsec = (long)(until_ns % NS_PER_S)};
    int r = 0;

    LOCK_FOR_SCOPE(&d->lock);
    while (!f->ending && is_told(f) && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&d->changed, &d->lock, &ts);
    if (f->ending)
        return AWAITED_END;
    return is_told(f) ? AWAITED_LOOK : AWAITED_TELL;
}

static bool daemon_ends(struct daemon *d)
{
    LOCK_FOR_SCOPE(&d->lock);
    return d->stopping;
}

/* A connection to an engine that was started again. */
static void connect_again(struct govern_flow *f)
{
    _cleanup_free_ char *store = job_store(f->daemon, f->job);
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, store);

    f->control = control_close(f->control);
    control_connect(path, &f->control, NULL);
}

void *governor_watch(void *context)
{
    struct govern_flow *f = context;
    uint64_t next_look = clock_now_ns() + LOOK_NS;
    enum awaited awaited;

    pthread_setname_np(pthread_self(), "governor");
    while ((awaited = wait_next(f, next_look)) != AWAITED_END) {
        _cleanup_error_ struct error *err = NULL;

        if (awaited == AWAITED_TELL && f->control && governor_tell(f, &err) == 0)
            continue;
        if (awaited == AWAITED_TELL) {
            log_debug("%s: %s", f->job->name, err ? error_text(err) : "its engine is away");
            clock_sleep_ns(NS_PER_S / 2);
            connect_again(f);
            continue;
        }
        if (f->control)
            look(f);
        next_look = clock_now_ns() + LOOK_NS;
    }
    /* A slipwayd that ends leaves the sync to go on, and its limits with it. */
    if (f->control && !daemon_ends(f->daemon))
        give_back(f);
    return NULL;
}

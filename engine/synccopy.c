/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy of one disk: one thread per connection, and this thread, which reports progress and
 * makes durable what is here (T2: every 5 s or 4 GiB, T5: every 2 s or 256 MiB).
 */
#include "engine/sync.h"

#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"

#define CONNECTIONS_DEFAULT 4
#define CONNECTIONS_MAX 16
#define REPORT_NS (250 * NS_PER_MS)

struct copy;

struct worker {
    struct copy *copy;
    struct reader *reader; /* NULL: opens one of its own */
    bool first;            /* its failure to connect is the copy's failure */
    pthread_t thread;
    bool started;
};

struct copy {
    struct sync *sync;
    struct sync_disk *sd;
    struct worker workers[CONNECTIONS_MAX];
    unsigned count;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned running;   /* guarded by lock */
    atomic_bool done;   /* the first connection found nothing left to do */
};

static bool connect_given_up(void *context)
{
    struct copy *c = context;

    return atomic_load(&c->done) || atomic_load(&c->sd->pull.stop);
}

static int pull_all(struct pull *pull, struct reader *reader)
{
    struct puller *q;
    int r = puller_new(pull, reader, &q);

    if (r < 0)
        return pull_fail(pull, -r, "cannot set up I/O: out of memory");
    while ((r = puller_step(q)) == PULL_MORE || r == PULL_WAIT)
        if (r == PULL_WAIT && (r = puller_wait(q)) < 0)
            break;
    reader_close(reader); /* before the buffers its reads point to */
    puller_free(q);
    return r;
}

static void *worker_run(void *context)
{
    struct worker *w = context;
    struct copy *c = w->copy;
    struct reader *reader = w->reader;
    int r = 0;

    pthread_setname_np(pthread_self(), "pull");
    /* More connections make it faster; a server that allows only one is no failure. */
    if (!reader)
        r = c->sync->engine->readers->open(c->sd->uri, NULL, false, 30 * NS_PER_S, connect_given_up,
                                           c, &reader, NULL);
    if (r == 0)
        r = pull_all(&c->sd->pull, reader);
    if (r == PULL_DONE && w->first)
        atomic_store(&c->done, true);
    pthread_mutex_lock(&c->lock);
    c->running--;
    pthread_cond_signal(&c->ended);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static int start_workers(struct copy *c, unsigned count)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < count; i++) {
        struct worker *w = &c->workers[i];

        w->copy = c;
        w->first = i == 0;
        w->reader = i == 0 ? steal_ptr(c->sd->reader) : NULL;
        pthread_mutex_lock(&c->lock);
        c->running++;
        pthread_mutex_unlock(&c->lock);
        r = -pthread_create(&w->thread, NULL, worker_run, w);
        w->started = r == 0;
        c->count++;
    }
    if (r < 0) {
        pthread_mutex_lock(&c->lock);
        c->running--;
        pthread_mutex_unlock(&c->lock);
        if (c->workers[0].started)
            return 0; /* fewer threads than wanted */
        c->sd->reader = c->workers[0].reader;
    }
    return r;
}

/* True when all workers have ended. */
static bool wait_some(struct copy *c)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)REPORT_NS;
    until.tv_sec += until.tv_nsec / (long)NS_PER_S;
    until.tv_nsec %= (long)NS_PER_S;
    LOCK_FOR_SCOPE(&c->lock);
    if (c->running > 0)
        pthread_cond_timedwait(&c->ended, &c->lock, &until);
    return c->running == 0;
}

struct pace {
    uint64_t last_ns, last_bytes;
    uint64_t every_ns, every_bytes;
};

static bool checkpoint_due(struct pace *p, uint64_t done_bytes)
{
    uint64_t now = clock_now_ns();

    if (now - p->last_ns < p->every_ns && done_bytes - p->last_bytes < p->every_bytes)
        return false;
    p->last_ns = now;
    p->last_bytes = done_bytes;
    return true;
}

static void watch(struct copy *c, unsigned index, progress_fn *progress, void *context)
{
    struct sync *s = c->sync;
    struct pull *pull = &c->sd->pull;
    struct pace pace = {.last_ns = clock_now_ns(),
                        .every_ns = (s->initial ? 5 : 2) * NS_PER_S,
                        .every_bytes = s->initial ? UINT64_C(4) << 30 : UINT64_C(256) << 20};
    struct progress_report report;

    while (!wait_some(c)) {
        sync_progress(s, &report);
        if (progress)
            progress(&report, context);
        if (atomic_load(&s->cancel))
            pull_fail(pull, ECANCELED, "the sync was cancelled; what is here stays, the same "
                                       "snapshot resumes it");
        if (checkpoint_due(&pace, atomic_load(&pull->done_bytes))) {
            int r = sync_checkpoint(s, index);

            if (r < 0)
                pull_fail(pull, -r, "making the copied blocks durable failed; see to the disks "
                                    "of the store and the target");
        }
    }
}

int sync_copy(struct sync *s, unsigned index, progress_fn *progress, void *context,
              struct error **err)
{
    struct sync_disk *sd = &s->disks[index];
    struct copy *c = calloc(1, sizeof(*c));
    uint64_t start = clock_now_ns();
    unsigned connections = s->request.connections ? s->request.connections : CONNECTIONS_DEFAULT;
    int r;

    if (!c)
        return error_set_errno(err, ENOMEM, "cannot copy disk %s", sd->disk->name);
    c->sync = s;
    c->sd = sd;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->ended, NULL);
    /* Small deltas are not worth more than one connection. */
    if (sd->wanted_bytes <= 4 * PULL_CHUNK)
        connections = 1;
    r = start_workers(c, MIN(connections, (unsigned)CONNECTIONS_MAX));
    if (r == 0)
        watch(c, index, progress, context);
    for (unsigned i = 0; i < c->count; i++)
        if (c->workers[i].started)
            pthread_join(c->workers[i].thread, NULL);
    pthread_cond_destroy(&c->ended);
    pthread_mutex_destroy(&c->lock);
    free(c);
    sd->nanoseconds = clock_now_ns() - start;
    atomic_store(&sd->pull.read_ns, 0); /* the next disk has its own */
    if (r < 0)
        return error_set_errno(err, -r, "cannot copy disk %s", sd->disk->name);
    if (sd->pull.error) {
        sync_checkpoint(s, index); /* keep what is here for the next try */
        return error_set(err, sd->pull.error, "%s", sd->pull.error_text);
    }
    return 0;
}

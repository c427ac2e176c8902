/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread per connection.  It sleeps in poll(): on the connection, and on an eventfd that a new
 * request writes to, so that the way from a guest's read to the source has no pause in it.
 */
#include "engine/hydrate-inside.h"

#include <poll.h>

#include "base/align.h"

#define SLEEP_MAX_NS NS_PER_S /* the guest may write the last missing block, nobody tells us */
#define NO_FD_SLEEP_NS NS_PER_MS

static void wake(struct hydrate_link *k)
{
    uint64_t one = 1;

    /* It cannot fail in a way that matters: a full counter wakes as well. */
    if (write(k->event_fd, &one, sizeof(one)) < 0)
        return;
}

static unsigned load_locked(const struct hydrate_link *k)
{
    unsigned n = 0;

    for (unsigned i = 0; i < HYDRATE_SLOTS; i++)
        n += k->slots[i].busy;
    return n;
}

void hydrate_wake_one_locked(struct hydrator *h)
{
    struct hydrate_link *best = NULL;

    for (unsigned i = 0; i < h->link_count; i++) {
        struct hydrate_link *k = &h->links[i];

        if (k->open && k->waiting && (!best || load_locked(k) < load_locked(best)))
            best = k;
    }
    if (!best)
        return; /* those that do not sleep look at the queue before they do */
    best->waiting = false;
    wake(best);
}

void hydrate_wake_all_locked(struct hydrator *h)
{
    for (unsigned i = 0; i < h->link_count; i++) {
        h->links[i].waiting = false;
        wake(&h->links[i]);
    }
}

static uint64_t sleep_until(struct hydrate_link *k, uint64_t now)
{
    struct hydrator *h = k->hydrator;
    uint64_t until = now + SLEEP_MAX_NS;

    HOLD_FOR_SCOPE(&h->lock);
    until = MIN(until, k->permit_ns);
    return MIN(until, hydrate_queue_retry_locked(h));
}

static int milliseconds(uint64_t now, uint64_t until)
{
    return until > now ? (int)div_up(until - now, NS_PER_MS) : 0;
}

/* Until the connection or a request calls, or `until`. */
static void sleep_on(struct hydrate_link *k, uint64_t until)
{
    short events = 0;
    int fd = k->reader && k->reading > 0 ? k->reader->ops->poll_fd(k->reader, &events) : -1;
    struct pollfd p[] = {{.fd = k->event_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    uint64_t now = clock_now_ns(), value;

    if (k->reading > 0 && fd < 0)
        until = MIN(until, now + NO_FD_SLEEP_NS);
    if (poll(p, 2, milliseconds(now, until)) > 0 && p[0].revents &&
        read(k->event_fd, &value, sizeof(value)) < 0)
        return;
}

static bool must_act(const struct hydrate_link *k)
{
    const struct hydrator *h = k->hydrator;

    return atomic_load(&h->stopping) || atomic_load(&k->hurry) ||
           atomic_load(&k->serial) != atomic_load(&h->serial);
}

/* After a failure.  Layers do not need the source, so what they have is brought meanwhile. */
static void rest(struct hydrate_link *k)
{
    uint64_t until;

    k->backoff_ns = k->backoff_ns ? MIN(2 * k->backoff_ns, HYDRATE_BACKOFF_MAX_NS)
                                  : HYDRATE_BACKOFF_MIN_NS;
    until = clock_now_ns() + k->backoff_ns;
    while (!must_act(k) && clock_now_ns() < until)
        if (!hydrate_land_local(k))
            sleep_on(k, MIN(until, sleep_until(k, clock_now_ns())));
}

static void *link_thread(void *opaque)
{
    struct hydrate_link *k = opaque;
    struct hydrator *h = k->hydrator;

    pthread_setname_np(pthread_self(), "hydrate");
    while (!atomic_load(&h->stopping)) {
        int r = hydrate_link_step(k, HYDRATE_WANT_ALL);

        hydrate_tell(h);
        if (r == HYDRATE_FINISHED)
            break;
        if (r < 0)
            rest(k);
        else if (r == HYDRATE_SLEEP)
            sleep_on(k, sleep_until(k, clock_now_ns()));
    }
    hydrate_link_close(k);
    return NULL;
}

int hydrate_threads_start(struct hydrator *h)
{
    h->threads = true;
    yield_watch(&h->owner->engine->yield);
    for (unsigned i = 0; i < h->link_count; i++) {
        struct hydrate_link *k = &h->links[i];
        int r = pthread_create(&k->thread, NULL, link_thread, k);

        if (r != 0) {
            hydrator_stop(h);
            return -r;
        }
        k->thread_started = true;
    }
    return 0;
}

void hydrate_threads_stop(struct hydrator *h)
{
    if (!h->threads)
        return;
    h->threads = false;
    yield_unwatch(&h->owner->engine->yield);
    for (unsigned i = 0; i < h->link_count; i++) {
        struct hydrate_link *k = &h->links[i];

        if (k->thread_started)
            pthread_join(k->thread, NULL);
        k->thread_started = false;
    }
}

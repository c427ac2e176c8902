/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/yield.h"

#include "base/align.h"
#include "base/cleanup.h"
#include "base/clock.h"

static bool guest_is_there(const struct yield_sample *s)
{
    return s->in_flight > 0 || (s->last_ns && s->now_ns < s->last_ns + YIELD_IDLE_NS);
}

static bool is_slow(const struct yield_policy *p, uint64_t mean_ns)
{
    return mean_ns > p->measure_ns + p->measure_ns * YIELD_GROWTH_PERCENT / 100 + YIELD_SLACK_NS;
}

static void learn(struct yield_policy *p, uint64_t mean_ns)
{
    if (p->measure_ns == 0 || mean_ns < p->measure_ns)
        p->measure_ns = MAX(mean_ns, UINT64_C(1));
    else if (p->depth == 1)
        p->measure_ns += (mean_ns - p->measure_ns) / 8;
}

static unsigned follow_guest(struct yield_policy *p, unsigned max, const struct yield_sample *s)
{
    uint64_t mean = s->ended ? s->sum_ns / s->ended : 0;
    bool stuck = s->ended == 0 && s->in_flight > 0;

    if (stuck || (s->ended && p->measure_ns && is_slow(p, mean))) {
        if (s->ended)
            learn(p, mean);
        return MAX(p->depth / 2, 1u);
    }
    if (s->ended)
        learn(p, mean);
    return MIN(p->depth + 1, max);
}

unsigned yield_decide(struct yield_policy *p, unsigned max, const struct yield_sample *s)
{
    if (!guest_is_there(s)) {
        p->depth = p->guest && p->depth ? MIN(2 * p->depth, max) : max;
        p->guest = p->depth < max;
    } else if (!p->guest) {
        p->guest = true;
        p->depth = 1;
        p->measure_ns = 0;
    } else {
        p->depth = MIN(follow_guest(p, max, s), max);
    }
    p->decided_ns = s->now_ns;
    return p->depth;
}

void yield_init(struct yield *y)
{
    *y = (struct yield){0};
    pthread_mutex_init(&y->lock, NULL);
}

void yield_done(struct yield *y)
{
    pthread_mutex_destroy(&y->lock);
}

uint64_t yield_begin(struct yield *y)
{
    uint64_t now;

    if (atomic_load_explicit(&y->watchers, memory_order_relaxed) == 0)
        return 0;
    now = clock_now_ns();
    atomic_fetch_add_explicit(&y->in_flight, 1, memory_order_relaxed);
    atomic_store_explicit(&y->last_ns, now, memory_order_relaxed);
    return now;
}

void yield_end(struct yield *y, uint64_t began_ns)
{
    uint64_t now;

    if (began_ns == 0) /* nobody watched when it began, so it was not counted */
        return;
    now = clock_now_ns();
    atomic_fetch_sub_explicit(&y->in_flight, 1, memory_order_relaxed);
    atomic_store_explicit(&y->last_ns, now, memory_order_relaxed);
    atomic_fetch_add_explicit(&y->ended, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&y->sum_ns, now - began_ns, memory_order_relaxed);
}

void yield_watch(struct yield *y)
{
    atomic_fetch_add(&y->watchers, 1);
}

void yield_unwatch(struct yield *y)
{
    atomic_fetch_sub(&y->watchers, 1);
}

unsigned yield_depth(struct yield *y, unsigned max)
{
    uint64_t now = clock_now_ns();
    struct yield_sample s = {.now_ns = now};

    LOCK_FOR_SCOPE(&y->lock);
    if (y->policy.depth && now - y->policy.decided_ns < YIELD_INTERVAL_NS)
        return MIN(y->policy.depth, max);
    s.in_flight = atomic_load(&y->in_flight);
    s.last_ns = atomic_load(&y->last_ns);
    s.ended = atomic_exchange(&y->ended, 0);
    s.sum_ns = atomic_exchange(&y->sum_ns, 0);
    return yield_decide(&y->policy, max, &s);
}

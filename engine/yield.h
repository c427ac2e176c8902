/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background writes to the targets (fold, sweep of hydration) yield to whoever uses the disks of the
 * VM: they keep fewer transfers under way while requests of guests and readers take longer for it.
 *
 * The policy is additive increase, multiplicative decrease on the mean time of a guest's request,
 * decided every YIELD_INTERVAL_NS:
 *   - a guest comes: down to one transfer; the guest's time of that interval is the measure
 *   - requests take YIELD_GROWTH_PERCENT longer than the measure, or none ends: half as many
 *   - else: one more
 *   - the measure follows faster requests at once, slower ones only with one transfer under way,
 *     when what is seen is the guest's own doing; so a changed load is learned and ours is not
 *   - nobody there for YIELD_IDLE_NS: twice as many
 * It never falls to none: a busy guest must not keep a fold from ever ending.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define YIELD_INTERVAL_NS (UINT64_C(200) * 1000000)
#define YIELD_IDLE_NS (UINT64_C(500) * 1000000)
#define YIELD_GROWTH_PERCENT 50
#define YIELD_SLACK_NS UINT64_C(50000) /* growth by less than this is noise */

struct yield_policy {
    unsigned depth;       /* transfers that may be under way; 0: not decided yet */
    bool guest;           /* somebody was there at the last decision */
    uint64_t measure_ns;  /* time of a request without us; 0: not known */
    uint64_t decided_ns;
};

/* What was seen since the last decision. */
struct yield_sample {
    uint64_t now_ns;
    unsigned in_flight; /* requests under way now */
    uint64_t last_ns;   /* when one last began or ended; 0: never */
    uint64_t ended;     /* requests that ended ... */
    uint64_t sum_ns;    /* ... and the time they took, in sum */
};

/* Decides whatever the time: the new depth, 1 to max. */
unsigned yield_decide(struct yield_policy *policy, unsigned max, const struct yield_sample *sample);

/* One per VM: its disks most often share the device underneath. */
struct yield {
    atomic_uint watchers;  /* background jobs now; 0: requests are not timed, which costs nothing */
    atomic_uint in_flight;
    _Atomic uint64_t last_ns, ended, sum_ns;
    pthread_mutex_t lock;  /* guards policy; no I/O under it */
    struct yield_policy policy;
};

void yield_init(struct yield *yield);
void yield_done(struct yield *yield);

/* Around each request of a guest or reader; begin's result goes to end. */
uint64_t yield_begin(struct yield *yield);
void yield_end(struct yield *yield, uint64_t began_ns);

/* Around a background job. */
void yield_watch(struct yield *yield);
void yield_unwatch(struct yield *yield);

/* How many transfers the job may have under way now, 1 to max. */
unsigned yield_depth(struct yield *yield, unsigned max);

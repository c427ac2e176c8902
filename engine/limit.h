/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast background work may go: bytes per second and requests per second, of each disk and of
 * the whole VM, towards the source (reads of sync, compare, verify and hydration; what failback
 * sends) and towards the target (writes of sync, layers, fold and hydration).  What a guest or a
 * reader asks for is never limited.
 *
 * Each of them is a bucket that fills at its rate and holds at most LIMIT_BURST_NS worth of it.  A
 * request may go when no bucket it draws from is empty, and then takes all it needs: a request
 * larger than the bucket leaves a debt that the next one waits for.  So no request is too large to
 * ever go, and the mean is exact.  Nothing here sleeps: who may not go is told when to ask again.
 *
 * The clock is clock_now_ns().  Functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "engine/format.h"

#define LIMIT_BURST_NS (UINT64_C(250) * 1000000)
#define LIMIT_WAIT_MAX_NS (UINT64_C(250) * 1000000) /* so that a changed limit is noticed soon */
#define LIMIT_MAX (UINT64_C(1) << 50)               /* the largest rate that can be set */

enum limit_side { LIMIT_SOURCE, LIMIT_TARGET, _LIMIT_SIDES };

struct limit_rates {
    uint64_t bytes_s[_LIMIT_SIDES]; /* 0: unlimited, like iops */
    uint64_t iops[_LIMIT_SIDES];
};

struct limit_table {
    struct limit_rates vm;
    struct limit_rates disks[DISKS_MAX]; /* by disk->index */
};

struct limits;

/* Nothing is limited at first.  NULL: out of memory. */
struct limits *limits_new(void);
void limits_free(struct limits *limits); /* NULL is fine */

/* Rates that change begin with an empty bucket and without debt; others go on as they were. */
void limits_set(struct limits *limits, const struct limit_table *table);
struct limit_table limits_get(struct limits *limits);

/*
 * May one request of `bytes` go now?  0: yes, and it has been counted.  Else nanoseconds (at most
 * LIMIT_WAIT_MAX_NS) until it is worth asking again; nothing has been counted.  limits may be NULL:
 * unlimited.
 */
uint64_t limit_take(struct limits *limits, unsigned disk, enum limit_side side, uint64_t bytes);

/* The same for several requests that go together. */
uint64_t limit_take_many(struct limits *limits, unsigned disk, enum limit_side side,
                         unsigned requests, uint64_t bytes);

/* The largest request that still makes an even flow: what the rate gives in LIMIT_BURST_NS, in
 * whole blocks and at least one, at most max. */
uint32_t limit_chunk(struct limits *limits, unsigned disk, enum limit_side side, uint32_t max);

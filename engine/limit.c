/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket is one number: the time at which it will be (or was) exactly empty.  In the future: a
 * debt.  In the past: what has flowed in since, up to the burst.
 */
#include "engine/limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define DEBT_MAX_NS (86400 * NS_PER_S) /* one request never closes a bucket for longer */

struct bucket {
    uint64_t rate; /* a second; 0: no limit */
    uint64_t empty_ns;
};

struct limit_buckets {
    struct bucket bytes, requests;
};

struct limits {
    pthread_mutex_t lock; /* guards all but `limited`; held for arithmetic only */
    struct limit_table table;
    struct limit_buckets vm[_LIMIT_SIDES];
    struct limit_buckets disks[DISKS_MAX][_LIMIT_SIDES];
    /* Where it is false nothing else is looked at: no limit costs one load. */
    atomic_bool limited[DISKS_MAX][_LIMIT_SIDES];
};

struct limits *limits_new(void)
{
    struct limits *l = calloc(1, sizeof(*l));

    if (l)
        pthread_mutex_init(&l->lock, NULL);
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void bucket_set(struct bucket *b, uint64_t rate, uint64_t now)
{
    if (b->rate == rate)
        return;
    b->rate = rate;
    b->empty_ns = now;
}

static void buckets_set(struct limit_buckets *b, const struct limit_rates *rates,
                        enum limit_side side, uint64_t now)
{
    bucket_set(&b->bytes, rates->bytes_s[side], now);
    bucket_set(&b->requests, rates->iops[side], now);
}

static bool is_limited(const struct limit_buckets *b)
{
    return b->bytes.rate || b->requests.rate;
}

void limits_set(struct limits *l, const struct limit_table *table)
{
    uint64_t now = clock_now_ns();

    LOCK_FOR_SCOPE(&l->lock);
    l->table = *table;
    for (unsigned side = 0; side < _LIMIT_SIDES; side++) {
        buckets_set(&l->vm[side], &table->vm, side, now);
        for (unsigned d = 0; d < DISKS_MAX; d++) {
            buckets_set(&l->disks[d][side], &table->disks[d], side, now);
            atomic_store(&l->limited[d][side],
                         is_limited(&l->vm[side]) || is_limited(&l->disks[d][side]));
        }
    }
}

struct limit_table limits_get(struct limits *l)
{
    LOCK_FOR_SCOPE(&l->lock);
    return l->table;
}

static uint64_t bucket_wait(const struct bucket *b, uint64_t now)
{
    return b->rate && b->empty_ns > now ? b->empty_ns - now : 0;
}

static void bucket_take(struct bucket *b, uint64_t amount, uint64_t now)
{
    uint64_t oldest = now > LIMIT_BURST_NS ? now - LIMIT_BURST_NS : 0;
    double cost;

    if (!b->rate)
        return;
    cost = (double)amount * (double)NS_PER_S / (double)b->rate;
    b->empty_ns = MAX(b->empty_ns, oldest) + (uint64_t)MIN(cost, (double)DEBT_MAX_NS);
}

static uint64_t buckets_wait(const struct limit_buckets *b, uint64_t now)
{
    uint64_t bytes = bucket_wait(&b->bytes, now), requests = bucket_wait(&b->requests, now);

    return MAX(bytes, requests);
}

static void buckets_take(struct limit_buckets *b, unsigned requests, uint64_t bytes, uint64_t now)
{
    bucket_take(&b->bytes, bytes, now);
    bucket_take(&b->requests, requests, now);
}

uint64_t limit_take_many(struct limits *l, unsigned disk, enum limit_side side, unsigned requests,
                         uint64_t bytes)
{
    uint64_t now, of_disk, of_vm, wait;

    if (!l || !atomic_load_explicit(&l->limited[disk][side], memory_order_relaxed))
        return 0;
    now = clock_now_ns();
    LOCK_FOR_SCOPE(&l->lock);
    of_disk = buckets_wait(&l->disks[disk][side], now);
    of_vm = buckets_wait(&l->vm[side], now);
    wait = MAX(of_disk, of_vm);
    if (wait > 0)
        return MIN(wait, LIMIT_WAIT_MAX_NS);
    buckets_take(&l->disks[disk][side], requests, bytes, now);
    buckets_take(&l->vm[side], requests, bytes, now);
    return 0;
}

uint64_t limit_take(struct limits *l, unsigned disk, enum limit_side side, uint64_t bytes)
{
    return limit_take_many(l, disk, side, 1, bytes);
}

static uint64_t burst_bytes(const struct bucket *b)
{
    return b->rate ? b->rate / (NS_PER_S / LIMIT_BURST_NS) : UINT64_MAX;
}

uint32_t limit_chunk(struct limits *l, unsigned disk, enum limit_side side, uint32_t max)
{
    uint64_t of_disk, of_vm, burst;

    if (!l || !atomic_load_explicit(&l->limited[disk][side], memory_order_relaxed))
        return max;
    LOCK_FOR_SCOPE(&l->lock);
    of_disk = burst_bytes(&l->disks[disk][side].bytes);
    of_vm = burst_bytes(&l->vm[side].bytes);
    burst = round_down(MIN(of_disk, of_vm), BLOCK_SIZE);
    return (uint32_t)MIN(MAX(burst, (uint64_t)BLOCK_SIZE), (uint64_t)max);
}

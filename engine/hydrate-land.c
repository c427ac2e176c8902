/* SPDX-License-Identifier: Apache-2.0 */
/* What arrived, what layers have and what the source says is zero goes to the owner. */
#include "engine/hydrate-inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/iszero.h"

#define ZEROS_ASKED (UINT64_C(1) << 30) /* bytes asked about at once */

/* ---- what the source sent ---- */

/* Runs of zero blocks need no data; every run goes with its digests. */
static int give_runs(struct hydrator *h, struct hydrate_slot *s)
{
    uint8_t digests[HYDRATE_BLOCKS][DIGEST_SIZE];
    bool zero[HYDRATE_BLOCKS];
    uint32_t count = s->job.count;
    int r = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *data = s->data + i * BLOCK_SIZE;
        uint32_t length = disk_block_length(h->disk, s->job.first + i);

        digest_block(data, length, digests[i]);
        zero[i] = is_zero(data, length);
    }
    for (uint32_t i = 0, end; r == 0 && i < count; i = end) {
        for (end = i + 1; end < count && zero[end] == zero[i];)
            end++;
        r = owner_hydrate(h->owner, s->job.first + i, end - i,
                          zero[i] ? NULL : s->data + i * BLOCK_SIZE, digests[i]);
    }
    return r;
}

static uint64_t job_bytes(const struct hydrator *h, const struct hydrate_job *job)
{
    return MIN((job->first + job->count) * BLOCK_SIZE, h->disk->size) - job->first * BLOCK_SIZE;
}

static void say_setback_locked(struct hydrator *h, const struct hydrate_job *job, int code,
                               const char *what)
{
    snprintf(h->counters.setback, sizeof(h->counters.setback),
             "%s disk %s failed at offset %" PRIu64 " (%s)%s; it is tried again", what,
             h->disk->name, job->first * BLOCK_SIZE, strerror(code),
             code == ENOSPC ? "; make room there" : "");
}

static void landed_locked(struct hydrator *h, struct hydrate_slot *s, int result)
{
    uint64_t now = clock_now_ns();

    hydrate_arrived_locked(h);
    hydrate_count_locked(h, &h->counters.fetched_bytes, job_bytes(h, &s->job));
    if (s->job.kind == HYDRATE_DEMAND && s->job.count <= 2)
        pace_demand_ended(&h->pace, now, now - s->issued_ns);
    else if (s->job.kind != HYDRATE_DEMAND) /* a long demand takes long, whoever else is there */
        pace_background_ended(&h->pace, now);
    if (result == 0) {
        hydrate_queue_done_locked(h, &s->job);
        return;
    }
    say_setback_locked(h, &s->job, -result, "writing the target of");
    hydrate_queue_failed_locked(h, &s->job, result, false);
}

/* The background must not pile up in the page cache what a guest's next flush has to wait for. */
static void write_soon(struct hydrator *h, const struct hydrate_job *job)
{
    if (job->kind != HYDRATE_DEMAND)
        io_write_soon(h->disk->io, h->disk->target.buffered_fd, job->first * BLOCK_SIZE,
                      job_bytes(h, job));
}

static void land(struct hydrate_link *k, struct hydrate_slot *s)
{
    struct hydrator *h = k->hydrator;
    int r = s->error ? 0 : give_runs(h, s);

    if (!s->error)
        write_soon(h, &s->job);
    HOLD_FOR_SCOPE(&h->lock);
    s->busy = false;
    s->arrived = false;
    if (s->job.kind == HYDRATE_SWEEP)
        h->background--;
    if (s->error) {
        say_setback_locked(h, &s->job, s->error, "reading the source of");
        hydrate_queue_failed_locked(h, &s->job, -s->error, true);
    } else {
        landed_locked(h, s, r);
    }
}

/* What somebody waits for lands first. */
bool hydrate_land(struct hydrate_link *k)
{
    struct hydrate_slot *best = NULL;

    if (k->broken)
        return false; /* which of the answers are good shows when the connection is closed */
    for (unsigned i = 0; i < HYDRATE_SLOTS; i++) {
        struct hydrate_slot *s = &k->slots[i];

        if (s->busy && s->arrived && (!best || s->job.kind < best->job.kind))
            best = s;
    }
    if (best)
        land(k, best);
    return best;
}

/* ---- what a layer has ---- */

bool hydrate_land_local(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    struct hydrate_job job;
    enum hydrate_next next;
    int r;

    lock_take(&h->lock);
    next = hydrate_queue_local_locked(h, k, &job);
    lock_release(&h->lock);
    if (next != HYDRATE_NEXT_JOB)
        return next == HYDRATE_NEXT_AGAIN;
    r = owner_hydrate_local(h->owner, job.first, job.count);
    write_soon(h, &job);
    HOLD_FOR_SCOPE(&h->lock);
    h->local_busy = false;
    if (r < 0) {
        say_setback_locked(h, &job, -r, "bringing what a layer has of");
        hydrate_queue_failed_locked(h, &job, r, false);
    } else {
        hydrate_count_locked(h, &h->counters.local_bytes, job_bytes(h, &job));
        hydrate_queue_done_locked(h, &job);
    }
    return true;
}

/* ---- what the source knows to be zero ---- */

static int note_zero(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct hydrate_link *k = context;
    struct hydrate_range *last = k->zero_count ? &k->zeros[k->zero_count - 1] : NULL;

    if (!(flags & EXTENT_ZERO)) {
        k->zero_end = offset + length;
        return 0;
    }
    if (last && last->end == offset) {
        last->end = k->zero_end = offset + length;
        return 0;
    }
    if (k->zero_count == HYDRATE_ZEROS)
        return -ENOSPC; /* the rest is asked for again */
    k->zeros[k->zero_count++] = (struct hydrate_range){offset, offset + length};
    k->zero_end = offset + length;
    return 0;
}

static void zeros_told(struct reader_op *op, int error)
{
    struct hydrate_link *k =
        (struct hydrate_link *)((uint8_t *)op - offsetof(struct hydrate_link, query.op));

    k->asking = false;
    k->told = true;
    k->reading--;
    k->heard_ns = clock_now_ns();
    if (error)
        k->zero_end = k->hydrator->zero_at; /* no answer: it is not asked any more */
}

static void zeros_done(struct hydrator *h)
{
    HOLD_FOR_SCOPE(&h->lock);
    h->zero_done = true;
    h->mapper = NULL;
    hydrate_wake_all_locked(h);
}

/* Asks about the next part, from the next missing block on; 0, or -errno of the connection. */
static int ask_zeros(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    uint64_t missing = map_find(h->owner->map, h->zero_at / BLOCK_SIZE), length;

    if (missing == h->disk->blocks) {
        zeros_done(h);
        return 0;
    }
    h->zero_at = MAX(h->zero_at, missing * BLOCK_SIZE);
    length = MIN(ZEROS_ASKED, h->disk->size - h->zero_at);
    k->query = (struct reader_query){.op.done = zeros_told, .fn = note_zero, .context = k};
    k->zero_end = h->zero_at;
    k->zero_count = 0;
    k->asking = true;
    if (k->reading++ == 0)
        k->heard_ns = clock_now_ns();
    return k->reader->ops->query(k->reader, length, h->zero_at, &k->query);
}

/* The first run of blocks inside the range that would be fetched otherwise. */
static uint32_t find_zeros(const struct hydrator *h, struct hydrate_range *r)
{
    uint64_t stop = MIN(r->end, r->first + HYDRATE_SCAN);
    uint32_t n = 0;

    while (r->first < stop && hydrate_from(h, r->first) != OWNER_FROM_REMOTE)
        r->first++;
    while (n < HYDRATE_BLOCKS && r->first + n < stop &&
           hydrate_from(h, r->first + n) == OWNER_FROM_REMOTE)
        n++;
    return n;
}

static int give_zeros(struct hydrator *h, const struct hydrate_job *job)
{
    static const uint8_t zeros[BLOCK_SIZE];
    uint8_t digests[HYDRATE_BLOCKS][DIGEST_SIZE];

    digest_block(zeros, BLOCK_SIZE, digests[0]);
    for (uint32_t i = 1; i < job->count; i++)
        memcpy(digests[i], digests[0], DIGEST_SIZE);
    digest_block(zeros, disk_block_length(h->disk, job->first + job->count - 1),
                 digests[job->count - 1]);
    return owner_hydrate(h->owner, job->first, job->count, NULL, digests[0]);
}

/* One run of the extent told first; a finished extent leaves the list. */
static void clear_zeros(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    struct hydrate_range *bytes = &k->zeros[k->zero_count - 1], r;
    struct hydrate_job job = {HYDRATE_SWEEP, 0, 0};
    int result = 0;

    r.first = div_up(bytes->first, BLOCK_SIZE);
    r.end = bytes->end == h->disk->size ? h->disk->blocks : bytes->end / BLOCK_SIZE;
    job.count = find_zeros(h, &r);
    job.first = r.first;
    if (job.count > 0)
        result = give_zeros(h, &job);
    bytes->first = (r.first + job.count) * BLOCK_SIZE;
    if (r.first + job.count >= r.end)
        k->zero_count--;
    if (job.count == 0)
        return;
    HOLD_FOR_SCOPE(&h->lock);
    if (result < 0) { /* the sweep will bring it, and tell who waits */
        say_setback_locked(h, &job, -result, "clearing the target of");
        return;
    }
    hydrate_count_locked(h, &h->counters.zero_bytes, job_bytes(h, &job));
    hydrate_queue_done_locked(h, &job);
}

static bool claim_mapper(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;

    HOLD_FOR_SCOPE(&h->lock);
    if (h->zero_done || (h->mapper && h->mapper != k))
        return false;
    h->mapper = k;
    if (h->mapping_ns == 0)
        h->mapping_ns = MAX(clock_now_ns(), UINT64_C(1));
    return true;
}

/* What was told is cleared.  true: that was the last part, or no answer. */
static bool zeros_taken(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    bool stuck = k->zero_end <= h->zero_at;

    k->told = false;
    h->zero_at = k->zero_end;
    HOLD_FOR_SCOPE(&h->lock);
    hydrate_arrived_locked(h);
    return stuck || h->zero_at >= h->disk->size;
}

int hydrate_land_zeros(struct hydrate_link *k)
{
    struct hydrator *h = k->hydrator;
    int r;

    if (!h->options.zero_map || !claim_mapper(k) || k->asking)
        return 0;
    if (!k->reader->ops->query || !k->reader->ops->has_allocation(k->reader)) {
        zeros_done(h);
        return 1;
    }
    if (k->zero_count > 0) {
        clear_zeros(k);
        return 1;
    }
    if (k->told && zeros_taken(k)) {
        zeros_done(h);
        return 1;
    }
    r = ask_zeros(k);
    return r < 0 ? r : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's reads and writes (T11, T13, T14).  Bits of a mask only go from 1 to 0, so what was
 * seen to be here stays here: reads need no lock, and whatever a write needs from the source is
 * brought before the gate, where waiting hurts nobody else.
 */
#include "base/align.h"
#include "base/clock.h"
#include "engine/hydrate.h"
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/vm.h"

static void request_begin(struct owner *o)
{
    atomic_fetch_add_explicit(&o->guest_requests, 1, memory_order_relaxed);
}

static void request_end(struct owner *o)
{
    atomic_fetch_sub_explicit(&o->guest_requests, 1, memory_order_relaxed);
}

/* Bits of the sub-blocks of a block that [offset, end) touches. */
static uint16_t touched_bits(uint64_t block, uint64_t offset, uint64_t end)
{
    uint64_t start = MAX(offset, block * BLOCK_SIZE) / SUB_BLOCK_SIZE;
    uint64_t stop = div_up(MIN(end, (block + 1) * BLOCK_SIZE), SUB_BLOCK_SIZE);
    unsigned first = (unsigned)(start - block * SUB_BLOCKS);

    return (uint16_t)(((UINT32_C(1) << (stop - start)) - 1) << first);
}

/* Bits of the sub-blocks that [offset, end) covers whole; the end of the disk ends the last one. */
static uint16_t covered_bits(const struct disk *d, uint64_t block, uint64_t offset, uint64_t end)
{
    uint64_t start = div_up(MAX(offset, block * BLOCK_SIZE), SUB_BLOCK_SIZE);
    uint64_t stop = (end == d->size ? div_up(end, SUB_BLOCK_SIZE) : end / SUB_BLOCK_SIZE);

    if (plant(PLANT_CLEAR_EDGES))
        return touched_bits(block, offset, end);
    stop = MIN(stop, (block + 1) * SUB_BLOCKS);
    if (start >= stop)
        return 0;
    return (uint16_t)(((UINT32_C(1) << (stop - start)) - 1) << (start - block * SUB_BLOCKS));
}

static uint16_t missing_of(const struct owner *o, uint64_t block)
{
    return atomic_load_explicit(&o->map->missing[block], memory_order_acquire);
}

int owner_bring(struct owner *o, uint64_t first, uint64_t last)
{
    int r;

    if (o->hydrator)
        return hydrator_need(o->hydrator, first, last);
    r = owner_hydrate_local(o, first, (uint32_t)(last - first + 1));
    for (uint64_t b = first; r == 0 && b <= last; b++)
        if (missing_of(o, b))
            r = -EIO; /* only a remote source has it, and there is none */
    return r;
}

/* ---- reads ---- */

/* Brings what is missing of the sub-blocks the range touches. */
static int bring_touched(struct owner *o, uint64_t offset, uint64_t end)
{
    uint64_t last = (end - 1) / BLOCK_SIZE;
    int r = 0;

    for (uint64_t b = offset / BLOCK_SIZE, run; r == 0 && b <= last; b = run) {
        run = b + 1;
        if (!(missing_of(o, b) & touched_bits(b, offset, end)))
            continue;
        while (run <= last && missing_of(o, run) & touched_bits(run, offset, end))
            run++;
        r = owner_bring(o, b, run - 1);
    }
    return r;
}

int owner_pread(struct owner *o, void *data, uint32_t length, uint64_t offset)
{
    struct target *t = &o->disk->target;
    int r = 0;

    if (length == 0)
        return 0;
    request_begin(o);
    if (!atomic_load_explicit(&o->complete, memory_order_acquire))
        r = bring_touched(o, offset, offset + length);
    if (r == 0)
        r = io_read(t->io, t->buffered_fd, data, length, offset);
    request_end(o);
    return r;
}

int owner_cache(struct owner *o, uint32_t length, uint64_t offset)
{
    if (length > 0 && o->hydrator && !atomic_load(&o->complete))
        hydrator_prefetch(o->hydrator, offset / BLOCK_SIZE, (offset + length - 1) / BLOCK_SIZE);
    return 0;
}

/* ---- writes ---- */

/* What is written: bytes, or zeros in one of the ways. */
struct content {
    const uint8_t *data; /* NULL: zeros */
    enum io_zero_how how;
    bool fast;           /* zeros only where they cost no transfer */
    bool dsync;          /* durable at once */
};

static int put(struct owner *o, const struct content *c, uint64_t at, uint64_t length,
               uint64_t offset)
{
    struct target *t = &o->disk->target;

    if (c->data)
        return io_write(t->io, t->buffered_fd, c->data + at, length, offset, c->dsync);
    if (c->fast)
        return t->io->ops->zero(t->io, t->buffered_fd, offset, length, c->how);
    return io_zero(t->io, t->buffered_fd, offset, length, c->how);
}

static bool all_here(const struct owner *o, uint64_t offset, uint64_t end)
{
    if (atomic_load_explicit(&o->complete, memory_order_acquire))
        return true;
    for (uint64_t b = offset / BLOCK_SIZE; b <= (end - 1) / BLOCK_SIZE; b++)
        if (missing_of(o, b))
            return false;
    return true;
}

static void clear_covered(struct owner *o, uint64_t offset, uint64_t end)
{
    for (uint64_t b = offset / BLOCK_SIZE; b <= (end - 1) / BLOCK_SIZE; b++)
        map_clear(o->map, b, covered_bits(o->disk, b, offset, end));
}

/* Something of a block is missing: the hydrator must not write its sub-blocks after us. */
static int put_in_stripe(struct owner *o, const struct content *c, uint64_t at, uint64_t length,
                         uint64_t offset)
{
    pthread_mutex_t *stripe = &o->stripes[offset / OWNER_STRIPE_BYTES % OWNER_STRIPES];
    uint64_t end = offset + length;
    int r;

    lock_take(stripe);
    if (plant(PLANT_CLEAR_BEFORE_WRITE))
        clear_covered(o, offset, end);
    r = put(o, c, at, length, offset);
    if (r == 0)
        clear_covered(o, offset, end);
    lock_release(stripe);
    return r;
}

static int put_range(struct owner *o, const struct content *c, uint64_t length, uint64_t offset)
{
    uint64_t at = 0;
    int r = 0;

    if (all_here(o, offset, offset + length))
        return put(o, c, 0, length, offset);
    while (r == 0 && at < length) {
        uint64_t n = MIN(length - at, OWNER_STRIPE_BYTES - (offset + at) % OWNER_STRIPE_BYTES);

        if (all_here(o, offset + at, offset + at + n))
            r = put(o, c, at, n, offset + at);
        else
            r = put_in_stripe(o, c, at, n, offset + at);
        at += n;
    }
    return r;
}

/* The mask says "here" for the whole range, and says so on disk, too: then, and only then, a write
 * that is durable by itself is durable (T13). */
static bool durably_here(struct owner *o, uint64_t offset, uint64_t end)
{
    if (atomic_load_explicit(&o->complete, memory_order_acquire))
        return true;
    for (uint64_t b = offset / BLOCK_SIZE; b <= (end - 1) / BLOCK_SIZE; b++)
        if (missing_of(o, b) || (!map_is_durable(o->map, b) && !plant(PLANT_FUA_ALWAYS_SHORT)))
            return false;
    return true;
}

/* True when the range begins or ends inside a sub-block that is missing. */
static bool edge_missing(const struct owner *o, uint64_t offset, uint64_t end)
{
    uint64_t first = offset / BLOCK_SIZE, last = (end - 1) / BLOCK_SIZE;

    if (atomic_load(&o->complete))
        return false;
    return missing_of(o, first) & touched_bits(first, offset, end) &
               ~covered_bits(o->disk, first, offset, end) ||
           missing_of(o, last) & touched_bits(last, offset, end) &
               ~covered_bits(o->disk, last, offset, end);
}

static int bring_edges(struct owner *o, uint64_t offset, uint64_t end)
{
    uint64_t edges[] = {offset / BLOCK_SIZE, (end - 1) / BLOCK_SIZE};
    int r = 0;

    for (unsigned i = 0; r == 0 && i < 2 && !atomic_load(&o->complete); i++)
        if (missing_of(o, edges[i]) & touched_bits(edges[i], offset, end) &
            ~covered_bits(o->disk, edges[i], offset, end))
            r = owner_bring(o, edges[i], edges[i]);
    return r;
}

static struct gate_pass enter_gate(struct owner *o, uint64_t offset, uint64_t length)
{
    if (plant(PLANT_LOG_BEFORE_GATE) && actlog_activate(o->log, offset, length) < 0)
        owner_fail(o);
    return gate_enter(&o->gate);
}

static int write_gated(struct owner *o, struct content *c, uint64_t length, uint64_t offset,
                       bool *fua)
{
    struct gate_pass pass = enter_gate(o, offset, length);
    /* Asked again: what closed the gate may have failed half-way, then the log says too much. */
    int r = o->engine->failed ? -EIO : owner_mark(o, pass.plane, offset, length);

    if (r == 0 && *fua && c->data && durably_here(o, offset, offset + length)) {
        c->dsync = true;
        *fua = false;
    }
    if (r == 0)
        r = put_range(o, c, length, offset);
    if (r == -EIO && c->dsync)
        owner_fail(o); /* a sync that failed may have lost writes of others, too */
    if (plant(PLANT_DIRTY_AFTER_WRITE))
        for (uint64_t b = offset / BLOCK_SIZE; b <= (offset + length - 1) / BLOCK_SIZE; b++)
            owner_set_dirty(o, pass.plane, b);
    gate_leave(&o->gate, pass);
    return r;
}

static int write_content(struct owner *o, struct content *c, uint64_t length, uint64_t offset,
                         bool fua)
{
    int r;

    if (o->engine->failed)
        return -EIO;
    if (length == 0)
        return fua ? owner_flush(o) : 0;
    request_begin(o);
    atomic_store_explicit(&o->guest_last_ns, clock_now_ns(), memory_order_relaxed);
    r = plant(PLANT_CLEAR_EDGES) ? 0 : bring_edges(o, offset, offset + length);
    if (r == 0)
        r = write_gated(o, c, length, offset, &fua);
    if (r == 0 && fua)
        r = owner_flush(o);
    request_end(o);
    return r;
}

int owner_pwrite(struct owner *o, const void *data, uint32_t length, uint64_t offset,
                 unsigned flags)
{
    struct content c = {.data = data};

    return write_content(o, &c, length, offset, flags & EXPORT_FUA);
}

int owner_zero(struct owner *o, uint32_t length, uint64_t offset, unsigned flags)
{
    struct content c = {.how = flags & EXPORT_MAY_TRIM ? IO_ZERO_PUNCH : IO_ZERO_KEEP,
                        .fast = flags & EXPORT_FAST};

    if (c.fast && length > 0 && edge_missing(o, offset, offset + length))
        return -EOPNOTSUPP;
    return write_content(o, &c, length, offset, flags & EXPORT_FUA);
}

/* A hint: sub-blocks that are only touched are left alone when they are missing, and what cannot be
 * zeroed cheaply stays as it is, missing or not. */
int owner_trim(struct owner *o, uint32_t length, uint64_t offset, unsigned flags)
{
    struct content c = {.how = IO_ZERO_PUNCH, .fast = true};
    uint64_t end = offset + length;
    int r;

    if (length > 0 && edge_missing(o, offset, end)) {
        offset = round_up(offset, SUB_BLOCK_SIZE);
        end = end == o->disk->size ? end : round_down(end, SUB_BLOCK_SIZE);
    }
    if (offset >= end)
        return flags & EXPORT_FUA ? owner_flush(o) : 0;
    r = write_content(o, &c, end - offset, offset, flags & EXPORT_FUA);
    return r == -EOPNOTSUPP ? 0 : r;
}

/* ---- extents ---- */

static int target_extent(struct owner *o, uint64_t offset, uint64_t end,
                         int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    struct target *t = &o->disk->target;
    uint64_t data, data_end;
    int r = t->io->ops->seek(t->io, t->buffered_fd, offset, o->disk->size, &data, &data_end);

    if (r == -ENXIO)
        return fn(offset, end - offset, 1, context);
    if (r < 0)
        return r;
    if (data > offset)
        return fn(offset, MIN(data, end) - offset, 1, context);
    return fn(offset, MIN(data_end, end) - offset, 0, context);
}

/* 1: zero (a layer says so), 0: data or not known, -1: it is in the target. */
static int missing_kind(const struct owner *o, uint64_t block)
{
    struct layer *l;
    enum block_state state = 0;

    switch (owner_lookup(o, block, &l, &state)) {
    case OWNER_HERE:
        return -1;
    case OWNER_FROM_LAYER:
        return state == BLOCK_ZERO && missing_of(o, block) == owner_block_mask(o->disk, block);
    default:
        return 0;
    }
}

int owner_extents(struct owner *o, uint64_t length, uint64_t offset,
                  int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    uint64_t end = offset + length, block = offset / BLOCK_SIZE, run = block + 1;
    int kind;

    if (atomic_load(&o->complete))
        return target_extent(o, offset, end, fn, context);
    kind = missing_kind(o, block);
    while (run * BLOCK_SIZE < end && missing_kind(o, run) == kind)
        run++;
    end = MIN(end, run * BLOCK_SIZE);
    if (kind < 0)
        return target_extent(o, offset, end, fn, context);
    return fn(offset, end - offset, (unsigned)kind, context);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "engine/hydrate.h"
#include "engine/keeper.h"
#include "tests/weave/baton.h"
#include "tests/weave/weave.h"

#define GUEST_MAX (3 * BLOCK_SIZE)

static unsigned below(struct world *w, unsigned n)
{
    return random_below(&w->random, n);
}

static unsigned disk_index(const struct world *w, const struct weave_disk *d)
{
    return (unsigned)(d - w->disks);
}

/* Any operation may fail when the process is dead or an I/O error was planted; otherwise not. */
static void check_result(struct world *w, const char *what, int r)
{
    if (r >= 0 || w->dead)
        return;
    if (!w->trouble || (r != -EIO && r != -ENOSPC))
        weave_fail(w, "%s failed with %s", what, strerror(-r));
}

/* ---- the guest ---- */

struct range {
    uint32_t first, count; /* sectors */
};

static struct range guest_range(struct world *w, const struct weave_disk *d)
{
    uint32_t sectors = d->history.sectors, per_sub = SUB_BLOCK_SIZE / HISTORY_SECTOR;
    uint32_t subs = sectors / per_sub;
    struct range g;

    switch (below(w, 8)) {
    case 0: /* anything small */
    case 1:
        g = (struct range){below(w, sectors), 1 + below(w, 12)};
        break;
    case 2: /* large, odd edges */
        g = (struct range){below(w, sectors), 1 + below(w, 300)};
        break;
    case 3: /* the end of the disk */
        g.count = 1 + below(w, 20);
        g.first = sectors - g.count;
        break;
    case 4: /* across a block */
        g.count = 2 + below(w, 20);
        g.first = (1 + below(w, (sectors - 1) / 128)) * 128 - 1 - below(w, g.count - 1);
        break;
    default: /* what guests mostly do */
        g = (struct range){below(w, subs) * per_sub, (1 + below(w, 4)) * per_sub};
        break;
    }
    g.count = MIN(g.count, sectors - g.first);
    return g;
}

static bool busy(const struct weave_disk *d, struct range g)
{
    for (unsigned i = 0; i < d->history.count; i++) {
        const struct guest_op *op = &d->history.ops[i];

        if (!op->end && ranges_overlap(op->first, op->count, g.first, g.count))
            return true;
    }
    return false;
}

static bool take_range(struct world *w, struct weave_disk *d, struct range *ret_range)
{
    *ret_range = guest_range(w, d);
    return (w->overlap && below(w, 2)) || !busy(d, *ret_range);
}

static void guest_write(struct world *w, struct weave_disk *d)
{
    _cleanup_free_ uint8_t *bytes = NULL;
    bool fua = below(w, 4) == 0;
    struct guest_op *op;
    struct range g;
    int r;

    if (!take_range(w, d, &g))
        return;
    bytes = malloc((size_t)g.count * HISTORY_SECTOR);
    op = history_begin(&d->history, g.first, g.count, false, bytes);
    if (!op)
        return;
    weave_tell(w, "disk %u: write %llu of sectors %u+%u%s", disk_index(w, d),
               (unsigned long long)op->id, g.first, g.count, fua ? ", durable" : "");
    r = owner_pwrite(d->owner, bytes, g.count * HISTORY_SECTOR,
                     (uint64_t)g.first * HISTORY_SECTOR, fua ? EXPORT_FUA : 0);
    weave_tell(w, "disk %u: write %llu: %d", disk_index(w, d), (unsigned long long)op->id, r);
    history_end(&d->history, op, r == 0 && !w->dead, fua);
    check_result(w, "a write", r);
}

static void guest_zero(struct world *w, struct weave_disk *d, bool trim)
{
    unsigned flags = (below(w, 4) == 0 ? EXPORT_FUA : 0) | (below(w, 2) ? EXPORT_MAY_TRIM : 0);
    struct guest_op *op;
    struct range g;
    int r;

    if (!trim && below(w, 4) == 0)
        flags |= EXPORT_FAST;
    if (!take_range(w, d, &g))
        return;
    op = history_begin(&d->history, g.first, g.count, true, NULL);
    if (!op)
        return;
    op->hint = trim;
    weave_tell(w, "disk %u: %s of sectors %u+%u, flags %u", disk_index(w, d),
               trim ? "trim" : "zero", g.first, g.count, flags);
    if (trim)
        r = owner_trim(d->owner, g.count * HISTORY_SECTOR, (uint64_t)g.first * HISTORY_SECTOR,
                       flags & EXPORT_FUA);
    else
        r = owner_zero(d->owner, g.count * HISTORY_SECTOR, (uint64_t)g.first * HISTORY_SECTOR,
                       flags);
    weave_tell(w, "disk %u: %s of sectors %u+%u: %d", disk_index(w, d), trim ? "trim" : "zero",
               g.first, g.count, r);
    history_end(&d->history, op, r == 0 && !w->dead, flags & EXPORT_FUA);
    if (r != -EOPNOTSUPP || !(flags & EXPORT_FAST))
        check_result(w, trim ? "a trim" : "a zero", r);
}

static void guest_read(struct world *w, struct weave_disk *d)
{
    struct range g = guest_range(w, d);
    _cleanup_free_ uint8_t *bytes = malloc((size_t)g.count * HISTORY_SECTOR);
    uint32_t since = history_now(&d->history);
    int64_t bad;
    int r = owner_pread(d->owner, bytes, g.count * HISTORY_SECTOR,
                        (uint64_t)g.first * HISTORY_SECTOR);

    check_result(w, "a read", r);
    if (r < 0 || w->dead)
        return;
    bad = history_check_read(&d->history, g.first, g.count, bytes, since);
    if (bad >= 0) {
        char text[64];

        history_describe(history_value(bytes + ((size_t)bad - g.first) * HISTORY_SECTOR), text,
                         sizeof(text));
        weave_fail(w, "disk %u: a read of sector %lld sees %s", disk_index(w, d), (long long)bad,
                   text);
    }
}

/* ---- what makes things durable ---- */

static void flush(struct world *w, struct weave_disk *d, bool background)
{
    uint64_t blocks = d->owner->disk->blocks;
    _cleanup_free_ uint16_t *before = malloc(blocks * sizeof(*before));
    uint32_t since = history_now(&d->history);
    bool failed = sim_syncs_failed(w->sim) > w->syncs_failed;
    bool anything = !background;
    int r;

    for (uint64_t b = 0; b < blocks; b++)
        before[b] = weave_missing(d->owner, b);
    weave_tell(w, "disk %u: %s", disk_index(w, d), background ? "checkpoint" : "flush");
    r = background ? owner_checkpoint(d->owner) : owner_flush(d->owner);
    weave_tell(w, "disk %u: %s: %d", disk_index(w, d), background ? "checkpoint" : "flush", r);
    if (r == 0 && !w->dead && anything) {
        if (failed)
            weave_fail(w, "disk %u: a flush was acknowledged after an fdatasync had failed",
                       disk_index(w, d));
        history_flushed(&d->history, since);
        for (uint64_t b = 0; b < blocks; b++)
            d->durable[b] &= before[b];
    }
    check_result(w, background ? "a checkpoint" : "a flush", r);
}

static void checkpoint_planes(struct world *w, struct weave_disk *d)
{
    weave_tell(w, "disk %u: planes", disk_index(w, d));
    check_result(w, "a checkpoint of the planes", owner_checkpoint_planes(d->owner));
}

static void prune(struct world *w, struct weave_disk *d)
{
    int r;

    weave_tell(w, "disk %u: prune", disk_index(w, d));
    r = owner_prune(d->owner);
    weave_tell(w, "disk %u: prune: %d", disk_index(w, d), r);
    check_result(w, "a prune", r);
}

/* What the engine's own thread does, completion among it. */
static void keep(struct world *w)
{
    weave_tell(w, "the keeper looks");
    keeper_round(w->engine, true);
    weave_tell(w, "the keeper has looked: %s", store_mode_name(w->engine->mode));
}

/* ---- hydration ---- */

/* As a connection does: the data were read long before they are written. */
static void hydrate_fetched(struct world *w, struct weave_disk *d)
{
    uint64_t block = below(w, (unsigned)d->owner->disk->blocks);
    uint32_t count = 1 + below(w, (unsigned)MIN(d->owner->disk->blocks - block, UINT64_C(3)));
    _cleanup_free_ uint8_t *bytes = calloc(count, BLOCK_SIZE);
    uint64_t offset = block * BLOCK_SIZE;

    memcpy(bytes, d->flip + offset, MIN(count * BLOCK_SIZE, d->owner->disk->size - offset));
    weave_tell(w, "disk %u: hydrate %llu+%u", disk_index(w, d), (unsigned long long)block, count);
    check_result(w, "hydration", owner_hydrate(d->owner, block, count, bytes, NULL));
}

static void hydrate_local(struct world *w, struct weave_disk *d)
{
    uint64_t block = below(w, (unsigned)d->owner->disk->blocks);

    weave_tell(w, "disk %u: hydrate locally from %llu on", disk_index(w, d),
               (unsigned long long)block);
    check_result(w, "local hydration", owner_hydrate_local(d->owner, block, 1 + below(w, 4)));
}

static void hydrate_step(struct world *w, struct weave_disk *d)
{
    if (!d->owner->hydrator)
        return;
    weave_tell(w, "disk %u: a step of the hydrator", disk_index(w, d));
    check_result(w, "a step of the hydrator",
                 hydrator_step(d->owner->hydrator, below(w, 2)));
}

static void hydrate(struct world *w, struct weave_disk *d)
{
    switch (below(w, 5)) {
    case 0:
        hydrate_local(w, d);
        break;
    case 1:
    case 2:
        hydrate_step(w, d);
        break;
    default:
        hydrate_fetched(w, d);
        break;
    }
}

/* ---- failback (T17) ---- */

static void failback(struct world *w, struct weave_disk *d)
{
    if (d->sending)
        return;
    d->sending = true;
    weave_tell(w, "disk %u: failback", disk_index(w, d));
    check_result(w, "failback", weave_pass(w, d, 1 + below(w, 6)));
    weave_tell(w, "disk %u: failback ends", disk_index(w, d));
    d->sending = false;
}

/* ---- an actor ---- */

/* How often each thing is done, of 100: as everything comes; mostly the planes and the log; mostly
 * masks and flushes. */
enum action { WRITE, ZERO, TRIM, READ, HYDRATE, FLUSH, CHECKPOINT, PLANES, PRUNE, KEEP, FAILBACK };

static const uint8_t profiles[WEAVE_PROFILES][11] = {
    [0] = {[WRITE] = 38, [ZERO] = 5, [TRIM] = 3, [READ] = 10, [HYDRATE] = 14, [FLUSH] = 12,
           [CHECKPOINT] = 4, [PLANES] = 4, [PRUNE] = 4, [KEEP] = 2, [FAILBACK] = 4},
    [1] = {[WRITE] = 40, [ZERO] = 2, [HYDRATE] = 2, [FLUSH] = 2, [PLANES] = 25, [PRUNE] = 22,
           [FAILBACK] = 7},
    [2] = {[WRITE] = 30, [ZERO] = 4, [READ] = 4, [HYDRATE] = 26, [FLUSH] = 24, [CHECKPOINT] = 12},
};

static enum action choose_action(struct world *w)
{
    const uint8_t *p = profiles[w->profile];
    unsigned x = below(w, 100), action = 0;

    while (x >= p[action])
        x -= p[action++];
    return action;
}

static void act(struct world *w)
{
    struct weave_disk *d = &w->disks[below(w, 4) == 0];
    enum action action = choose_action(w);

    switch (action) {
    case WRITE:
        guest_write(w, d);
        break;
    case ZERO:
    case TRIM:
        guest_zero(w, d, action == TRIM);
        break;
    case READ:
        guest_read(w, d);
        break;
    case HYDRATE:
        hydrate(w, d);
        break;
    case FLUSH:
    case CHECKPOINT:
        flush(w, d, action == CHECKPOINT);
        break;
    case PLANES:
        checkpoint_planes(w, d);
        break;
    case PRUNE:
        prune(w, d);
        break;
    case KEEP:
        keep(w);
        break;
    case FAILBACK:
        failback(w, d);
        break;
    }
}

void actor_run(void *context)
{
    struct world *w = context;

    while (!w->dead && w->ops_left > 0 && !w->failure[0]) {
        w->ops_left--;
        weave_tally.operations++;
        act(w);
        baton_yield();
    }
}

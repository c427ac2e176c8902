/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of an epoch (T10.4), and going on with one after an end, a kill or a power loss (T19). */
#include "base/align.h"
#include "base/str.h"
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/vm.h"

/* ---- masks an epoch begins with ---- */

/* Each returns how many masks it made nonzero that were zero: a look at all of them afterwards takes
 * a large disk longer than this. */
static uint64_t fill_all(const struct disk *d, _Atomic uint16_t *missing)
{
    memset((void *)(uintptr_t)missing, 0xff, d->blocks * sizeof(*missing));
    missing[d->blocks - 1] = owner_block_mask(d, d->blocks - 1);
    return d->blocks;
}

static uint64_t fill_from_layer(const struct disk *d, const struct layer *l,
                                _Atomic uint16_t *missing)
{
    uint64_t count = 0;

    for (uint64_t b = layer_find(l, 0, LAYER_IN_SET); b < d->blocks;
         b = layer_find(l, b + 1, LAYER_IN_SET)) {
        count += atomic_load_explicit(&missing[b], memory_order_relaxed) == 0;
        atomic_store_explicit(&missing[b], owner_block_mask(d, b), memory_order_relaxed);
    }
    return count;
}

/* What a page that was never written means; `missing` is zero before. */
static uint64_t fill_began(const struct owner *o, bool all_missing, _Atomic uint16_t *missing)
{
    uint64_t count = 0;

    if (all_missing)
        return fill_all(o->disk, missing);
    for (unsigned i = 0; i < o->layer_count; i++)
        count += fill_from_layer(o->disk, o->layers[i], missing);
    return count;
}

/* INIT: what was missing, and what changed since. */
static uint64_t fill_from_initial(const struct owner *o, const struct owner_begin *b)
{
    uint64_t count = 0;

    for (uint64_t k = 0; k < o->disk->blocks; k++) {
        uint16_t all = owner_block_mask(o->disk, k), mask = all;

        if (!b->changed || !(b->changed[k / 64] >> k % 64 & 1))
            mask = atomic_load(&b->initial->missing[k]) & all;
        if (mask)
            atomic_store_explicit(&o->live->missing[k], mask, memory_order_relaxed);
        count += mask != 0;
    }
    return count;
}

static uint64_t fill_from_previous(const struct owner *o, const struct owner_begin *b)
{
    const struct owner *p = b->previous;
    uint64_t count = 0;

    for (uint64_t k = 0; k < o->disk->blocks && !atomic_load(&p->complete); k++) {
        uint16_t mask = atomic_load(&p->map->missing[k]);

        if (mask)
            o->live->missing[k] = mask;
        count += mask != 0;
    }
    for (unsigned i = 0; i < o->layer_count; i++)
        if (o->layers[i]->local && (p->layer_count == 0 || o->layers[i]->gen > p->layers[0]->gen))
            count += fill_from_layer(o->disk, o->layers[i], o->live->missing);
    return count;
}

static uint64_t fill_masks(const struct owner *o, const struct owner_begin *b)
{
    if (b->previous)
        return fill_from_previous(o, b);
    return b->initial ? fill_from_initial(o, b) : fill_began(o, false, o->live->missing);
}

/* ---- what is dirty from the beginning: changes that are ours, not the source's ---- */

static void mark_local(struct owner *o)
{
    for (unsigned i = 0; i < o->layer_count; i++) {
        const struct layer *l = o->layers[i];

        for (uint64_t b = l->local ? layer_find(l, 0, LAYER_IN_SET) : l->blocks; b < l->blocks;
             b = layer_find(l, b + 1, LAYER_IN_SET))
            owner_set_dirty(o, 0, b);
    }
}

static void mark_previous(struct owner *o, const struct owner *p)
{
    for (unsigned plane = 0; plane < 2; plane++)
        for (uint64_t b = owner_find_dirty(p, plane, 0); b < o->disk->blocks;
             b = owner_find_dirty(p, plane, b + 1))
            owner_set_dirty(o, 0, b);
}

/* ---- T10.4 ---- */

static int sync_nothing(void *context)
{
    return 0; /* owner_create() has made the target durable */
}

/* Pages whose masks are not what an absent page means. */
static int write_odd_pages(struct owner *o, bool all_missing)
{
    _cleanup_free_ uint16_t *began = calloc(o->disk->blocks, sizeof(*began));
    int r;

    if (!began)
        return -ENOMEM;
    fill_began(o, all_missing, (_Atomic uint16_t *)began);
    for (uint64_t b = 0; b < o->disk->blocks; b++)
        if (began[b] != atomic_load_explicit(&o->live->missing[b], memory_order_relaxed)) {
            map_touch(o->map, b);
            b = (b / MAP_PAGE_BLOCKS + 1) * MAP_PAGE_BLOCKS - 1;
        }
    r = map_checkpoint(o->map, sync_nothing, NULL);
    return r < 0 ? r : 0;
}

/* Everything is in the target: no masks, and no memory for them. */
static bool nothing_missing(const struct owner_begin *b)
{
    return b->layer_count == 0 && !b->initial &&
           (!b->previous || atomic_load(&b->previous->complete));
}

static int create_files(struct owner *o, const struct owner_begin *b)
{
    bool here = nothing_missing(b);
    struct disk *d = o->disk;
    struct io *io = d->io;
    _cleanup_free_ char *map_path = disk_map_path(d, b->epoch);
    _cleanup_free_ char *log_path = owner_log_path(d, b->epoch);
    _cleanup_free_ char *live_path = owner_live_path(o->engine, d, b->epoch);
    uint64_t missing = 0;
    int r;

    io->ops->unlink(io, map_path); /* of an attempt that did not reach its root */
    io->ops->unlink(io, log_path);
    r = live_create(io, live_path, d->blocks, b->epoch, b->nonce, !here, &o->live);
    if (r < 0)
        return r;
    if (!here)
        missing = fill_masks(o, b);
    atomic_store(&o->complete, here);
    r = map_create_over(io, map_path, b->epoch, d->blocks, owner_plane_pages(d),
                        here ? NULL : o->live->missing, missing, &o->map);
    if (r == 0)
        r = owner_planes_attach(o, b->epoch);
    if (r == 0)
        r = actlog_create(io, log_path, d->folder, b->epoch, d->size, &o->log);
    return r;
}

static void take_layers(struct owner *o, struct layer *const *layers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        o->layers[o->layer_count++] = layer_ref(layers[i]);
}

int owner_create(struct engine *e, struct disk *d, const struct owner_begin *b,
                 struct owner **ret_owner)
{
    struct owner *o = owner_alloc(e, d);
    int r = o ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    take_layers(o, b->layers, b->layer_count);
    /* A mask of 0 says that the target's bytes are durable; a fold or a sync may just have ended. */
    if (!plant(PLANT_FLIP_NO_TARGET_SYNC))
        r = target_sync(&d->target);
    if (r == 0)
        r = io_fdatasync(d->io, d->digest_fd);
    if (r == 0)
        r = create_files(o, b);
    if (r == 0 && !atomic_load(&o->complete) && (b->initial || b->previous))
        r = write_odd_pages(o, b->all_missing);
    if (r == 0) {
        mark_local(o);
        if (b->previous)
            mark_previous(o, b->previous);
        r = owner_checkpoint_planes(o);
    }
    if (r == 0)
        r = map_sync(o->map);
    if (r == 0)
        r = d->io->ops->sync_dir(d->io, d->folder);
    if (r < 0) {
        owner_free(o);
        return r;
    }
    *ret_owner = o;
    return 0;
}

/* ---- T19 ---- */

bool owner_has_live(const struct engine *e, const struct disk *d, uint64_t epoch,
                    const uint8_t nonce[LIVE_NONCE_SIZE])
{
    _cleanup_free_ char *path = owner_live_path(e, d, epoch);
    struct live *live;

    if (live_open(d->io, path, d->blocks, epoch, nonce, &live) < 0)
        return false;
    live_free(live);
    return true;
}

/* Nobody knows which writes the log's regions have seen. */
static void mark_logged(struct owner *o)
{
    uint64_t per_region = o->log->region_bytes / BLOCK_SIZE;

    for (uint32_t r = 0; r < o->log->regions; r++)
        for (uint64_t b = r * per_region;
             actlog_is_active(o->log, r) && b < MIN((r + 1) * per_region, o->disk->blocks); b++)
            owner_set_dirty(o, 0, b);
}

/* Digests of blocks that were brought since the flip were perhaps not durable: those there may be
 * of an older generation. */
static int forget_digests(struct owner *o, const uint16_t *began)
{
    static const uint8_t unknown[64 * DIGEST_SIZE];
    struct disk *d = o->disk;
    int r = 0;

    for (uint64_t b = 0, run; r == 0 && b < d->blocks; b = run) {
        bool stale = began[b] && atomic_load(&o->live->missing[b]) != began[b];

        for (run = b + 1; run < d->blocks && run - b < 64 && stale &&
                          began[run] && atomic_load(&o->live->missing[run]) != began[run];)
            run++;
        if (stale)
            r = io_write(d->io, d->digest_fd, unknown, (run - b) * DIGEST_SIZE, b * DIGEST_SIZE,
                         false);
    }
    return r < 0 ? r : io_fdatasync(d->io, d->digest_fd);
}

static int recover_masks(struct owner *o, enum owner_start start, uint64_t epoch, bool all_missing)
{
    struct disk *d = o->disk;
    _cleanup_free_ char *path = disk_map_path(d, epoch);
    _cleanup_free_ uint16_t *began = NULL;
    int r;

    if (atomic_load(&o->complete))
        return map_open_over(d->io, path, epoch, d->blocks, NULL, NULL, &o->map);
    began = calloc(d->blocks, sizeof(*began));
    if (!began)
        return -ENOMEM;
    fill_began(o, all_missing, (_Atomic uint16_t *)began);
    if (start != OWNER_ADOPT)
        memcpy((void *)(uintptr_t)o->live->missing, began, d->blocks * sizeof(*began));
    else /* bits behind the end of the disk nobody would ever bring */
        atomic_fetch_and(&o->live->missing[d->blocks - 1], owner_block_mask(d, d->blocks - 1));
    r = map_open_over(d->io, path, epoch, d->blocks, o->live->missing,
                      start == OWNER_ADOPT ? began : NULL, &o->map);
    return r == 0 && start == OWNER_AFTER_LOSS ? forget_digests(o, began) : r;
}

static int open_live(struct owner *o, enum owner_start start, uint64_t epoch,
                     const uint8_t nonce[LIVE_NONCE_SIZE])
{
    struct disk *d = o->disk;
    _cleanup_free_ char *path = owner_live_path(o->engine, d, epoch);

    if (start == OWNER_ADOPT)
        return live_open(d->io, path, d->blocks, epoch, nonce, &o->live);
    return live_create(d->io, path, d->blocks, epoch, nonce, !atomic_load(&o->complete), &o->live);
}

static int recover(struct owner *o, enum owner_start start, uint64_t epoch, bool all_missing,
                   const uint8_t nonce[LIVE_NONCE_SIZE])
{
    struct disk *d = o->disk;
    _cleanup_free_ char *log_path = owner_log_path(d, epoch);
    int r = open_live(o, start, epoch, nonce);

    for (unsigned i = d->layer_count; i-- > 0;)
        o->layers[o->layer_count++] = layer_ref(d->layers[i]);
    if (r == 0)
        r = recover_masks(o, start, epoch, all_missing);
    if (r == 0)
        r = owner_planes_attach(o, epoch);
    if (r == 0)
        r = owner_planes_load(o, start == OWNER_ADOPT);
    if (r == 0)
        r = actlog_open(d->io, log_path, epoch, d->size, &o->log);
    if (r == 0 && start == OWNER_AFTER_LOSS && !plant(PLANT_LOSS_NO_LOG))
        mark_logged(o);
    return r;
}

int owner_recover(struct engine *e, struct disk *d, enum owner_start start, uint64_t epoch,
                  enum owner_absent absent, const uint8_t nonce[LIVE_NONCE_SIZE],
                  struct owner **ret_owner)
{
    struct owner *o = owner_alloc(e, d);
    int r = -ENOMEM;

    if (o) {
        atomic_store(&o->complete, absent == OWNER_ABSENT_HERE);
        r = recover(o, start, epoch, absent == OWNER_ABSENT_MISSING, nonce);
    }

    if (r < 0) {
        owner_free(o);
        return r;
    }
    *ret_owner = o;
    return 0;
}

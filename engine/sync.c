/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/generation.h"
#include "engine/plant.h"
#include "engine/room.h"

#define CONNECT_TIMEOUT_NS (30 * NS_PER_S)

static bool sync_cancelled(void *context)
{
    return atomic_load(&((struct sync *)context)->cancel);
}

int sync_check_names(struct engine *e, const struct sync_source *sources, unsigned count,
                     struct error **err)
{
    for (unsigned i = 0; i < count; i++) {
        if (!engine_disk(e, sources[i].name))
            return error_set(err, ENOENT, "this VM has no disk '%s'", sources[i].name);
        for (unsigned k = 0; k < i; k++)
            if (strcmp(sources[i].name, sources[k].name) == 0)
                return error_set(err, EINVAL, "disk '%s' is named twice", sources[i].name);
    }
    for (unsigned d = 0; d < e->disk_count; d++) {
        bool named = false;

        for (unsigned i = 0; i < count; i++)
            named |= strcmp(sources[i].name, e->disks[d].name) == 0;
        if (!named)
            return error_set(err, EINVAL,
                             "a generation covers all disks of the VM, but disk '%s' has no "
                             "source; add %s=NBD-URI", e->disks[d].name, e->disks[d].name);
    }
    return 0;
}

static int check_size(const struct sync_disk *sd, struct error **err)
{
    uint64_t have = sd->reader->ops->size(sd->reader);

    if (have == sd->disk->size)
        return 0;
    return error_set(err, have < sd->disk->size ? ENODATA : EFBIG,
                     "disk %s: the source has %" PRIu64 " bytes, the target %" PRIu64
                     "; a disk that %s cannot be followed, make a new store for it", sd->disk->name,
                     have, sd->disk->size, have < sd->disk->size ? "shrank" : "grew");
}

static int open_disk(struct sync *s, const struct sync_source *source, struct error **err)
{
    struct sync_disk *sd = &s->disks[s->disk_count];
    const char *bitmap = s->initial || s->request.compare ? NULL : source->bitmap;
    int r;

    sd->disk = engine_disk(s->engine, source->name);
    sd->uri = str_dup(source->uri);
    sd->bitmap = str_dup(bitmap);
    s->disk_count++;
    r = s->engine->readers->open(sd->uri, sd->bitmap, true, CONNECT_TIMEOUT_NS,
                                 sync_cancelled, s, &sd->reader, err);
    if (r < 0)
        return error_prefix(err, "disk %s", source->name), r;
    return check_size(sd, err);
}

static void random_snapshot(char *text, size_t size)
{
    uint8_t bytes[12];
    size_t n = (size_t)snprintf(text, size, "unnamed-");

    if (getrandom(bytes, sizeof(bytes), 0) < 0)
        memset(bytes, (int)clock_now_ns(), sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        n += (size_t)snprintf(text + n, size - n, "%02x", bytes[i]);
}

int sync_open(struct sync *s, struct engine *e, const struct sync_request *q, struct error **err)
{
    struct super root = superfile_get(&e->super);
    int r = q->repair ? 0 : sync_check_names(e, q->sources, q->source_count, err);

    if (r < 0)
        return r;
    if (root.flags & SUPER_LOCAL_CHANGES)
        return error_set(err, EPERM,
                         "a draft was committed to this store, so it no longer follows the source; "
                         "flip it, or make a new store");
    s->engine = e;
    s->request = *q;
    s->initial = root.mode == MODE_INIT;
    s->phase = "map";
    if (q->repair)
        memcpy(s->snapshot, root.snapshot, sizeof(s->snapshot));
    else if (q->snapshot)
        snprintf(s->snapshot, sizeof(s->snapshot), "%s", q->snapshot);
    else
        random_snapshot(s->snapshot, sizeof(s->snapshot));
    if (root.mode == MODE_MIRROR && !q->repair && strcmp(root.snapshot, s->snapshot) == 0) {
        s->already = true;
        s->generation = root.cur_gen;
        return 0;
    }
    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = open_disk(s, &q->sources[i], err);
    if (r < 0)
        sync_close(s);
    return r;
}

void sync_close(struct sync *s)
{
    for (unsigned i = 0; i < s->disk_count; i++) {
        struct sync_disk *sd = &s->disks[i];

        if (sd->tainted)
            generation_drop_loading(sd->disk);
        reader_close(sd->reader);
        if (sd->pull_ready)
            pull_done(&sd->pull);
        free(sd->uri);
        free(sd->bitmap);
        *sd = (struct sync_disk){0};
    }
    /* A repair that did not end is not gone on with: what differs is found anew. */
    for (unsigned i = 0; s->request.repair && i < s->engine->disk_count; i++)
        if (!s->engine->failed)
            generation_drop_loading(&s->engine->disks[i]);
    s->disk_count = 0;
    view_put(s->base);
    s->base = NULL;
}

/* ---- initial sync ---- */

struct zero_walk {
    struct sync *sync;
    struct sync_disk *sd;
    uint64_t covered; /* first block that is not decided yet */
};

/* Whole blocks inside a zero extent need no transfer. */
static int initial_zero(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct zero_walk *w = context;
    struct disk *d = w->sd->disk;
    uint64_t first = div_up(offset, BLOCK_SIZE), end = (offset + length) / BLOCK_SIZE;
    int r;

    if (offset + length == d->size)
        end = d->blocks;
    if (!(flags & EXTENT_ZERO) || first >= end)
        return 0;
    if (atomic_load(&w->sync->cancel))
        return -ECANCELED;
    while (first < end) {
        uint64_t block = map_find(d->map, first), run = block;

        while (run < end && atomic_load(&d->map->missing[run]))
            run++;
        if (block >= end)
            break;
        if (!d->target_empty) {
            r = target_clear(&d->target, d->size, block * BLOCK_SIZE,
                             MIN(run * BLOCK_SIZE, d->size) - block * BLOCK_SIZE);
            if (r < 0)
                return r;
        }
        w->sd->zero_bytes += MIN(run * BLOCK_SIZE, d->size) - block * BLOCK_SIZE;
        for (; block < run; block++)
            map_clear(d->map, block, MISSING_ALL);
        first = run;
    }
    return 0;
}

static int prepare_initial_disk(struct sync *s, struct sync_disk *sd, struct error **err)
{
    struct zero_walk w = {.sync = s, .sd = sd};
    int r = sd->reader->ops->extents(sd->reader, EXTENT_ZERO, initial_zero, &w, err);

    if (r < 0)
        return r;
    sd->wanted_bytes = MIN(sd->disk->map->missing_blocks * BLOCK_SIZE, sd->disk->size);
    sd->changed_bytes = sd->disk->size;
    return 0;
}

/* ---- delta ---- */

static int delta_dirty(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct sync_disk *sd = context;
    uint64_t end = div_up(offset + length, BLOCK_SIZE);
    int r = 0;

    if (!(flags & EXTENT_DIRTY))
        return 0;
    for (uint64_t b = offset / BLOCK_SIZE; r == 0 && b < end; b++)
        r = layer_set_state(sd->disk->loading, b, BLOCK_PENDING);
    return r;
}

/* Whole wanted blocks inside a zero extent are known without transfer. */
static int delta_zero(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct sync_disk *sd = context;
    struct disk *d = sd->disk;
    uint64_t end = offset + length == d->size ? d->blocks : (offset + length) / BLOCK_SIZE;
    int r = 0;

    if (!(flags & EXTENT_ZERO))
        return 0;
    for (uint64_t b = layer_find(d->loading, div_up(offset, BLOCK_SIZE), 1u << BLOCK_PENDING);
         r == 0 && b < end; b = layer_find(d->loading, b + 1, 1u << BLOCK_PENDING)) {
        r = layer_set_state(d->loading, b, BLOCK_ZERO);
        sd->zero_bytes += disk_block_length(d, b);
    }
    return r;
}

/* In a compare a block that is a hole here and zero there is unchanged. */
static int compare_hole(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct sync_disk *sd = context;
    struct disk *d = sd->disk;
    uint64_t end = offset + length == d->size ? d->blocks : (offset + length) / BLOCK_SIZE;
    int r = 0;

    for (uint64_t b = div_up(offset, BLOCK_SIZE); r == 0 && (flags & EXTENT_ZERO) && b < end; b++)
        if (layer_state(d->loading, b) == BLOCK_ZERO)
            r = layer_set_state(d->loading, b, BLOCK_UNCHANGED);
    return r;
}

static int pend_repair(struct sync *s, struct disk *d)
{
    const uint64_t *set = s->request.repair[d->index];
    int r = 0;

    for (uint64_t b = 0; set && r == 0 && b < d->blocks; b++)
        if (set[b / 64] & UINT64_C(1) << b % 64)
            r = layer_set_state(d->loading, b, BLOCK_PENDING);
    return r;
}

static int fill_change_set(struct sync *s, struct sync_disk *sd, struct error **err)
{
    struct disk *d = sd->disk;
    bool compare = d->loading->compare;
    int r = 0;

    if (s->request.repair)
        r = pend_repair(s, d);
    else if (compare)
        r = delta_dirty(0, d->size, EXTENT_DIRTY, sd);
    else
        r = sd->reader->ops->extents(sd->reader, EXTENT_DIRTY, delta_dirty, sd, err);
    if (r == 0 && sd->reader)
        r = sd->reader->ops->extents(sd->reader, EXTENT_ZERO, delta_zero, sd, err);
    if (r == 0 && compare)
        r = view_extents(s->base, d, d->size, 0, compare_hole, sd);
    return r < 0 ? error_set_errno(err, -r, "cannot make the change set of disk %s", d->name) : 0;
}

static int check_space(struct sync_disk *sd, struct error **err)
{
    struct disk *d = sd->disk;
    uint64_t counts[4], reserve = UINT64_C(64) << 20, need, have;
    char a[32], b[32];

    layer_count(d->loading, counts);
    need = counts[BLOCK_PENDING] * BLOCK_SIZE;
    have = d->io->ops->free_space(d->io, d->folder);
    if (d->loading->compare || need + reserve <= have)
        return 0;
    return error_set(err, ENOSPC,
                     "the delta of disk %s needs %s in %s, %s are free; make room there and sync "
                     "again (the mirror stays at its last generation)", d->name,
                     str_from_bytes(need + reserve, a, sizeof(a)), d->folder,
                     str_from_bytes(have, b, sizeof(b)));
}

static int begin_layer(struct sync *s, struct sync_disk *sd, struct error **err)
{
    struct disk *d = sd->disk;
    struct layer_params params = {.gen = s->engine->cur_gen + 1,
                                  .disk_size = d->size,
                                  .snapshot = s->snapshot,
                                  .compare = !sd->bitmap && !s->request.repair};
    _cleanup_free_ char *stem = disk_layer_stem(d, params.gen);
    int r;

    layer_unlink(d->io, stem); /* of an attempt that failed half-way */
    r = layer_create(d->io, stem, &params, &d->loading);
    if (r == 0)
        r = fill_change_set(s, sd, err);
    if (r == 0)
        r = check_space(sd, err);
    if (r == 0)
        r = layer_begin(d->loading, d->folder);
    if (r < 0) {
        error_set_errno(err, -r, "cannot begin a layer for disk %s in %s", d->name, d->folder);
        generation_drop_loading(d);
    }
    return r;
}

static int prepare_delta_disk(struct sync *s, struct sync_disk *sd, struct error **err)
{
    struct layer *l = sd->disk->loading;
    uint64_t counts[4];
    int r = 0;

    /* The change set of a push that was interrupted is only what came. */
    if (l && (strcmp(l->snapshot, s->snapshot) != 0 || l->push || s->request.repair) &&
        !plant(PLANT_RESUME_OTHER_SNAPSHOT)) {
        r = generation_drop_loading(sd->disk);
        l = NULL;
    }
    if (r < 0)
        return error_set_errno(err, -r, "cannot remove an interrupted layer of disk %s",
                               sd->disk->name);
    if (!l)
        r = begin_layer(s, sd, err);
    if (r < 0)
        return r;
    layer_count(sd->disk->loading, counts);
    sd->wanted_bytes = counts[BLOCK_PENDING] * BLOCK_SIZE;
    sd->changed_bytes = (sd->disk->blocks - counts[BLOCK_UNCHANGED]) * BLOCK_SIZE;
    return 0;
}

/* A repair: disks that have no source have nothing to fetch. */
static int prepare_untouched(struct sync *s, struct error **err)
{
    struct engine *e = s->engine;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct sync_disk none = {.disk = &e->disks[i]};
        bool named = false;

        for (unsigned k = 0; k < s->disk_count; k++)
            named |= s->disks[k].disk == none.disk;
        if (named)
            continue;
        r = generation_drop_loading(none.disk);
        r = r < 0 ? r : begin_layer(s, &none, err);
    }
    return r;
}

int sync_prepare(struct sync *s, struct error **err)
{
    struct engine *e = s->engine;
    int r = s->initial ? generation_begin_initial(e, s->snapshot, false, err)
                       : room_make(e, &s->cancel, err);

    if (r == 0 && !s->initial) {
        r = view_get(e, NO_GENERATION, &s->base);
        if (r < 0)
            error_set_errno(err, -r, "cannot read the mirror");
    }
    for (unsigned i = 0; r == 0 && i < s->disk_count; i++) {
        struct sync_disk *sd = &s->disks[i];
        struct layer *l;

        r = s->initial ? prepare_initial_disk(s, sd, err) : prepare_delta_disk(s, sd, err);
        if (r < 0)
            break;
        l = sd->disk->loading;
        pull_init(&sd->pull, sd->disk, l, l && l->compare ? s->base : NULL);
        sd->pull.compare_bytes = s->request.compare_bytes;
        sd->pull.limits = s->engine->limits;
        sd->pull.preseed = s->initial && sd->disk->preseed;
        sd->pull.allocate_ahead = !(l && l->compare) && !sd->pull.preseed &&
                                  sd->reader->ops->has_allocation(sd->reader);
        sd->pull_ready = true;
    }
    if (r == 0 && s->request.repair)
        r = prepare_untouched(s, err);
    if (r == 0)
        s->phase = "copy";
    return r;
}

int sync_checkpoint(struct sync *s, unsigned index)
{
    struct disk *d = s->disks[index].disk;
    int r;

    /* The fdatasync after a failed one reports success without having written anything. */
    if (s->initial ? s->engine->failed : s->disks[index].tainted)
        return -EIO;
    r = s->initial ? map_checkpoint(d->map, disk_sync_target, d) : layer_checkpoint(d->loading);
    r = r > 0 ? 0 : r;
    if (r < 0 && s->initial)
        engine_fail(s->engine);
    else if (r < 0)
        s->disks[index].tainted = true;
    return r;
}

/* ---- commit ---- */

/* The root that follows says that everything is here and drops the maps: the data has to be durable,
 * the last pages of the maps need not be written (for a big sparse disk they are many). */
static int commit_initial(struct sync *s)
{
    int r = s->engine->failed ? -EIO : 0;

    for (unsigned i = 0; r == 0 && !plant(PLANT_INIT_NO_CHECKPOINT) && i < s->disk_count; i++)
        r = disk_sync_target(s->disks[i].disk);
    if (r < 0)
        engine_fail(s->engine);
    return r < 0 ? r : generation_commit_initial(s->engine);
}

static int commit_delta(struct sync *s)
{
    struct disk *bad = NULL;
    int r = generation_commit_layers(s->engine, s->snapshot, &bad);

    for (unsigned i = 0; i < s->disk_count; i++)
        s->disks[i].tainted |= s->disks[i].disk == bad;
    return r;
}

int sync_commit(struct sync *s, struct error **err)
{
    int r;

    s->phase = "seal";
    r = s->initial ? commit_initial(s) : commit_delta(s);
    s->generation = s->engine->cur_gen;
    if (r < 0)
        return error_set_errno(err, -r,
                               "cannot commit the generation in %s; the last one is intact, see to "
                               "the disk of the store and sync again", s->engine->store);
    return 0;
}

void sync_progress(const struct sync *s, struct progress_report *p)
{
    *p = (struct progress_report){.phase = s->phase};
    for (unsigned i = 0; i < s->disk_count; i++) {
        const struct sync_disk *sd = &s->disks[i];

        p->total_bytes += sd->wanted_bytes;
        if (!sd->pull_ready)
            continue;
        p->done_bytes += atomic_load(&sd->pull.done_bytes);
        p->written_bytes += atomic_load(&sd->pull.written_bytes);
        p->same_bytes += atomic_load(&sd->pull.same_bytes);
    }
}

int sync_run(struct sync *s, progress_fn *progress, void *context, struct error **err)
{
    int r = s->already ? 0 : sync_prepare(s, err);

    if (s->already)
        return 0;
    for (unsigned i = 0; r == 0 && i < s->disk_count; i++)
        r = sync_copy(s, i, progress, context, err);
    if (r == 0 && atomic_load(&s->cancel))
        r = error_set(err, ECANCELED, "the sync was cancelled; what is here stays, the same "
                                      "snapshot resumes it");
    if (r == 0)
        r = sync_commit(s, err);
    return r;
}

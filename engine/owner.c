/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/owner.h"

#include <inttypes.h>

#include "base/align.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/lock.h"
#include "engine/plant.h"
#include "engine/vm.h"

uint16_t owner_block_mask(const struct disk *d, uint64_t block)
{
    uint64_t subs = div_up(disk_block_length(d, block), SUB_BLOCK_SIZE);

    return (uint16_t)((UINT32_C(1) << subs) - 1);
}

char *owner_log_path(const struct disk *d, uint64_t epoch)
{
    return str_format("%s/al.%" PRIu64, d->folder, epoch);
}

char *owner_live_path(const struct engine *e, const struct disk *d, uint64_t epoch)
{
    return str_format("%s/live.%s.%" PRIu64, e->live_folder, d->name, epoch);
}

struct owner *owner_alloc(struct engine *e, struct disk *d)
{
    struct owner *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->engine = e;
    o->disk = d;
    gate_init(&o->gate);
    for (unsigned i = 0; i < OWNER_STRIPES; i++)
        pthread_mutex_init(&o->stripes[i], NULL);
    pthread_mutex_init(&o->flush_lock, NULL);
    pthread_mutex_init(&o->planes_lock, NULL);
    lock_cond_init(&o->flush_ended);
    return o;
}

static void drop_layers(struct owner *o)
{
    for (unsigned i = 0; i < o->layer_count; i++)
        layer_unref(o->layers[i]);
    o->layer_count = 0;
}

void owner_free(struct owner *o)
{
    if (!o)
        return;
    drop_layers(o);
    actlog_free(o->log);
    pagefile_done(&o->planes_file);
    map_free(o->map);
    live_free(o->live);
    free((void *)(uintptr_t)o->planes_changed);
    free((void *)(uintptr_t)o->planes_durable);
    gate_done(&o->gate);
    for (unsigned i = 0; i < OWNER_STRIPES; i++)
        pthread_mutex_destroy(&o->stripes[i]);
    pthread_mutex_destroy(&o->flush_lock);
    pthread_mutex_destroy(&o->planes_lock);
    pthread_cond_destroy(&o->flush_ended);
    free(o);
}

static int root_latched(struct super *s, void *context)
{
    s->flags |= SUPER_LATCHED;
    return 0;
}

int owner_fail(struct owner *o)
{
    struct engine *e = o->engine;

    if (plant(PLANT_FLUSH_FORGETS_FAILURE))
        return -EIO;
    if (!e->failed) {
        log_error("disk %s of %s: what the guest wrote could not be made durable; the engine "
                  "accepts no more writes, see to the device of %s", o->disk->name, e->store,
                  o->disk->target_path);
        engine_fail(e);
        superfile_update(&e->super, root_latched, NULL); /* a restart must not forget it */
    }
    return -EIO;
}

/* ---- completion (T16) ---- */

bool owner_is_complete(const struct owner *o)
{
    return atomic_load(&o->complete) || atomic_load(&o->map->missing_blocks) == 0;
}

/* Layers stay referenced until the end: somebody may be reading one this moment. */
void owner_completed(struct owner *o)
{
    atomic_store(&o->complete, true);
    live_drop_masks(o->live);
}

uint64_t owner_missing_bytes(const struct owner *o)
{
    if (atomic_load(&o->complete))
        return 0;
    return MIN(atomic_load(&o->map->missing_blocks) * BLOCK_SIZE, o->disk->size);
}

/* Nobody writes any more: damage to one slot is not to bring older masks back. */
static int settle_files(struct owner *o)
{
    int r = pagefile_settle(&o->map->file);

    if (r == 0)
        r = pagefile_settle(&o->planes_file);
    return r < 0 ? r : pagefile_settle(&o->log->file);
}

int owner_finish(struct owner *o)
{
    int r = owner_flush(o);

    if (r == 0)
        r = owner_checkpoint_planes(o);
    if (r == 0)
        r = settle_files(o);
    return r < 0 ? r : io_fdatasync(o->disk->io, o->disk->digest_fd);
}

/* ---- where a missing block comes from ---- */

enum owner_from owner_lookup(const struct owner *o, uint64_t block, struct layer **ret_layer,
                             enum block_state *ret_state)
{
    if (atomic_load(&o->complete) || atomic_load(&o->map->missing[block]) == 0)
        return OWNER_HERE;
    for (unsigned i = 0; i < o->layer_count; i++) {
        unsigned k = plant(PLANT_LOOKUP_OLDEST) ? o->layer_count - 1 - i : i;
        enum block_state state = layer_state(o->layers[k], block);

        if (state == BLOCK_UNCHANGED)
            continue;
        if (state == BLOCK_PENDING)
            return OWNER_FROM_REMOTE;
        *ret_layer = o->layers[k];
        *ret_state = state;
        return OWNER_FROM_LAYER;
    }
    return OWNER_FROM_REMOTE;
}

/* ---- T15 ---- */

static pthread_mutex_t *stripe_of(struct owner *o, uint64_t offset)
{
    return &o->stripes[offset / OWNER_STRIPE_BYTES % OWNER_STRIPES];
}

static bool sub_missing(const struct owner *o, uint64_t sub)
{
    return atomic_load(&o->map->missing[sub / SUB_BLOCKS]) >> sub % SUB_BLOCKS & 1;
}

static int put_run(struct owner *o, uint64_t offset, uint64_t length, const uint8_t *data)
{
    struct target *t = &o->disk->target;

    if (data)
        return io_write(t->io, t->buffered_fd, data, length, offset, false);
    return io_zero(t->io, t->buffered_fd, offset, length,
                   t->block_device ? IO_ZERO_KEEP : IO_ZERO_PUNCH);
}

/* Writes the sub-blocks of [first, end) that are missing now; data is that of sub-block `first`. */
static int put_missing(struct owner *o, uint64_t first, uint64_t end, const uint8_t *data)
{
    int r = 0;

    for (uint64_t s = first, run; r == 0 && s < end; s = run) {
        bool missing = sub_missing(o, s) || plant(PLANT_HYDRATE_ALL) ||
                       plant(PLANT_HYDRATE_CLEAR_FIRST);

        for (run = s + 1; run < end && sub_missing(o, run) == missing;)
            run++;
        if (missing)
            r = put_run(o, s * SUB_BLOCK_SIZE,
                        MIN(run * SUB_BLOCK_SIZE, o->disk->size) - s * SUB_BLOCK_SIZE,
                        data ? data + (s - first) * SUB_BLOCK_SIZE : NULL);
    }
    return r;
}

static void clear_masks(struct owner *o, uint64_t block, uint64_t end)
{
    for (uint64_t b = block; b < end; b++)
        if (!plant(PLANT_FLUSH_NOT_HYDRATED))
            map_clear(o->map, b, MISSING_ALL);
        else if (atomic_exchange(&o->map->missing[b], 0))
            atomic_fetch_sub(&o->map->missing_blocks, 1);
}

static int hydrate_in_stripe(struct owner *o, uint64_t block, uint64_t end, const uint8_t *data,
                             const uint8_t *digests)
{
    struct disk *d = o->disk;
    pthread_mutex_t *stripe = stripe_of(o, block * BLOCK_SIZE);
    int r = 0;

    if (!plant(PLANT_HYDRATE_NO_STRIPE))
        lock_take(stripe);
    if (plant(PLANT_HYDRATE_CLEAR_FIRST))
        clear_masks(o, block, end);
    if (digests)
        r = io_write(d->io, d->digest_fd, digests, (end - block) * DIGEST_SIZE,
                     block * DIGEST_SIZE, false);
    if (r == 0)
        r = put_missing(o, block * SUB_BLOCKS,
                        MIN(end * SUB_BLOCKS, div_up(d->size, SUB_BLOCK_SIZE)), data);
    if (r == 0)
        clear_masks(o, block, end);
    if (!plant(PLANT_HYDRATE_NO_STRIPE))
        lock_release(stripe);
    return r;
}

int owner_hydrate(struct owner *o, uint64_t block, uint32_t count, const void *data,
                  const uint8_t *digests)
{
    const uint8_t *in = data;
    uint64_t end = block + count;
    int r = 0;

    if (atomic_load(&o->complete))
        return 0;
    while (r == 0 && block < end) {
        uint64_t per_stripe = OWNER_STRIPE_BYTES / BLOCK_SIZE;
        uint64_t to = MIN(end, (block / per_stripe + 1) * per_stripe);

        r = hydrate_in_stripe(o, block, to, in, digests);
        in = in ? in + (to - block) * BLOCK_SIZE : NULL;
        digests = digests ? digests + (to - block) * DIGEST_SIZE : NULL;
        block = to;
    }
    return r;
}

/* One run of blocks that the same layer has in the same state. */
static int hydrate_run(struct owner *o, struct layer *l, enum block_state state, uint64_t block,
                       uint32_t count, uint8_t *buffer)
{
    uint8_t digests[OWNER_STRIPE_BYTES / BLOCK_SIZE * DIGEST_SIZE];
    struct io *io = o->disk->io;
    int r = io_read(io, l->digest_fd, digests, count * DIGEST_SIZE, block * DIGEST_SIZE);

    if (r == 0 && state == BLOCK_DATA)
        r = io_read(io, l->read_fd, buffer, count * BLOCK_SIZE, block * BLOCK_SIZE);
    return r < 0 ? r
                 : owner_hydrate(o, block, count, state == BLOCK_DATA ? buffer : NULL, digests);
}

int owner_hydrate_local(struct owner *o, uint64_t block, uint32_t count)
{
    _cleanup_free_ uint8_t *buffer = NULL;
    uint64_t end = MIN(block + count, o->disk->blocks);
    int r = 0;

    for (uint64_t run; r == 0 && block < end; block = run) {
        struct layer *l = NULL, *next = NULL;
        enum block_state state = 0, next_state = 0;
        enum owner_from from = owner_lookup(o, block, &l, &state);

        run = block + 1;
        if (from != OWNER_FROM_LAYER)
            continue;
        while (run < end && run - block < OWNER_STRIPE_BYTES / BLOCK_SIZE &&
               owner_lookup(o, run, &next, &next_state) == OWNER_FROM_LAYER && next == l &&
               next_state == state)
            run++;
        if (!buffer && !(buffer = malloc(OWNER_STRIPE_BYTES)))
            return -ENOMEM;
        r = hydrate_run(o, l, state, block, (uint32_t)(run - block), buffer);
    }
    return r;
}

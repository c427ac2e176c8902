/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dirty planes: a bit per block in each, set before the guest's write is begun.  Durable lazily,
 * in page pairs behind the masks in the map file; until then the activity log covers them.
 */
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/vm.h"

#include "base/align.h"

#define PAGE_WORDS (PAGE_PAYLOAD / 16)
#define PAGE_BLOCKS (PAGE_WORDS * 64)

static uint64_t plane_words(const struct owner *o)
{
    return div_up(o->disk->blocks, 64);
}

uint32_t owner_plane_pages(const struct disk *d)
{
    return (uint32_t)div_up(d->blocks, PAGE_BLOCKS);
}

int owner_planes_attach(struct owner *o, uint64_t epoch)
{
    o->plane_pages = owner_plane_pages(o->disk);
    o->planes_changed = calloc(o->plane_pages, sizeof(*o->planes_changed));
    o->planes_durable = calloc(o->plane_pages, sizeof(*o->planes_durable));
    if (!o->planes_changed || !o->planes_durable)
        return -ENOMEM;
    return pagefile_init(&o->planes_file, o->disk->io, o->map->fd, KIND_PLANES, epoch,
                         o->map->page_count, o->plane_pages);
}

/* ---- bits ---- */

static void touch(struct owner *o, uint64_t block)
{
    atomic_fetch_add(&o->planes_changed[block / PAGE_BLOCKS], 1);
}

void owner_set_dirty(struct owner *o, unsigned plane, uint64_t block)
{
    _Atomic uint64_t *word = &o->live->planes[plane][block / 64];
    uint64_t bit = UINT64_C(1) << block % 64;

    if (atomic_load_explicit(word, memory_order_relaxed) & bit)
        return;
    atomic_fetch_or(word, bit);
    touch(o, block);
}

int owner_mark(struct owner *o, unsigned plane, uint64_t offset, uint64_t length)
{
    if (!plant(PLANT_NO_LOG) && !plant(PLANT_LOG_BEFORE_GATE) &&
        actlog_activate(o->log, offset, length) < 0)
        return owner_fail(o);
    for (uint64_t b = offset / BLOCK_SIZE;
         !plant(PLANT_DIRTY_AFTER_WRITE) && b <= (offset + length - 1) / BLOCK_SIZE; b++)
        owner_set_dirty(o, plane, b);
    return 0;
}

bool owner_is_dirty(const struct owner *o, unsigned plane, uint64_t block)
{
    return atomic_load(&o->live->planes[plane][block / 64]) >> block % 64 & 1;
}

uint64_t owner_find_dirty(const struct owner *o, unsigned plane, uint64_t from)
{
    uint64_t b = from;

    while (b < o->disk->blocks) {
        uint64_t left = atomic_load(&o->live->planes[plane][b / 64]) >> b % 64;

        if (left)
            return MIN(b + (uint64_t)__builtin_ctzll(left), o->disk->blocks);
        b = (b / 64 + 1) * 64;
    }
    return o->disk->blocks;
}

uint64_t owner_count_dirty(const struct owner *o)
{
    uint64_t count = 0;

    for (uint64_t w = 0; w < plane_words(o); w++)
        count += (uint64_t)__builtin_popcountll(atomic_load(&o->live->planes[0][w]) |
                                                atomic_load(&o->live->planes[1][w]));
    return count;
}

void owner_clear_dirty(struct owner *o, unsigned plane, uint64_t block, uint64_t count)
{
    for (uint64_t b = block; b < block + count; b++) {
        atomic_fetch_and(&o->live->planes[plane][b / 64], ~(UINT64_C(1) << b % 64));
        touch(o, b);
    }
}

/* ---- pages ---- */

static void encode_page(const struct owner *o, uint32_t index, uint8_t payload[PAGE_PAYLOAD])
{
    uint64_t first = (uint64_t)index * PAGE_WORDS;

    memset(payload, 0, PAGE_PAYLOAD);
    for (unsigned p = 0; p < 2; p++)
        for (uint64_t i = 0; i < PAGE_WORDS && first + i < plane_words(o); i++)
            put_u64(payload + (p * PAGE_WORDS + i) * 8,
                    atomic_load(&o->live->planes[p][first + i]));
}

static int write_changed_page(struct owner *o, uint32_t index, uint32_t *ret_changed)
{
    uint8_t payload[PAGE_PAYLOAD];

    *ret_changed = atomic_load(&o->planes_changed[index]); /* before the copy: never too new */
    if (*ret_changed == atomic_load(&o->planes_durable[index]))
        return 0;
    encode_page(o, index, payload);
    return pagefile_write(&o->planes_file, index, payload);
}

int owner_checkpoint_planes(struct owner *o)
{
    _cleanup_free_ uint32_t *changed = calloc(o->plane_pages, sizeof(*changed));
    bool any = false;
    int r = changed ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    HOLD_FOR_SCOPE(&o->planes_lock);
    if (o->engine->failed)
        return -EIO;
    for (uint32_t i = 0; r == 0 && i < o->plane_pages; i++) {
        r = write_changed_page(o, i, &changed[i]);
        any |= changed[i] != atomic_load(&o->planes_durable[i]);
        if (plant(PLANT_PLANES_DURABLE_EARLY))
            atomic_store(&o->planes_durable[i], changed[i]);
    }
    if (r == 0 && any)
        r = map_sync(o->map);
    if (r < 0)
        return owner_fail(o);
    for (uint32_t i = 0; i < o->plane_pages; i++)
        atomic_store(&o->planes_durable[i], changed[i]);
    return 0;
}

static int load_page(struct owner *o, uint32_t index, bool adopt)
{
    uint8_t payload[PAGE_PAYLOAD] = {0}, now[PAGE_PAYLOAD];
    uint64_t first = (uint64_t)index * PAGE_WORDS;
    int r = pagefile_read(&o->planes_file, index, payload);

    if (r < 0)
        return r;
    if (r == 0)
        memset(payload, 0, sizeof(payload));
    for (uint64_t i = 0; !adopt && i < PAGE_WORDS && first + i < plane_words(o); i++)
        atomic_store(&o->live->planes[0][first + i],
                     get_u64(payload + i * 8) |
                         (plant(PLANT_LOSS_ADOPTS_PLANE_0)
                              ? 0
                              : get_u64(payload + (PAGE_WORDS + i) * 8)));
    encode_page(o, index, now);
    if (memcmp(now, payload, PAGE_PAYLOAD) != 0)
        atomic_fetch_add(&o->planes_changed[index], 1);
    return 0;
}

int owner_planes_load(struct owner *o, bool adopt)
{
    uint64_t last = UINT64_MAX >> (63 - (o->disk->blocks - 1) % 64);
    int r = 0;

    for (unsigned p = 0; adopt && p < 2; p++) /* no blocks behind the end of the disk */
        atomic_fetch_and(&o->live->planes[p][plane_words(o) - 1], last);
    for (uint32_t i = 0; r == 0 && i < o->plane_pages; i++)
        r = load_page(o, i, adopt);
    return r;
}

/* ---- the activity log, made shorter ---- */

static bool planes_durable(const struct owner *o)
{
    for (uint32_t i = 0; i < o->plane_pages; i++)
        if (atomic_load(&o->planes_changed[i]) != atomic_load(&o->planes_durable[i]))
            return false;
    return true;
}

static bool log_is_empty(const struct actlog *a)
{
    for (uint32_t r = 0; r < a->regions; r++)
        if (actlog_is_active(a, r))
            return false;
    return true;
}

int owner_prune(struct owner *o)
{
    int r;

    if (o->engine->failed)
        return -EIO;
    if (log_is_empty(o->log))
        return 0;
    r = plant(PLANT_PRUNE_NO_PLANES) ? 0 : owner_checkpoint_planes(o);
    if (r < 0)
        return r;
    if (!plant(PLANT_PRUNE_NO_GATE))
        gate_close(&o->gate);
    /* Written meanwhile, or by a checkpoint that has not ended: another time. */
    if (planes_durable(o) || plant(PLANT_PRUNE_NO_PLANES)) {
        r = actlog_clear(o->log);
        r = r < 0 ? owner_fail(o) : 1;
    }
    if (!plant(PLANT_PRUNE_NO_GATE))
        gate_open(&o->gate);
    return r;
}

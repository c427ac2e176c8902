/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/load.h"

#include <inttypes.h>

#include "base/align.h"
#include "base/iszero.h"
#include "engine/lock.h"
#include "engine/plant.h"

static const uint8_t zeros[BLOCK_SIZE];

static struct load_disk *load_disk(struct load *l, const struct disk *d)
{
    return &l->disks[d->index];
}

static bool bit_get(const _Atomic uint64_t *bits, uint64_t block)
{
    return atomic_load(&bits[block / 64]) & UINT64_C(1) << block % 64;
}

static void bit_set(_Atomic uint64_t *bits, uint64_t block, bool value)
{
    uint64_t bit = UINT64_C(1) << block % 64;

    if (value)
        atomic_fetch_or(&bits[block / 64], bit);
    else
        atomic_fetch_and(&bits[block / 64], ~bit);
}

/* A part of one block. */
struct part {
    struct load *load;
    struct load_disk *ld;
    struct disk *disk;
    uint64_t block, offset;
    uint32_t length;
    const uint8_t *data; /* NULL: zeros */
};

static bool part_is_whole(const struct part *p)
{
    return p->length == disk_block_length(p->disk, p->block);
}

/* ---- the initial copy: into the target, through the page cache ---- */

/* Masks of the sub-blocks that [offset, offset + length) touches. */
static uint16_t touched(const struct part *p)
{
    uint64_t start = p->offset % BLOCK_SIZE;
    uint64_t first = start / SUB_BLOCK_SIZE, last = (start + p->length - 1) / SUB_BLOCK_SIZE;

    return (uint16_t)((0xffffu >> (15 - (last - first))) << first);
}

/* A sub-block that is not here reads as zero; once a part of it is here, so must the rest. */
static int fill_edge(const struct part *p, uint16_t missing, uint64_t from, uint64_t to)
{
    uint64_t sub = from % BLOCK_SIZE / SUB_BLOCK_SIZE;

    to = MIN(to, p->disk->size);
    if (from >= to || !(missing & 1u << sub))
        return 0;
    return io_write(p->disk->io, p->disk->target.buffered_fd, zeros, to - from, from, false);
}

static int write_target(const struct part *p)
{
    struct disk *d = p->disk;
    uint16_t missing = atomic_load(&d->map->missing[p->block]);
    uint64_t end = p->offset + p->length;
    int r = fill_edge(p, missing, round_down(p->offset, SUB_BLOCK_SIZE), p->offset);

    if (r == 0)
        r = fill_edge(p, missing, end, round_up(end, SUB_BLOCK_SIZE));
    if (r == 0)
        r = io_write(d->io, d->target.buffered_fd, p->data, p->length, p->offset, false);
    return r;
}

static int put_initial(const struct part *p)
{
    struct disk *d = p->disk;
    uint8_t digest[DIGEST_SIZE];
    int r;

    bit_set(p->ld->loose, p->block, true);
    r = write_target(p);
    if (r < 0)
        return r;
    atomic_fetch_add(&p->ld->written_bytes, p->length);
    if (part_is_whole(p)) {
        digest_block(p->data, p->length, digest);
        r = io_write(d->io, d->digest_fd, digest, DIGEST_SIZE, p->block * DIGEST_SIZE, false);
        bit_set(p->ld->loose, p->block, r < 0);
        map_clear(d->map, p->block, MISSING_ALL);
    } else {
        map_clear(d->map, p->block, touched(p));
    }
    return r;
}

/* What is missing reads as zero already. */
static int zero_initial(const struct part *p, unsigned flags)
{
    struct disk *d = p->disk;
    enum io_zero_how how = flags & EXPORT_MAY_TRIM && !d->target.block_device ? IO_ZERO_PUNCH
                                                                             : IO_ZERO_KEEP;

    if ((atomic_load(&d->map->missing[p->block]) & touched(p)) == touched(p))
        return 0;
    bit_set(p->ld->loose, p->block, true);
    if (flags & EXPORT_FAST)
        return d->io->ops->zero(d->io, d->target.buffered_fd, p->offset, p->length, how);
    return io_zero(d->io, d->target.buffered_fd, p->offset, p->length, how);
}

static int get_initial(const struct part *p, uint8_t *data)
{
    struct disk *d = p->disk;
    uint64_t at = p->offset, end = p->offset + p->length;
    int r = 0;

    while (r == 0 && at < end) {
        uint64_t next = MIN(end, round_down(at, SUB_BLOCK_SIZE) + SUB_BLOCK_SIZE);
        uint16_t bit = (uint16_t)(1u << at % BLOCK_SIZE / SUB_BLOCK_SIZE);

        if (atomic_load(&d->map->missing[p->block]) & bit)
            memset(data, 0, next - at);
        else
            r = io_read(d->io, d->target.buffered_fd, data, next - at, at);
        data += next - at;
        at = next;
    }
    return r;
}

/* ---- a delta: into the layer ---- */

static int get_delta(const struct part *p, uint8_t *data)
{
    struct layer *l = p->disk->loading;

    switch (layer_state(l, p->block)) {
    case BLOCK_DATA:
        return io_read(l->io, l->read_fd, data, p->length, p->offset);
    case BLOCK_ZERO:
        memset(data, 0, p->length);
        return 0;
    default:
        return view_pread(p->load->base, p->disk, data, p->length, p->offset);
    }
}

/* `data`: the whole block, BLOCK_SIZE bytes of memory (layers hold whole blocks).  What it is decides
 * what it becomes: unchanged, zero, or data.  here: the layer's file has these bytes. */
static int put_whole(const struct part *p, const uint8_t *data, bool here, uint8_t *scratch)
{
    uint32_t length = disk_block_length(p->disk, p->block);
    struct layer *l = p->disk->loading;
    uint8_t digest[DIGEST_SIZE];
    enum block_state state;
    int r;

    digest_block(data, length, digest);
    r = view_holds(p->load->base, p->disk, p->block, data, digest, false, scratch);
    if (r < 0)
        return r;
    state = r ? BLOCK_UNCHANGED : is_zero(data, length) ? BLOCK_ZERO : BLOCK_DATA;
    r = 0;
    if (state == BLOCK_UNCHANGED) {
        atomic_fetch_add(&p->ld->same_bytes, length);
    } else if (state == BLOCK_DATA && !here) {
        r = io_write(l->io, l->read_fd, data, BLOCK_SIZE, p->block * BLOCK_SIZE, false);
        atomic_fetch_add(&p->ld->written_bytes, length);
    }
    if (r == 0 && state != BLOCK_UNCHANGED)
        r = layer_write_digests(l, p->block, digest, 1);
    if (r < 0)
        return r;
    bit_set(p->ld->loose, p->block, false);
    return layer_set_state(l, p->block, state);
}

/* Brings the whole block into the layer, with the new part in its place. */
static int put_part(const struct part *p)
{
    _cleanup_free_ uint8_t *copy = NULL;
    struct layer *l = p->disk->loading;
    const uint8_t *data = p->data ? p->data : zeros;
    uint64_t start = p->block * BLOCK_SIZE;
    struct part all = *p;
    int r;

    bit_set(p->ld->loose, p->block, true);
    atomic_fetch_add(&p->ld->written_bytes, p->length);
    if (layer_state(l, p->block) == BLOCK_DATA)
        return io_write(l->io, l->read_fd, data, p->length, p->offset, false);
    copy = calloc(1, BLOCK_SIZE);
    if (!copy)
        return -ENOMEM;
    all.offset = start;
    all.length = disk_block_length(p->disk, p->block);
    r = get_delta(&all, copy);
    memcpy(copy + (p->offset - start), data, p->length);
    if (r == 0)
        r = io_write(l->io, l->read_fd, copy, BLOCK_SIZE, start, false);
    return r < 0 ? r : layer_set_state(l, p->block, BLOCK_DATA);
}

static int put_delta(const struct part *p)
{
    _cleanup_free_ uint8_t *memory = NULL;
    bool tail = p->length != BLOCK_SIZE;

    if (!part_is_whole(p))
        return put_part(p);
    memory = malloc(tail ? 2 * BLOCK_SIZE : BLOCK_SIZE);
    if (!memory)
        return -ENOMEM;
    if (!tail)
        return put_whole(p, p->data, false, memory);
    memcpy(memory + BLOCK_SIZE, p->data, p->length);
    memset(memory + BLOCK_SIZE + p->length, 0, BLOCK_SIZE - p->length);
    return put_whole(p, memory + BLOCK_SIZE, false, memory);
}

static int zero_delta(const struct part *p, unsigned flags)
{
    struct layer *l = p->disk->loading;

    if (layer_state(l, p->block) == BLOCK_ZERO)
        return 0;
    if (part_is_whole(p)) {
        static const uint8_t unknown[DIGEST_SIZE];
        int r = layer_write_digests(l, p->block, unknown, 1);

        if (r < 0)
            return r;
        bit_set(p->ld->loose, p->block, false);
        return layer_set_state(l, p->block, BLOCK_ZERO);
    }
    return flags & EXPORT_FAST ? -EOPNOTSUPP : put_part(p);
}

/* ---- requests ---- */

static struct part next_part(struct load *l, struct disk *d, const uint8_t *data, uint64_t length,
                             uint64_t offset)
{
    return (struct part){
        .load = l,
        .ld = load_disk(l, d),
        .disk = d,
        .block = offset / BLOCK_SIZE,
        .offset = offset,
        .length = (uint32_t)MIN(length, BLOCK_SIZE - offset % BLOCK_SIZE),
        .data = data,
    };
}

int load_pread(struct load *l, struct disk *d, void *data, uint32_t length, uint64_t offset)
{
    uint8_t *out = data;
    int r = 0;

    while (r == 0 && length > 0) {
        struct part p = next_part(l, d, NULL, length, offset);

        HOLD_FOR_SCOPE(&p.ld->stripes[p.block % LOAD_STRIPES]);
        r = l->initial ? get_initial(&p, out) : get_delta(&p, out);
        out += p.length;
        offset += p.length;
        length -= p.length;
    }
    return r;
}

/* After a failure nobody knows what the block holds; a whole one mends it. */
static int put(const struct part *p, unsigned flags)
{
    HOLD_FOR_SCOPE(&p->ld->stripes[p->block % LOAD_STRIPES]);
    int r;

    if (!p->data)
        r = p->load->initial ? zero_initial(p, flags) : zero_delta(p, flags);
    else
        r = p->load->initial ? put_initial(p) : put_delta(p);
    if (r < 0 && r != -EOPNOTSUPP)
        bit_set(p->ld->broken, p->block, true);
    else if (r == 0 && part_is_whole(p))
        bit_set(p->ld->broken, p->block, false);
    return r;
}

static int put_all(struct load *l, struct disk *d, const uint8_t *data, uint64_t length,
                   uint64_t offset, unsigned flags)
{
    int r = atomic_load(&l->failed) || l->engine->failed ? -EIO : 0;

    while (r == 0 && length > 0) {
        struct part p = next_part(l, d, data, length, offset);

        r = put(&p, flags);
        atomic_fetch_add(&p.ld->received_bytes, p.length);
        if (!data)
            atomic_fetch_add(&p.ld->zero_bytes, p.length);
        data = data ? data + p.length : NULL;
        offset += p.length;
        length -= p.length;
    }
    return r;
}

int load_pwrite(struct load *l, struct disk *d, const void *data, uint32_t length, uint64_t offset)
{
    return put_all(l, d, data, length, offset, 0);
}

int load_zero(struct load *l, struct disk *d, uint64_t length, uint64_t offset, unsigned flags)
{
    return put_all(l, d, NULL, length, offset, flags);
}

/* The pages of masks or states that did not change may still speak of bytes that did. */
static int checkpoint(struct load *l, struct disk *d)
{
    int r = 0;

    if (!plant(PLANT_LOAD_FLUSH_PAGES_ONLY))
        r = l->initial ? disk_sync_target(d) : io_fdatasync(d->io, d->loading->data_fd);
    if (r < 0)
        return r;
    r = l->initial ? map_checkpoint(d->map, disk_sync_target, d) : layer_checkpoint(d->loading);
    return MIN(r, 0);
}

int load_flush(struct load *l, struct disk *d)
{
    HOLD_FOR_SCOPE(&load_disk(l, d)->checkpoint_lock);
    int r = atomic_load(&l->failed) || l->engine->failed ? -EIO : checkpoint(l, d);

    /* The fdatasync after a failed one reports success without having written anything. */
    if (r < 0)
        atomic_store(&l->failed, true);
    if (r < 0 && l->initial)
        engine_fail(l->engine);
    return r;
}

int load_extents(struct load *l, struct disk *d, uint64_t length, uint64_t offset,
                 int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    int r = 0;

    while (r >= 0 && length > 0) {
        struct part p = next_part(l, d, NULL, length, offset);
        enum block_state state = l->initial ? BLOCK_UNCHANGED : layer_state(d->loading, p.block);

        if (l->initial)
            r = fn(offset, p.length,
                   atomic_load(&d->map->missing[p.block]) == MISSING_ALL ? EXTENT_ZERO : 0,
                   context);
        else if (state == BLOCK_UNCHANGED)
            r = view_extents(l->base, d, p.length, offset, fn, context);
        else
            r = fn(offset, p.length, state == BLOCK_ZERO ? EXTENT_ZERO : 0, context);
        offset += p.length;
        length -= p.length;
    }
    return r;
}

/* ---- what a commit settles ---- */

static uint64_t next_bit(const _Atomic uint64_t *bits, uint64_t from, uint64_t blocks)
{
    while (from < blocks && !bit_get(bits, from))
        from = from % 64 == 0 && atomic_load(&bits[from / 64]) == 0 ? from + 64 : from + 1;
    return MIN(from, blocks);
}

/* The sub-blocks of a block that are not here. */
static int zero_parts(struct disk *d, uint64_t block)
{
    uint16_t missing = atomic_load(&d->map->missing[block]);
    int r = 0;

    for (uint64_t s = 0; r == 0 && s < SUB_BLOCKS; s++) {
        uint64_t at = block * BLOCK_SIZE + s * SUB_BLOCK_SIZE;

        if (missing & 1u << s && at < d->size)
            r = target_clear(&d->target, d->size, at, MIN(SUB_BLOCK_SIZE, d->size - at));
    }
    return r;
}

/* What was never written: zero it, or know that it is. */
static int zero_missing(struct disk *d)
{
    uint64_t end;
    int r = 0;

    for (uint64_t b = map_find(d->map, 0); r == 0 && b < d->blocks; b = map_find(d->map, end)) {
        for (end = b; end < d->blocks && atomic_load(&d->map->missing[end]) == MISSING_ALL;)
            end++;
        if (plant(PLANT_LOAD_NO_ZERO))
            r = 0;
        else if (end > b)
            r = target_clear(&d->target, d->size, b * BLOCK_SIZE,
                             MIN(end * BLOCK_SIZE, d->size) - b * BLOCK_SIZE);
        else
            r = zero_parts(d, b);
        end = MAX(end, b + 1);
        for (uint64_t k = b; r == 0 && k < end; k++)
            map_clear(d->map, k, MISSING_ALL);
    }
    return r;
}

static int settle_initial(struct load *l, struct disk *d, uint8_t *memory)
{
    struct load_disk *ld = load_disk(l, d);
    int r = zero_missing(d);

    for (uint64_t b = next_bit(ld->loose, 0, d->blocks); r == 0 && b < d->blocks;
         b = next_bit(ld->loose, b + 1, d->blocks)) {
        uint32_t length = disk_block_length(d, b);
        uint8_t digest[DIGEST_SIZE];

        r = io_read(d->io, d->target.buffered_fd, memory, length, b * BLOCK_SIZE);
        digest_block(memory, length, digest);
        if (r == 0)
            r = io_write(d->io, d->digest_fd, digest, DIGEST_SIZE, b * DIGEST_SIZE, false);
        if (r == 0)
            bit_set(ld->loose, b, false);
    }
    return r;
}

/* A block that is a hole here and zero there is unchanged. */
static int unchanged_hole(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct disk *d = context;
    uint64_t end = offset + length == d->size ? d->blocks : (offset + length) / BLOCK_SIZE;
    int r = 0;

    for (uint64_t b = div_up(offset, BLOCK_SIZE); r == 0 && (flags & EXTENT_ZERO) && b < end; b++)
        if (layer_state(d->loading, b) == BLOCK_ZERO)
            r = layer_set_state(d->loading, b, BLOCK_UNCHANGED);
    return r;
}

/* Reads a loose block back and decides anew what it is. */
static int settle_block(struct load *l, struct disk *d, uint64_t block, uint8_t *memory)
{
    struct part p = next_part(l, d, NULL, BLOCK_SIZE, block * BLOCK_SIZE);
    int r = 0;

    p.length = disk_block_length(d, block);
    if (layer_state(d->loading, block) == BLOCK_DATA) {
        memset(memory, 0, BLOCK_SIZE);
        r = get_delta(&p, memory);
        if (r == 0)
            r = put_whole(&p, memory, true, memory + BLOCK_SIZE);
    }
    if (r == 0)
        bit_set(p.ld->loose, block, false);
    return r;
}

static int settle_delta(struct load *l, struct disk *d, uint8_t *memory)
{
    struct load_disk *ld = load_disk(l, d);
    int r = 0;

    for (uint64_t b = next_bit(ld->loose, 0, d->blocks); r == 0 && b < d->blocks;
         b = next_bit(ld->loose, b + 1, d->blocks))
        r = settle_block(l, d, b, memory);
    return r < 0 ? r : view_extents(l->base, d, d->size, 0, unchanged_hole, d);
}

int load_settle(struct load *l, struct disk *d, struct error **err)
{
    struct load_disk *ld = load_disk(l, d);
    _cleanup_free_ uint8_t *memory = malloc(2 * BLOCK_SIZE);
    uint64_t broken = next_bit(ld->broken, 0, d->blocks);
    int r = memory ? 0 : -ENOMEM;

    if (broken < d->blocks)
        return error_set(err, EIO,
                         "a write to disk %s at %" PRIu64 " failed and was not repeated; push the "
                         "disk again, or abandon the push", d->name, broken * BLOCK_SIZE);
    if (r == 0)
        r = l->initial ? settle_initial(l, d, memory) : settle_delta(l, d, memory);
    if (r < 0)
        error_set_errno(err, -r, "cannot complete disk %s of the push; it is still open, see to "
                                 "the disk and commit again, or abandon it", d->name);
    return r;
}

int load_loosen(struct load *l, struct disk *d)
{
    struct load_disk *ld = load_disk(l, d);
    int fd = l->initial ? d->digest_fd : d->loading->digest_fd;
    int r = 0;

    for (uint64_t b = 0; b < d->blocks; b++) {
        if (l->initial ? atomic_load(&d->map->missing[b]) != MISSING_ALL
                       : layer_state(d->loading, b) == BLOCK_DATA)
            bit_set(ld->loose, b, true);
    }
    if (plant(PLANT_LOAD_OLD_DIGESTS))
        memset((void *)ld->loose, 0, div_up(d->blocks, 64) * sizeof(*ld->loose));
    else
        r = digests_forget(d->io, fd, d->blocks);
    return r < 0 ? r : io_fdatasync(d->io, fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers take no lock.  The state of a block in the draft's layer says where its bytes are, and is
 * changed only when they are there: UNCHANGED or ZERO becomes DATA after the whole block was written,
 * so a reader during a copy-up sees the old block, or the new one.
 */
#include "base/align.h"
#include "engine/draft.h"
#include "engine/lock.h"
#include "engine/owner.h"

/* Bytes from `offset` on, at most `length`, whose blocks are in the same state. */
static uint64_t same_state(const struct layer *l, uint64_t length, uint64_t offset,
                           enum block_state *ret_state)
{
    uint64_t block = offset / BLOCK_SIZE, last = (offset + length - 1) / BLOCK_SIZE;

    *ret_state = layer_state(l, block);
    while (block < last && layer_state(l, block + 1) == *ret_state)
        block++;
    return MIN(length, (block + 1) * BLOCK_SIZE - offset);
}

/* What the draft is over. */
static int base_pread(struct draft *dr, struct disk *d, void *data, uint32_t length,
                      uint64_t offset)
{
    return dr->base ? view_pread(dr->base, d, data, length, offset)
                    : owner_pread(d->owner, data, length, offset);
}

static int base_extents(struct draft *dr, struct disk *d, uint64_t length, uint64_t offset,
                        int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    return dr->base ? view_extents(dr->base, d, length, offset, fn, context)
                    : owner_extents(d->owner, length, offset, fn, context);
}

int draft_pread(struct draft *dr, struct disk *d, void *data, uint32_t length, uint64_t offset)
{
    struct layer *l = dr->layers[d->index];
    char *out = data;
    int r = 0;

    while (r == 0 && length > 0) {
        enum block_state state;
        uint32_t n = (uint32_t)same_state(l, length, offset, &state);

        if (state == BLOCK_DATA)
            r = io_read(d->io, l->read_fd, out, n, offset);
        else if (state == BLOCK_ZERO)
            memset(out, 0, n);
        else
            r = base_pread(dr, d, out, n, offset);
        out += n;
        offset += n;
        length -= n;
    }
    return r;
}

int draft_extents(struct draft *dr, struct disk *d, uint64_t length, uint64_t offset,
                  int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    struct layer *l = dr->layers[d->index];
    int r = 0;

    while (r >= 0 && length > 0) {
        enum block_state state;
        uint64_t n = same_state(l, length, offset, &state);

        if (state == BLOCK_UNCHANGED)
            r = base_extents(dr, d, n, offset, fn, context);
        else
            r = fn(offset, n, state == BLOCK_ZERO ? EXTENT_ZERO : 0, context);
        offset += n;
        length -= n;
    }
    return r;
}

/* Brings the whole block into the layer, with the new part in its place. */
static int copy_up(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                   uint64_t offset)
{
    uint64_t start = round_down(offset, BLOCK_SIZE);
    _cleanup_free_ uint8_t *block = calloc(1, BLOCK_SIZE);
    int r;

    if (!block)
        return -ENOMEM;
    r = draft_pread(dr, d, block, disk_block_length(d, start / BLOCK_SIZE), start);
    if (r < 0)
        return r;
    memcpy(block + (offset - start), data, length);
    return io_write(d->io, dr->layers[d->index]->read_fd, block, BLOCK_SIZE, start, false);
}

/* A whole block of zeros needs no bytes; those it had give their space back. */
static int zero_block(struct disk *d, struct layer *l, uint64_t block, enum block_state state)
{
    int r = layer_set_state(l, block, BLOCK_ZERO);

    if (r == 0 && state == BLOCK_DATA)
        d->io->ops->zero(d->io, l->read_fd, block * BLOCK_SIZE, BLOCK_SIZE, IO_ZERO_PUNCH);
    return r;
}

static int write_block_part(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                            uint64_t offset)
{
    static const uint8_t zeros[BLOCK_SIZE];
    struct layer *l = dr->layers[d->index];
    uint64_t block = offset / BLOCK_SIZE;
    bool whole = length == disk_block_length(d, block);
    enum block_state state;
    int r;

    HOLD_FOR_SCOPE(&dr->stripes[block % DRAFT_STRIPES]);
    state = layer_state(l, block);
    if (!data && state == BLOCK_ZERO)
        return 0;
    if (!data && whole)
        return zero_block(d, l, block, state);
    if (!data)
        data = zeros;
    if (!whole && state != BLOCK_DATA)
        r = copy_up(dr, d, data, length, offset);
    else
        r = io_write(d->io, l->read_fd, data, length, offset, false);
    return r < 0 || state == BLOCK_DATA ? r : layer_set_state(l, block, BLOCK_DATA);
}

int draft_pwrite(struct draft *dr, struct disk *d, const void *data, uint32_t length,
                 uint64_t offset)
{
    const char *in = data;
    uint32_t left = length;
    int r = 0;

    while (r == 0 && left > 0) {
        uint32_t n = (uint32_t)MIN((uint64_t)left, BLOCK_SIZE - offset % BLOCK_SIZE);

        r = write_block_part(dr, d, in, n, offset);
        in = in ? in + n : NULL;
        offset += n;
        left -= n;
    }
    if (r == 0)
        atomic_fetch_add(&dr->written_bytes[d->index], length);
    return r;
}

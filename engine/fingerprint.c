/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fingerprint.h"

#include <errno.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/iszero.h"

#define GROUP UINT64_C(4096) /* blocks */

struct group {
    struct view *view;
    struct disk *disk;
    uint64_t first, count;
    uint64_t told; /* bytes: extents are known up to here */
    bool zero[GROUP];
    uint8_t digests[GROUP * DIGEST_SIZE];
    uint8_t block[BLOCK_SIZE];
};

/* Blocks that lie in a hole as a whole. */
static int note_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct group *g = context;
    uint64_t end = offset + length == g->disk->size ? g->disk->blocks
                                                    : (offset + length) / BLOCK_SIZE;

    for (uint64_t b = div_up(offset, BLOCK_SIZE); flags && b < end; b++)
        if (b >= g->first && b < g->first + g->count)
            g->zero[b - g->first] = true;
    g->told = offset + length;
    return 0;
}

static int digest_one(struct group *g, uint64_t block, uint8_t digest[DIGEST_SIZE])
{
    uint32_t length = disk_block_length(g->disk, block);
    int r;

    if (g->zero[block - g->first]) {
        memset(g->block, 0, length);
        digest_block(g->block, length, digest);
        return 0;
    }
    r = view_digest(g->view, g->disk, block, digest);
    if (r < 0 || !is_zero(digest, DIGEST_SIZE))
        return r;
    r = view_pread(g->view, g->disk, g->block, length, block * BLOCK_SIZE);
    if (r == 0)
        digest_block(g->block, length, digest);
    return r;
}

static int digest_group(struct group *g, const uint8_t zero[DIGEST_SIZE],
                        uint8_t ret_digest[DIGEST_SIZE])
{
    uint64_t end = MIN((g->first + g->count) * BLOCK_SIZE, g->disk->size);
    int r = 0;

    memset(g->zero, 0, sizeof(g->zero));
    g->told = g->first * BLOCK_SIZE;
    while (r == 0 && g->told < end)
        r = view_extents(g->view, g->disk, end - g->told, g->told, note_extent, g);
    for (uint64_t i = 0; r == 0 && i < g->count; i++) {
        uint8_t *digest = g->digests + i * DIGEST_SIZE;

        if (g->zero[i] && disk_block_length(g->disk, g->first + i) == BLOCK_SIZE)
            memcpy(digest, zero, DIGEST_SIZE);
        else
            r = digest_one(g, g->first + i, digest);
    }
    if (r == 0)
        digest_block(g->digests, g->count * DIGEST_SIZE, ret_digest);
    return r;
}

int fingerprint_view(struct view *v, struct disk *d, const atomic_bool *cancel,
                     uint8_t ret_digest[DIGEST_SIZE])
{
    uint64_t groups = div_up(d->blocks, GROUP);
    _cleanup_free_ struct group *g = calloc(1, sizeof(*g));
    _cleanup_free_ uint8_t *all = calloc(MAX(groups, UINT64_C(1)), DIGEST_SIZE);
    uint8_t zero[DIGEST_SIZE];
    int r = g && all ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    g->view = v;
    g->disk = d;
    digest_block(g->block, BLOCK_SIZE, zero);
    for (uint64_t i = 0; r == 0 && i < groups; i++) {
        g->first = i * GROUP;
        g->count = MIN(GROUP, d->blocks - g->first);
        r = atomic_load(cancel) ? -ECANCELED : digest_group(g, zero, all + i * DIGEST_SIZE);
    }
    if (r == 0)
        digest_block(all, groups * DIGEST_SIZE, ret_digest);
    return r;
}

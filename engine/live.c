/* SPDX-License-Identifier: Apache-2.0 */
/* Layout: a page with the header, the two planes, the masks; each part begins on a page. */
#include "engine/live.h"

#include <string.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "engine/crc32c.h"
#include "engine/format.h"

#define LIVE_MAGIC 0x564c5753u /* "SWLV" */

static uint64_t plane_bytes(uint64_t blocks)
{
    return round_up(div_up(blocks, 64) * 8, META_PAGE);
}

static uint64_t mask_bytes(uint64_t blocks)
{
    return round_up(blocks * 2, META_PAGE);
}

static void encode_header(uint8_t header[META_PAGE], uint64_t blocks, uint64_t epoch,
                          const uint8_t nonce[LIVE_NONCE_SIZE])
{
    memset(header, 0, META_PAGE);
    put_u32(header, LIVE_MAGIC);
    put_u32(header + 8, STORE_FORMAT);
    put_u64(header + 16, blocks);
    put_u64(header + 24, epoch);
    memcpy(header + 32, nonce, LIVE_NONCE_SIZE);
    put_u32(header + 4, crc32c(0, header, META_PAGE));
}

enum live_how { LIVE_THERE, LIVE_NEW, LIVE_NEW_WITH_MASKS };

static int live_map(struct io *io, const char *path, uint64_t blocks, enum live_how how,
                    struct live **ret_live)
{
    struct live *l = calloc(1, sizeof(*l));
    uint8_t *base;
    size_t reserve;
    int r;

    if (!l)
        return -ENOMEM;
    l->io = io;
    l->blocks = blocks;
    l->path = strdup(path);
    l->size = META_PAGE + 2 * plane_bytes(blocks) + mask_bytes(blocks);
    reserve = how == LIVE_THERE ? 0
              : how == LIVE_NEW ? l->size - mask_bytes(blocks)
                                : l->size;
    r = l->path ? io->ops->map(io, path, l->size, reserve, &l->base) : -ENOMEM;
    if (r < 0) {
        l->base = NULL;
        live_free(l);
        return r;
    }
    base = l->base;
    l->planes[0] = (_Atomic uint64_t *)(base + META_PAGE);
    l->planes[1] = (_Atomic uint64_t *)(base + META_PAGE + plane_bytes(blocks));
    l->missing = (_Atomic uint16_t *)(base + META_PAGE + 2 * plane_bytes(blocks));
    *ret_live = l;
    return 0;
}

int live_create(struct io *io, const char *path, uint64_t blocks, uint64_t epoch,
                const uint8_t nonce[LIVE_NONCE_SIZE], bool masks, struct live **ret_live)
{
    int r = live_map(io, path, blocks, masks ? LIVE_NEW_WITH_MASKS : LIVE_NEW, ret_live);

    if (r == 0)
        encode_header((*ret_live)->base, blocks, epoch, nonce);
    return r;
}

int live_open(struct io *io, const char *path, uint64_t blocks, uint64_t epoch,
              const uint8_t nonce[LIVE_NONCE_SIZE], struct live **ret_live)
{
    uint8_t want[META_PAGE];
    struct live *l;
    int r = live_map(io, path, blocks, LIVE_THERE, &l);

    if (r < 0)
        return r;
    encode_header(want, blocks, epoch, nonce);
    if (memcmp(l->base, want, META_PAGE) != 0) {
        live_free(l);
        return -ESTALE;
    }
    *ret_live = l;
    return 0;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    if (l->base)
        l->io->ops->unmap(l->io, l->base, l->size);
    free(l->path);
    free(l);
}

void live_drop_masks(struct live *l)
{
    l->io->ops->map_drop(l->io, (void *)(uintptr_t)l->missing, mask_bytes(l->blocks));
}

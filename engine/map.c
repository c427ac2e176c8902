/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/map.h"

#include "base/align.h"
#include "engine/plant.h"

#define KIND_MAP_MISSING 0x4d4d /* "MM" */

static struct map *map_alloc(struct io *io, uint64_t blocks)
{
    struct map *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->io = io;
    m->fd = -1;
    m->blocks = blocks;
    m->page_count = (uint32_t)div_up(blocks, MAP_PAGE_BLOCKS);
    m->missing = malloc(blocks * sizeof(*m->missing));
    m->dirty = calloc(m->page_count, sizeof(*m->dirty));
    if (!m->missing || !m->dirty) {
        map_free(m);
        return NULL;
    }
    memset(m->missing, 0xff, blocks * sizeof(*m->missing));
    m->missing_blocks = blocks;
    return m;
}

void map_free(struct map *m)
{
    if (!m)
        return;
    if (m->fd >= 0)
        m->io->ops->close(m->io, m->fd);
    pagefile_done(&m->file);
    free(m->missing);
    free(m->dirty);
    free(m);
}

static int map_attach(struct map *m, const char *path, int flags, uint64_t epoch)
{
    int fd = m->io->ops->open(m->io, path, flags);

    if (fd < 0)
        return fd;
    m->fd = fd;
    return pagefile_init(&m->file, m->io, fd, KIND_MAP_MISSING, epoch, 0, m->page_count);
}

int map_create(struct io *io, const char *path, const char *folder, uint64_t epoch,
               uint64_t blocks, struct map **ret_map)
{
    struct map *m = map_alloc(io, blocks);
    int r = m ? map_attach(m, path, IO_CREATE, epoch) : -ENOMEM;

    if (r == 0)
        r = io->ops->truncate(io, m->fd, pagefile_bytes(m->page_count));
    if (r == 0)
        r = io_fdatasync(io, m->fd);
    if (r == 0)
        r = io->ops->sync_dir(io, folder);
    if (r < 0) {
        map_free(m);
        return r;
    }
    *ret_map = m;
    return 0;
}

static int load_page(struct map *m, uint32_t index)
{
    uint8_t payload[PAGE_PAYLOAD];
    uint64_t first = (uint64_t)index * MAP_PAGE_BLOCKS;
    int r = pagefile_read(&m->file, index, payload);

    if (r <= 0)
        return r;
    for (uint64_t i = 0; i < MAP_PAGE_BLOCKS && first + i < m->blocks; i++) {
        m->missing[first + i] = get_u16(payload + 2 * i);
        if (m->missing[first + i] == 0)
            m->missing_blocks--;
    }
    return 0;
}

static int map_load(struct io *io, const char *path, int flags, uint64_t epoch, uint64_t blocks,
                    struct map **ret_map)
{
    struct map *m = map_alloc(io, blocks);
    int r = m ? map_attach(m, path, flags, epoch) : -ENOMEM;

    if (r == 0 && !(flags & IO_RDONLY) && !plant(PLANT_RESTART_NO_SYNC))
        r = io_fdatasync(io, m->fd); /* pages a killed engine wrote: before their pair is next */
    for (uint32_t i = 0; r == 0 && i < m->page_count; i++)
        r = load_page(m, i);
    if (r < 0) {
        map_free(m);
        return r;
    }
    *ret_map = m;
    return 0;
}

int map_open(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
             struct map **ret_map)
{
    return map_load(io, path, 0, epoch, blocks, ret_map);
}

int map_inspect(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                struct map **ret_map)
{
    return map_load(io, path, IO_RDONLY, epoch, blocks, ret_map);
}

void map_clear(struct map *m, uint64_t block, uint16_t bits)
{
    uint16_t old = atomic_fetch_and(&m->missing[block], (uint16_t)~bits);

    if (!(old & bits))
        return;
    if (!(old & ~bits))
        atomic_fetch_sub(&m->missing_blocks, 1);
    atomic_store(&m->dirty[block / MAP_PAGE_BLOCKS], true);
}

uint64_t map_find(const struct map *m, uint64_t from)
{
    while (from < m->blocks && atomic_load_explicit(&m->missing[from], memory_order_relaxed) == 0)
        from++;
    return from;
}

struct map_copy {
    uint32_t index;
    uint8_t payload[PAGE_PAYLOAD];
};

static void copy_page(struct map *m, uint32_t index, struct map_copy *copy)
{
    uint64_t first = (uint64_t)index * MAP_PAGE_BLOCKS;

    memset(copy->payload, 0, sizeof(copy->payload));
    copy->index = index;
    for (uint64_t i = 0; i < MAP_PAGE_BLOCKS && first + i < m->blocks; i++)
        put_u16(copy->payload + 2 * i, atomic_load(&m->missing[first + i]));
}

/* One batch: its pages are copied before the data sync, so they speak only of durable data. */
static int checkpoint_batch(struct map *m, const struct map_copy *copies, uint32_t count,
                            int (*sync_data)(void *), void *context)
{
    int r = plant(PLANT_MAP_NO_TARGET_SYNC) ? 0 : sync_data(context);

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = pagefile_write(&m->file, copies[i].index, copies[i].payload);
    for (uint32_t i = 0; r < 0 && i < count; i++)
        atomic_store(&m->dirty[copies[i].index], true);
    return r;
}

int map_checkpoint(struct map *m, int (*sync_data)(void *), void *context)
{
    enum { BATCH = 256 };
    _cleanup_free_ struct map_copy *copies = malloc(BATCH * sizeof(*copies));
    uint32_t n = 0, written = 0;
    int r = copies ? 0 : -ENOMEM;

    for (uint32_t i = 0; r == 0 && i < m->page_count; i++) {
        if (atomic_exchange(&m->dirty[i], false))
            copy_page(m, i, &copies[n++]);
        if (n == BATCH || (n > 0 && i + 1 == m->page_count)) {
            r = checkpoint_batch(m, copies, n, sync_data, context);
            written += n;
            n = 0;
        }
    }
    return r < 0 || written == 0 ? r : io_fdatasync(m->io, m->fd);
}

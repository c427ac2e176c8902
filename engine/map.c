/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/map.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "engine/lock.h"
#include "engine/plant.h"

/* Its masks are the caller's: or NULL, nothing is missing. */
static struct map *map_alloc_over(struct io *io, uint64_t blocks, _Atomic uint16_t *missing)
{
    struct map *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->io = io;
    m->fd = -1;
    m->blocks = blocks;
    m->page_count = map_pages(blocks);
    m->foreign = true;
    m->missing = missing;
    m->changed = calloc(m->page_count, sizeof(*m->changed));
    m->durable = calloc(m->page_count, sizeof(*m->durable));
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->sync_lock, NULL);
    if (!m->changed || !m->durable) {
        map_free(m);
        return NULL;
    }
    return m;
}

/* Masks of its own, all missing. */
static struct map *map_alloc(struct io *io, uint64_t blocks)
{
    struct map *m = map_alloc_over(io, blocks, NULL);

    if (!m)
        return NULL;
    m->foreign = false;
    m->missing = malloc(blocks * sizeof(*m->missing));
    if (!m->missing) {
        map_free(m);
        return NULL;
    }
    memset((void *)(uintptr_t)m->missing, 0xff, blocks * sizeof(*m->missing));
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
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->sync_lock);
    if (!m->foreign)
        free(m->missing);
    free(m->changed);
    free(m->durable);
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

#define WORD_MASKS 4 /* in 8 bytes */

/* Four blocks from here on of which nothing is missing: the common case, skipped fast. */
static bool is_here_word(const struct map *m, uint64_t block)
{
    const uint64_t *words = (const uint64_t *)(const void *)m->missing;

    return block % WORD_MASKS == 0 && block + WORD_MASKS <= m->blocks &&
           __atomic_load_n(&words[block / WORD_MASKS], __ATOMIC_RELAXED) == 0;
}

static void count_missing(struct map *m)
{
    uint64_t count = 0;

    for (uint64_t b = 0; m->missing && b < m->blocks; b++) {
        if (is_here_word(m, b))
            b += WORD_MASKS - 1;
        else
            count += atomic_load_explicit(&m->missing[b], memory_order_relaxed) != 0;
    }
    m->missing_blocks = count;
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

int map_create_over(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                    uint32_t more, _Atomic uint16_t *missing, uint64_t missing_blocks,
                    struct map **ret_map)
{
    struct map *m = map_alloc_over(io, blocks, missing);
    int r = m ? map_attach(m, path, IO_CREATE, epoch) : -ENOMEM;
    uint64_t bytes = m ? pagefile_bytes(m->page_count + more) : 0;

    if (r == 0)
        r = io->ops->truncate(io, m->fd, bytes);
    /* A flush must not fail for want of space; a file system that cannot reserve is told so. */
    if (r == 0)
        r = io->ops->allocate(io, m->fd, 0, bytes);
    if (r < 0 && r != -EOPNOTSUPP) {
        map_free(m);
        return r;
    }
    m->missing_blocks = missing_blocks;
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
    for (uint64_t i = 0; i < MAP_PAGE_BLOCKS && first + i < m->blocks; i++)
        m->missing[first + i] = get_u16(payload + 2 * i);
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
    count_missing(m);
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

/* Marks the page as changed when what is on disk (or, absent, `began`) is not what is in memory. */
static int compare_page(struct map *m, uint32_t index, const uint16_t *began)
{
    uint8_t payload[PAGE_PAYLOAD];
    uint64_t first = (uint64_t)index * MAP_PAGE_BLOCKS;
    int r = pagefile_read(&m->file, index, payload);

    for (uint64_t i = 0; r >= 0 && i < MAP_PAGE_BLOCKS && first + i < m->blocks; i++) {
        uint16_t disk = r ? get_u16(payload + 2 * i) : began[first + i];

        if (disk != atomic_load(&m->missing[first + i])) {
            map_touch(m, first + i);
            break;
        }
    }
    return r < 0 ? r : 0;
}

int map_open_over(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                  _Atomic uint16_t *missing, const uint16_t *began, struct map **ret_map)
{
    struct map *m = map_alloc_over(io, blocks, missing);
    int r = m ? map_attach(m, path, 0, epoch) : -ENOMEM;

    if (r == 0 && !plant(PLANT_RESTART_NO_SYNC))
        r = io_fdatasync(io, m->fd);
    for (uint32_t i = 0; r == 0 && missing && i < m->page_count; i++)
        r = began ? compare_page(m, i, began) : load_page(m, i);
    if (r < 0) {
        map_free(m);
        return r;
    }
    count_missing(m);
    *ret_map = m;
    return 0;
}

/* Under the lock, so that nobody sees a cleared bit on a page that still counts as durable; and
 * `touched` is set first, so that a checkpoint which begins when the bit can be seen looks here. */
void map_clear(struct map *m, uint64_t block, uint16_t bits)
{
    uint16_t old;

    if (!(atomic_load(&m->missing[block]) & bits))
        return;
    pthread_mutex_lock(&m->lock);
    atomic_store(&m->touched, true);
    old = atomic_fetch_and(&m->missing[block], (uint16_t)~bits);
    if (old & bits)
        m->changed[block / MAP_PAGE_BLOCKS]++;
    if ((old & bits) && !(old & ~bits))
        atomic_fetch_sub(&m->missing_blocks, 1);
    pthread_mutex_unlock(&m->lock);
}

void map_touch(struct map *m, uint64_t block)
{
    pthread_mutex_lock(&m->lock);
    m->changed[block / MAP_PAGE_BLOCKS]++;
    atomic_store(&m->touched, true);
    pthread_mutex_unlock(&m->lock);
}

bool map_is_durable(struct map *m, uint64_t block)
{
    uint32_t page = (uint32_t)(block / MAP_PAGE_BLOCKS);
    bool durable;

    pthread_mutex_lock(&m->lock);
    durable = m->changed[page] == m->durable[page];
    pthread_mutex_unlock(&m->lock);
    return durable;
}

uint64_t map_find(const struct map *m, uint64_t from)
{
    while (from < m->blocks) {
        if (is_here_word(m, from))
            from += WORD_MASKS;
        else if (atomic_load_explicit(&m->missing[from], memory_order_relaxed) == 0)
            from++;
        else
            break;
    }
    return from;
}

/* ---- checkpoint ---- */

int map_sync(struct map *m)
{
    int r;

    HOLD_FOR_SCOPE(&m->sync_lock);
    r = atomic_load(&m->failed) ? -EIO : io_fdatasync(m->io, m->fd);
    if (r < 0)
        atomic_store(&m->failed, true);
    return r;
}

#define BATCH 256

struct map_copy {
    uint32_t index, changed;
    uint8_t payload[PAGE_PAYLOAD];
};

static bool copy_if_changed(struct map *m, uint32_t index, struct map_copy *copy)
{
    uint64_t first = (uint64_t)index * MAP_PAGE_BLOCKS;
    bool changed;

    pthread_mutex_lock(&m->lock);
    changed = m->changed[index] != m->durable[index];
    copy->index = index;
    copy->changed = m->changed[index];
    for (uint64_t i = 0; changed && i < MAP_PAGE_BLOCKS; i++)
        put_u16(copy->payload + 2 * i,
                first + i < m->blocks ? atomic_load(&m->missing[first + i]) : 0);
    pthread_mutex_unlock(&m->lock);
    return changed;
}

/* One batch: its pages are copied before the data sync, so they speak only of durable data. */
static int checkpoint_batch(struct map *m, const struct map_copy *copies, uint32_t count,
                            int (*sync_data)(void *), void *context)
{
    bool late = plant(PLANT_MAP_NO_TARGET_SYNC) || plant(PLANT_FLUSH_MAP_FIRST);
    int r = atomic_load(&m->failed) ? -EIO : late ? 0 : sync_data(context);

    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = pagefile_write(&m->file, copies[i].index, copies[i].payload);
    if (r == 0)
        r = map_sync(m);
    if (r == 0 && plant(PLANT_FLUSH_MAP_FIRST))
        r = sync_data(context);
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        m->durable[copies[i].index] = copies[i].changed;
    pthread_mutex_unlock(&m->lock);
    return r;
}

int map_checkpoint(struct map *m, int (*sync_data)(void *), void *context)
{
    _cleanup_free_ struct map_copy *copies = NULL;
    uint32_t n = 0, written = 0;
    int r = 0;

    if (!atomic_exchange(&m->touched, false))
        return 0;
    copies = malloc(BATCH * sizeof(*copies));
    if (!copies)
        r = -ENOMEM;
    for (uint32_t i = 0; r == 0 && i < m->page_count; i++) {
        n += copy_if_changed(m, i, &copies[n]);
        if (n == BATCH || (n > 0 && i + 1 == m->page_count)) {
            r = checkpoint_batch(m, copies, n, sync_data, context);
            written += n;
            n = 0;
        }
    }
    if (r < 0)
        atomic_store(&m->touched, true);
    return r < 0 ? r : (int)MIN(written, (uint32_t)INT_MAX);
}

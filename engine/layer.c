/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/layer.h"

#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/plant.h"

#define KIND_LAYER_HEADER 0x484c /* "LH" */
#define KIND_LAYER_STATES 0x534c /* "LS" */

/* Header payload: gen u64, disk_size u64, phase u8, compare u8, local u8, push u8, 4 zero bytes,
 * snapshot 64 bytes. */

static char *file_name(const char *stem, const char *suffix)
{
    char *name;

    return asprintf(&name, "%s%s", stem, suffix) < 0 ? NULL : name;
}

static int open_file(struct io *io, const char *stem, const char *suffix, int flags, int *ret_fd)
{
    _cleanup_free_ char *name = file_name(stem, suffix);
    int fd;

    if (!name)
        return -ENOMEM;
    fd = io->ops->open(io, name, flags);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

static struct layer *layer_alloc(struct io *io, const char *stem, uint64_t disk_size)
{
    struct layer *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->io = io;
    l->refs = 1;
    l->data_fd = l->read_fd = l->index_fd = l->digest_fd = -1;
    l->disk_size = disk_size;
    l->blocks = div_up(disk_size, BLOCK_SIZE);
    l->page_count = (uint32_t)div_up(l->blocks, LAYER_PAGE_BLOCKS);
    l->stem = strdup(stem);
    l->pages = calloc(l->page_count, sizeof(*l->pages));
    l->dirty = calloc(l->page_count, sizeof(*l->dirty));
    if (l->stem && l->pages && l->dirty)
        return l;
    layer_unref(l);
    return NULL;
}

/* flags: IO_CREATE, IO_RDONLY, or neither. */
static int layer_open_files(struct layer *l, int flags)
{
    int r = open_file(l->io, l->stem, ".data", flags | IO_DIRECT, &l->data_fd);

    if (r == 0)
        r = open_file(l->io, l->stem, ".data", flags & IO_RDONLY, &l->read_fd);
    if (r == 0)
        r = open_file(l->io, l->stem, ".idx", flags, &l->index_fd);
    if (r == 0)
        r = open_file(l->io, l->stem, ".dig", flags, &l->digest_fd);
    if (r == 0)
        r = pagefile_init(&l->header, l->io, l->index_fd, KIND_LAYER_HEADER, 0, 0, 1);
    if (r == 0)
        r = pagefile_init(&l->states, l->io, l->index_fd, KIND_LAYER_STATES, 0, 1, l->page_count);
    return r;
}

int layer_create(struct io *io, const char *stem, const struct layer_params *params,
                 struct layer **ret_layer)
{
    struct layer *l = layer_alloc(io, stem, params->disk_size);
    int r;

    if (!l)
        return -ENOMEM;
    l->gen = params->gen;
    l->compare = params->compare;
    l->push = params->push;
    l->phase = LAYER_LOADING;
    snprintf(l->snapshot, sizeof(l->snapshot), "%s", params->snapshot);
    r = layer_open_files(l, IO_CREATE);
    if (r == 0)
        r = io->ops->truncate(io, l->data_fd, l->blocks * BLOCK_SIZE);
    if (r == 0)
        r = io->ops->truncate(io, l->index_fd, pagefile_bytes(1 + l->page_count));
    if (r == 0)
        r = io->ops->truncate(io, l->digest_fd, l->blocks * DIGEST_SIZE);
    if (r < 0) {
        layer_unref(l);
        return r;
    }
    *ret_layer = l;
    return 0;
}

static int write_header(struct layer *l, enum layer_phase phase)
{
    uint8_t payload[PAGE_PAYLOAD] = {0};

    put_u64(payload, l->gen);
    put_u64(payload + 8, l->disk_size);
    payload[16] = (uint8_t)phase;
    payload[17] = l->compare;
    payload[18] = l->local;
    payload[19] = l->push;
    memcpy(payload + 24, l->snapshot, SNAPSHOT_ID_MAX);
    return pagefile_write(&l->header, 0, payload);
}

static int write_pages(struct layer *l)
{
    bool unborn = l->header.seq[0] == 0; /* without a header nobody takes the layer up */
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < l->page_count; i++) {
        uint8_t copy[PAGE_PAYLOAD];

        if (!atomic_exchange(&l->dirty[i], false))
            continue;
        memcpy(copy, l->pages[i], PAGE_PAYLOAD);
        r = unborn && l->states.seq[i] == 0 ? pagefile_write_settled(&l->states, i, copy)
                                            : pagefile_write(&l->states, i, copy);
        if (r < 0)
            atomic_store(&l->dirty[i], true);
    }
    return r;
}

/* The header is last: a layer with one is taken up after a crash, so by then its change set and its
 * names must be durable. */
int layer_begin(struct layer *l, const char *folder)
{
    int r = plant(PLANT_BEGIN_HEADER_FIRST) ? write_header(l, LAYER_LOADING) : 0;

    if (r == 0)
        r = write_pages(l);
    if (r == 0)
        r = io_fdatasync(l->io, l->data_fd);
    if (r == 0)
        r = io_fdatasync(l->io, l->digest_fd);
    if (r == 0)
        r = io_fdatasync(l->io, l->index_fd);
    if (r == 0)
        r = pagefile_settle(&l->states);
    if (r == 0)
        r = l->io->ops->sync_dir(l->io, folder);
    if (r == 0)
        r = write_header(l, LAYER_LOADING);
    return r < 0 ? r : io_fdatasync(l->io, l->index_fd);
}

struct page_copy {
    uint32_t index;
    uint8_t payload[PAGE_PAYLOAD];
};

/* Copies are taken before the fdatasync: a block loaded after it must not be in them. */
static uint32_t copy_dirty_pages(struct layer *l, uint32_t *from, struct page_copy *copies,
                                 uint32_t max)
{
    uint32_t n = 0;

    while (*from < l->page_count && n < max) {
        uint32_t i = (*from)++;

        if (!atomic_exchange(&l->dirty[i], false))
            continue;
        copies[n].index = i;
        for (size_t k = 0; k < PAGE_PAYLOAD; k++)
            copies[n].payload[k] = __atomic_load_n(&l->pages[i][k], __ATOMIC_ACQUIRE);
        n++;
    }
    return n;
}

static int sync_data(struct layer *l)
{
    int r = io_fdatasync(l->io, l->data_fd);

    return r < 0 ? r : io_fdatasync(l->io, l->digest_fd);
}

int layer_checkpoint(struct layer *l)
{
    enum { BATCH = 64 };
    _cleanup_free_ struct page_copy *copies = malloc(BATCH * sizeof(*copies));
    uint32_t from = 0, n;
    int r = 0;

    if (!copies)
        return -ENOMEM;
    while (r == 0 && (n = copy_dirty_pages(l, &from, copies, BATCH)) > 0) {
        if (!plant(PLANT_PROGRESS_NO_DATA_SYNC))
            r = sync_data(l);
        for (uint32_t i = 0; r == 0 && i < n; i++)
            r = pagefile_write(&l->states, copies[i].index, copies[i].payload);
        for (uint32_t i = 0; r < 0 && i < n; i++)
            atomic_store(&l->dirty[copies[i].index], true);
    }
    return r < 0 ? r : io_fdatasync(l->io, l->index_fd);
}

static void count_data(struct layer *l)
{
    uint64_t counts[4];

    layer_count(l, counts);
    l->data_bytes = counts[BLOCK_DATA] * BLOCK_SIZE;
}

static int seal(struct layer *l, enum layer_phase phase)
{
    int r = plant(PLANT_SEAL_NO_DATA_SYNC) ? 0 : sync_data(l);

    if (r == 0)
        r = write_pages(l);
    if (r == 0 && !plant(PLANT_SEAL_NO_INDEX_SYNC))
        r = io_fdatasync(l->io, l->index_fd);
    if (r == 0 && !plant(PLANT_SEAL_NO_INDEX_SYNC))
        r = pagefile_settle(&l->states);
    if (r == 0)
        r = write_header(l, phase);
    if (r == 0 && !plant(PLANT_SEAL_NO_INDEX_SYNC))
        r = io_fdatasync(l->io, l->index_fd);
    if (r == 0 && !plant(PLANT_SEAL_NO_INDEX_SYNC))
        r = pagefile_settle(&l->header);
    if (r == 0)
        l->phase = phase;
    if (r == 0)
        count_data(l);
    return r;
}

int layer_seal(struct layer *l)
{
    return seal(l, LAYER_SEALED);
}

int layer_seal_partial(struct layer *l, const char *snapshot)
{
    snprintf(l->snapshot, sizeof(l->snapshot), "%s", snapshot);
    return seal(l, LAYER_PARTIAL);
}

void layer_dirty_all(struct layer *l)
{
    for (uint32_t i = 0; i < l->page_count; i++)
        if (atomic_load(&l->pages[i]))
            atomic_store(&l->dirty[i], true);
}

static int read_header(struct layer *l)
{
    uint8_t payload[PAGE_PAYLOAD];
    int r = pagefile_read(&l->header, 0, payload);

    if (r <= 0)
        return r < 0 ? r : -EBADMSG;
    l->gen = get_u64(payload);
    l->phase = payload[16];
    l->compare = payload[17] != 0;
    l->local = payload[18] != 0;
    l->push = payload[19] != 0;
    memcpy(l->snapshot, payload + 24, SNAPSHOT_ID_MAX);
    if (get_u64(payload + 8) != l->disk_size)
        return -EBADMSG;
    return l->phase >= LAYER_LOADING && l->phase <= LAYER_PARTIAL ? 0 : -EBADMSG;
}

static int read_pages(struct layer *l)
{
    for (uint32_t i = 0; i < l->page_count; i++) {
        uint8_t payload[PAGE_PAYLOAD];
        int r = pagefile_read(&l->states, i, payload);

        if (r < 0)
            return r;
        if (r == 0)
            continue;
        l->pages[i] = malloc(PAGE_PAYLOAD);
        if (!l->pages[i])
            return -ENOMEM;
        memcpy(l->pages[i], payload, PAGE_PAYLOAD);
    }
    return 0;
}

static int layer_load(struct io *io, const char *stem, uint64_t disk_size, int flags,
                      struct layer **ret_layer)
{
    struct layer *l = layer_alloc(io, stem, disk_size);
    int r;

    if (!l)
        return -ENOMEM;
    r = layer_open_files(l, flags);
    if (r == 0 && !(flags & IO_RDONLY) && !plant(PLANT_RESTART_NO_SYNC))
        r = io_fdatasync(io, l->index_fd); /* as in map_open() */
    if (r == 0)
        r = read_header(l);
    if (r == 0)
        r = read_pages(l);
    if (r == 0)
        count_data(l);
    if (r == 0 && l->phase == LAYER_SEALED &&
        layer_find(l, 0, 1u << BLOCK_PENDING) < l->blocks)
        r = -EBADMSG;
    if (r < 0) {
        layer_unref(l);
        return r;
    }
    *ret_layer = l;
    return 0;
}

int layer_open(struct io *io, const char *stem, uint64_t disk_size, struct layer **ret_layer)
{
    return layer_load(io, stem, disk_size, 0, ret_layer);
}

int layer_inspect(struct io *io, const char *stem, uint64_t disk_size, struct layer **ret_layer)
{
    return layer_load(io, stem, disk_size, IO_RDONLY, ret_layer);
}

struct layer *layer_ref(struct layer *l)
{
    atomic_fetch_add(&l->refs, 1);
    return l;
}

void layer_unref(struct layer *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    int *fds[] = {&l->data_fd, &l->read_fd, &l->index_fd, &l->digest_fd};
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (*fds[i] >= 0)
            l->io->ops->close(l->io, *fds[i]);
    for (uint32_t i = 0; l->pages && i < l->page_count; i++)
        free(l->pages[i]);
    pagefile_done(&l->header);
    pagefile_done(&l->states);
    free(l->pages);
    free(l->dirty);
    free(l->stem);
    free(l);
}

static const char *const suffixes[] = {".idx", ".data", ".dig"};

int layer_unlink(struct io *io, const char *stem)
{
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        _cleanup_free_ char *name = file_name(stem, suffixes[i]);
        int r = name ? io->ops->unlink(io, name) : -ENOMEM;

        if (r < 0 && r != -ENOENT)
            result = r;
    }
    return result;
}

static int rename_file(struct io *io, const char *from_stem, const char *to_stem,
                       const char *suffix)
{
    _cleanup_free_ char *from = file_name(from_stem, suffix);
    _cleanup_free_ char *to = file_name(to_stem, suffix);

    return from && to ? io->ops->rename(io, from, to) : -ENOMEM;
}

int layer_rename(struct layer *l, const char *stem, uint64_t gen, const char *snapshot)
{
    char *copy = strdup(stem);
    int r = copy ? 0 : -ENOMEM;
    size_t done = 0;

    while (r == 0 && done < ARRAY_SIZE(suffixes)) {
        r = rename_file(l->io, l->stem, stem, suffixes[done]);
        done += r == 0;
    }
    if (r < 0) {
        while (done-- > 0)
            rename_file(l->io, stem, l->stem, suffixes[done]);
        free(copy);
        return r;
    }
    free(l->stem);
    l->stem = copy;
    l->gen = gen;
    snprintf(l->snapshot, sizeof(l->snapshot), "%s", snapshot);
    return 0;
}

enum block_state layer_state(const struct layer *l, uint64_t block)
{
    const uint8_t *page = atomic_load_explicit(&l->pages[block / LAYER_PAGE_BLOCKS],
                                               memory_order_acquire);
    uint64_t i = block % LAYER_PAGE_BLOCKS;

    return page ? __atomic_load_n(&page[i / 4], __ATOMIC_ACQUIRE) >> (i % 4 * 2) & 3
                : BLOCK_UNCHANGED;
}

static uint8_t *page_get(struct layer *l, uint32_t index)
{
    uint8_t *page = atomic_load(&l->pages[index]), *fresh;

    if (page)
        return page;
    fresh = calloc(1, PAGE_PAYLOAD);
    if (fresh && !atomic_compare_exchange_strong(&l->pages[index], &page, fresh)) {
        free(fresh);
        return page;
    }
    return fresh;
}

int layer_set_state(struct layer *l, uint64_t block, enum block_state state)
{
    uint32_t index = (uint32_t)(block / LAYER_PAGE_BLOCKS);
    uint64_t i = block % LAYER_PAGE_BLOCKS;
    unsigned shift = (unsigned)(i % 4 * 2);
    uint8_t *page = page_get(l, index), old, next;

    if (!page)
        return -ENOMEM;
    old = __atomic_load_n(&page[i / 4], __ATOMIC_RELAXED);
    do {
        next = (uint8_t)((old & ~(3u << shift)) | (unsigned)state << shift);
    } while (!__atomic_compare_exchange_n(&page[i / 4], &old, next, true, __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
    atomic_store(&l->dirty[index], true);
    return 0;
}

#define WORD_BLOCKS 32 /* states in 8 bytes */

/* 32 unchanged blocks beginning with the i-th of a page: the common case, skipped fast. */
static bool is_unchanged_word(const uint8_t *page, uint64_t i)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    return __atomic_load_n(&words[i / WORD_BLOCKS], __ATOMIC_ACQUIRE) == 0;
}

uint64_t layer_find(const struct layer *l, uint64_t from, unsigned state_set)
{
    uint64_t b = from;

    while (b < l->blocks) {
        uint64_t i = b % LAYER_PAGE_BLOCKS;
        const uint8_t *page = atomic_load_explicit(&l->pages[b / LAYER_PAGE_BLOCKS],
                                                   memory_order_acquire);

        if (!page && !(state_set & 1)) {
            b += LAYER_PAGE_BLOCKS - i;
        } else if (page && i % WORD_BLOCKS == 0 && !(state_set & 1) &&
                   is_unchanged_word(page, i)) {
            b += WORD_BLOCKS;
        } else if (state_set & 1u << layer_state(l, b)) {
            return b;
        } else {
            b++;
        }
    }
    return l->blocks;
}

void layer_count(const struct layer *l, uint64_t counts[4])
{
    memset(counts, 0, 4 * sizeof(*counts));
    for (uint64_t b = layer_find(l, 0, LAYER_IN_SET); b < l->blocks;
         b = layer_find(l, b + 1, LAYER_IN_SET))
        counts[layer_state(l, b)]++;
    counts[BLOCK_UNCHANGED] =
        l->blocks - counts[BLOCK_PENDING] - counts[BLOCK_DATA] - counts[BLOCK_ZERO];
}

int layer_write_digests(struct layer *l, uint64_t block, const uint8_t *digests, size_t count)
{
    return io_write(l->io, l->digest_fd, digests, count * DIGEST_SIZE, block * DIGEST_SIZE, false);
}

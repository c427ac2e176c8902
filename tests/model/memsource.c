/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/memsource.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"

#define GRAIN UINT64_C(4096)

const uint64_t mem_sizes[MEM_DISKS] = {5 * 65536 + 3 * 512, 2 * 65536 + 4096 + 512};

static struct memsource *current;

struct memsource *memsource_new(uint64_t seed)
{
    struct memsource *m = mem_new(1, sizeof(*m));

    m->random.state = seed;
    for (unsigned d = 0; d < MEM_DISKS; d++)
        m->live[d] = mem_new(1, mem_sizes[d]);
    current = m;
    return m;
}

void memsource_free(struct memsource *m)
{
    for (unsigned p = 0; p < m->point_count; p++)
        for (unsigned d = 0; d < MEM_DISKS; d++)
            free(m->points[p][d]);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        free(m->live[d]);
    free(m);
    current = NULL;
}

void memsource_write(struct memsource *m, uint64_t seed)
{
    struct random r = {seed};

    for (unsigned n = 1 + random_below(&r, 4); n > 0; n--) {
        unsigned d = random_below(&r, MEM_DISKS);
        uint32_t sectors = (uint32_t)(mem_sizes[d] / 512);
        uint32_t first = random_below(&r, sectors);
        uint32_t count = 1 + random_below(&r, random_once_in(&r, 2) ? 8 : 256);
        bool zero = random_once_in(&r, 4);

        count = MIN(count, sectors - first);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t *words = (uint64_t *)(m->live[d] + (first + i) * UINT64_C(512));
            uint64_t value = zero ? 0 : random_next(&r);

            for (unsigned k = 0; k < 64; k++)
                words[k] = value;
        }
    }
}

unsigned memsource_point(struct memsource *m)
{
    unsigned p = m->point_count++;

    if (p >= MEM_POINTS)
        abort();
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        m->points[p][d] = mem_new(1, mem_sizes[d]);
        memcpy(m->points[p][d], m->live[d], mem_sizes[d]);
    }
    return p;
}

/* ---- the reader ---- */

struct mem_read {
    struct mem_read *next;
    struct reader_op *op;
    void *data;
    uint64_t offset;
    uint32_t length;
};

struct mem_reader {
    struct reader reader;
    unsigned disk;
    const uint8_t *bytes, *since; /* since NULL: no bitmap */
    struct mem_read *reads;
};

static void mem_close(struct reader *reader)
{
    struct mem_reader *m = (struct mem_reader *)reader;

    while (m->reads) {
        struct mem_read *next = m->reads->next;

        free(m->reads);
        m->reads = next;
    }
    free(m);
}

static uint64_t mem_size(struct reader *reader)
{
    return mem_sizes[((struct mem_reader *)reader)->disk] - (current->shrunk ? 512 : 0);
}

static unsigned grain_flags(const struct mem_reader *m, unsigned what, uint64_t at,
                            uint64_t length)
{
    if (what == EXTENT_ZERO)
        return is_zero(m->bytes + at, length) ? EXTENT_ZERO : 0;
    if (memcmp(m->bytes + at, m->since + at, length) != 0)
        return EXTENT_DIRTY;
    return random_once_in(&current->random, 64) ? EXTENT_DIRTY : 0;
}

static int mem_extents(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                       struct error **err)
{
    struct mem_reader *m = (struct mem_reader *)reader;
    uint64_t size = mem_sizes[m->disk], start = 0;
    unsigned flags = 0;
    int r = 0;

    if (what == EXTENT_ZERO && current->no_allocation)
        return 0;
    for (uint64_t at = 0; r == 0 && at < size; at += GRAIN) {
        unsigned here = grain_flags(m, what, at, MIN(GRAIN, size - at));

        if (at > start && here != flags) {
            r = fn(start, at - start, flags, context);
            start = at;
        }
        flags = here;
    }
    if (r == 0)
        r = fn(start, size - start, flags, context);
    return r < 0 ? error_set_errno(err, -r, "the extents of disk %u were not taken", m->disk) : 0;
}

static bool mem_has_allocation(struct reader *reader)
{
    return !current->no_allocation;
}

static int mem_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                    struct reader_op *op)
{
    struct mem_reader *m = (struct mem_reader *)reader;
    struct mem_read *r = mem_new(1, sizeof(*r));

    *r = (struct mem_read){m->reads, op, data, offset, length};
    m->reads = r;
    return 0;
}

static void finish(struct mem_reader *m, struct mem_read **at)
{
    struct mem_read *r = *at;
    int error = 0;

    *at = r->next;
    if (current->fail_read_at && --current->fail_read_at == 0)
        error = EIO;
    else
        memcpy(r->data, m->bytes + r->offset, r->length);
    current->read_bytes += r->length;
    if (!error && current->on_read)
        current->on_read(m->disk, r->offset, r->length, current->context);
    r->op->done(r->op, error);
    free(r);
}

/* Some of the reads, in any order. */
static int mem_pump(struct reader *reader)
{
    struct mem_reader *m = (struct mem_reader *)reader;
    struct mem_read **at = &m->reads;

    while (*at)
        if (random_once_in(&current->random, 2))
            finish(m, at);
        else
            at = &(*at)->next;
    return 0;
}

static int mem_poll_fd(struct reader *reader, short *ret_events)
{
    return -1;
}

static const char *mem_failure(struct reader *reader)
{
    return "the source in memory was told to fail";
}

static const struct reader_ops mem_ops = {
    .close = mem_close,
    .size = mem_size,
    .extents = mem_extents,
    .has_allocation = mem_has_allocation,
    .read = mem_read,
    .pump = mem_pump,
    .poll_fd = mem_poll_fd,
    .failure = mem_failure,
};

static int mem_open(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                    bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                    struct error **err)
{
    struct mem_reader *m;
    unsigned point, disk, since = 0;

    if (!current || sscanf(uri, "mem:%u/%u", &point, &disk) != 2 ||
        point >= current->point_count || disk >= MEM_DISKS)
        return error_set(err, ECONNREFUSED, "there is no %s", uri);
    if (bitmap && (sscanf(bitmap, "since:%u", &since) != 1 || since > point))
        return error_set(err, ENOENT, "%s has no bitmap %s", uri, bitmap);
    m = mem_new(1, sizeof(*m));
    m->reader.ops = &mem_ops;
    m->disk = disk;
    m->bytes = current->points[point][disk];
    m->since = bitmap ? current->points[since][disk] : NULL;
    *ret_reader = &m->reader;
    return 0;
}

const struct reader_factory memsource_readers = {.open = mem_open};

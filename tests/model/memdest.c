/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/memdest.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static struct memdest *current;

struct memdest *memdest_new(uint64_t seed)
{
    struct memdest *m = mem_new(1, sizeof(*m));

    m->random.state = seed;
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        m->bytes[d] = mem_new(1, mem_sizes[d]);
        m->durable[d] = mem_new(1, mem_sizes[d]);
    }
    current = m;
    return m;
}

void memdest_free(struct memdest *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        free(m->bytes[d]);
        free(m->durable[d]);
    }
    free(m);
    current = NULL;
}

void memdest_put(struct memdest *m, unsigned disk, const uint8_t *bytes)
{
    memcpy(m->bytes[disk], bytes, mem_sizes[disk]);
    memcpy(m->durable[disk], bytes, mem_sizes[disk]);
}

void memdest_crash(struct memdest *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        for (uint64_t at = 0; at < mem_sizes[d]; at += 512) {
            if (random_once_in(&m->random, 2))
                memcpy(m->durable[d] + at, m->bytes[d] + at, 512);
            memcpy(m->bytes[d] + at, m->durable[d] + at, 512);
        }
}

/* ---- the writer ---- */

enum what { WRITE, READ, FLUSH };

struct mem_op {
    struct mem_op *next;
    enum what what;
    struct writer_op *op;
    struct reader_op *read_op; /* of the reader */
    void *data;                /* of a write: NULL for zeros */
    uint64_t offset;
    uint32_t length;
    uint8_t *image;            /* of a flush: what it makes durable */
};

struct mem_writer {
    struct writer writer;
    struct reader reader;
    bool is_reader;
    unsigned disk;
    struct mem_op *ops;
};

static struct mem_writer *writer_of(struct writer *w)
{
    return (struct mem_writer *)w;
}

static struct mem_writer *reader_of(struct reader *r)
{
    return (struct mem_writer *)((char *)r - offsetof(struct mem_writer, reader));
}

static void end(struct mem_writer *w)
{
    current->writers -= !w->is_reader;
    while (w->ops) {
        struct mem_op *next = w->ops->next;

        free(w->ops->image);
        free(w->ops);
        w->ops = next;
    }
    free(w);
}

static void mem_close(struct writer *writer)
{
    end(writer_of(writer));
}

static uint64_t mem_size(struct writer *writer)
{
    return mem_sizes[writer_of(writer)->disk];
}

static uint32_t mem_max_request(struct writer *writer)
{
    return 1 << 20;
}

static int add(struct mem_writer *w, struct mem_op op)
{
    struct mem_op *o = mem_new(1, sizeof(*o));

    *o = op;
    o->next = w->ops;
    w->ops = o;
    return 0;
}

static int mem_write(struct writer *writer, const void *data, uint32_t length, uint64_t offset,
                     struct writer_op *op)
{
    return add(writer_of(writer), (struct mem_op){.what = WRITE, .op = op, .length = length,
                                                  .data = (void *)(uintptr_t)data,
                                                  .offset = offset});
}

static int mem_zero(struct writer *writer, uint32_t length, uint64_t offset, struct writer_op *op)
{
    if (current->no_zero)
        return -EOPNOTSUPP;
    return add(writer_of(writer), (struct mem_op){.what = WRITE, .op = op, .length = length,
                                                  .offset = offset});
}

static int mem_read(struct writer *writer, void *data, uint32_t length, uint64_t offset,
                    struct writer_op *op)
{
    return add(writer_of(writer), (struct mem_op){.what = READ, .op = op, .length = length,
                                                  .data = data, .offset = offset});
}

/* Covers what had ended when it began. */
static int mem_flush(struct writer *writer, struct writer_op *op)
{
    struct mem_writer *w = writer_of(writer);
    uint8_t *image = mem_new(1, mem_sizes[w->disk]);

    memcpy(image, current->bytes[w->disk], mem_sizes[w->disk]);
    return add(w, (struct mem_op){.what = FLUSH, .op = op, .image = image});
}

static void carry_out(struct mem_writer *w, const struct mem_op *o)
{
    uint8_t *at = current->bytes[w->disk] + o->offset;

    if (o->what == READ) {
        memcpy(o->data, at, o->length);
        if (current->lies)
            *(uint8_t *)o->data ^= 1;
    } else if (o->what == FLUSH) {
        memcpy(current->durable[w->disk], o->image, mem_sizes[w->disk]);
    } else if (o->data) {
        memcpy(at, o->data, o->length);
        current->written_bytes += o->length;
    } else {
        memset(at, 0, o->length);
        current->zeroed_bytes += o->length;
    }
}

static void finish(struct mem_writer *w, struct mem_op **at)
{
    struct mem_op *o = *at;
    bool failed = current->fail_at && --current->fail_at == 0;

    *at = o->next;
    if (!failed)
        carry_out(w, o);
    if (o->read_op)
        o->read_op->done(o->read_op, failed ? EIO : 0);
    else
        o->op->done(o->op, failed ? EIO : 0);
    free(o->image);
    free(o);
}

/* Some of the operations, in any order. */
static int pump(struct mem_writer *w)
{
    struct mem_op **at = &w->ops;

    if (current->lost)
        return -ECONNRESET;
    while (*at)
        if (random_once_in(&current->random, 2))
            finish(w, at);
        else
            at = &(*at)->next;
    return 0;
}

static int mem_pump(struct writer *writer)
{
    return pump(writer_of(writer));
}

static int mem_poll_fd(struct writer *writer, short *ret_events)
{
    return -1;
}

static const char *mem_failure(struct writer *writer)
{
    return "the destination in memory was told to fail";
}

static const struct writer_ops writer_ops = {
    .close = mem_close,
    .size = mem_size,
    .max_request = mem_max_request,
    .write = mem_write,
    .zero = mem_zero,
    .read = mem_read,
    .flush = mem_flush,
    .pump = mem_pump,
    .poll_fd = mem_poll_fd,
    .failure = mem_failure,
};

static int find(const char *uri, unsigned *ret_disk, struct error **err)
{
    if (sscanf(uri, "dest:%u", ret_disk) != 1 || *ret_disk >= MEM_DISKS || current->lost)
        return error_set(err, ECONNREFUSED, "there is no %s", uri);
    return 0;
}

static int mem_open(const char *uri, uint64_t timeout_ns, bool (*cancelled)(void *),
                    void *context, struct writer **ret_writer, struct error **err)
{
    struct mem_writer *w;
    unsigned disk;

    if (find(uri, &disk, err) < 0)
        return -ECONNREFUSED;
    if (current->read_only)
        return error_set(err, EROFS, "%s is read-only", uri);
    w = mem_new(1, sizeof(*w));
    w->writer.ops = &writer_ops;
    w->disk = disk;
    current->writers++;
    *ret_writer = &w->writer;
    return 0;
}

const struct writer_factory memdest_writers = {.open = mem_open};

/* ---- the reader ---- */

static void read_close(struct reader *reader)
{
    end(reader_of(reader));
}

static uint64_t read_size(struct reader *reader)
{
    return mem_sizes[reader_of(reader)->disk];
}

static int read_extents(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                        struct error **err)
{
    const struct mem_writer *w = reader_of(reader);
    unsigned dirty = what == EXTENT_DIRTY && current->changed[w->disk] ? EXTENT_DIRTY : 0;

    fn(0, 4096, dirty, context);
    return fn(4096, mem_sizes[w->disk] - 4096, 0, context);
}

static bool read_has_allocation(struct reader *reader)
{
    return false;
}

static int read_read(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                     struct reader_op *op)
{
    return add(reader_of(reader), (struct mem_op){.what = READ, .read_op = op, .length = length,
                                                  .data = data, .offset = offset});
}

static int read_pump(struct reader *reader)
{
    return pump(reader_of(reader));
}

static int read_poll_fd(struct reader *reader, short *ret_events)
{
    return -1;
}

static const char *read_failure(struct reader *reader)
{
    return mem_failure(NULL);
}

static const struct reader_ops reader_ops = {
    .close = read_close,
    .size = read_size,
    .extents = read_extents,
    .has_allocation = read_has_allocation,
    .read = read_read,
    .pump = read_pump,
    .poll_fd = read_poll_fd,
    .failure = read_failure,
};

static int read_open(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                     bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                     struct error **err)
{
    struct mem_writer *w;
    unsigned disk;

    if (!str_starts(uri, "dest:"))
        return memsource_readers.open(uri, bitmap, allocation, timeout_ns, cancelled, context,
                                      ret_reader, err);
    if (find(uri, &disk, err) < 0)
        return -ECONNREFUSED;
    if (bitmap && strcmp(bitmap, "changed") != 0)
        return error_set(err, ENODATA, "%s does not offer the bitmap '%s'", uri, bitmap);
    w = mem_new(1, sizeof(*w));
    w->reader.ops = &reader_ops;
    w->is_reader = true;
    w->disk = disk;
    *ret_reader = &w->reader;
    return 0;
}

const struct reader_factory memdest_readers = {.open = read_open};

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"

#define SCAN_CHUNK (UINT32_C(1) << 20)
#define SCAN_DEPTH 8
#define WAIT_MS 200

enum buf_state { BUF_FREE, BUF_HELD, BUF_READING, BUF_READY };

struct scan_buf {
    struct reader_op op;
    enum buf_state state; /* held: the limit of the source keeps it back */
    int error;            /* positive errno */
    uint8_t *data;
    uint64_t block;
    uint32_t length;      /* bytes */
};

struct scanner {
    struct scan *scan;
    uint8_t *zero;        /* a bit per block that the source says is zero */
    uint64_t cursor;
    uint64_t seen_bytes;
    uint64_t limit_ns;    /* how long the limit asks to wait; 0: it does not */
    struct scan_buf bufs[SCAN_DEPTH];
    uint8_t *memory;
};

static int remember_zero(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct scanner *s = context;
    const struct disk *d = s->scan->disk;
    uint64_t end = offset + length == d->size ? d->blocks : (offset + length) / BLOCK_SIZE;

    for (uint64_t b = div_up(offset, BLOCK_SIZE); (flags & EXTENT_ZERO) && b < end; b++)
        s->zero[b / 8] |= (uint8_t)(1u << b % 8);
    return 0;
}

static bool is_known_zero(const struct scanner *s, uint64_t block)
{
    return s->zero[block / 8] & 1u << block % 8;
}

static void read_done(struct reader_op *op, int error)
{
    struct scan_buf *b = (struct scan_buf *)op;

    b->error = error;
    b->state = BUF_READY;
}

static int source_failed(const struct scanner *s, int code, struct error **err)
{
    const char *text = s->scan->reader->ops->failure(s->scan->reader);

    return error_set(err, code, "reading the source of disk %s failed (%s)", s->scan->disk->name,
                     text && *text ? text : strerror(code));
}

static int judge(struct scanner *s, const struct scan_buf *b, struct error **err)
{
    for (uint32_t at = 0; at < b->length; at += BLOCK_SIZE) {
        uint32_t length = MIN((uint32_t)BLOCK_SIZE, b->length - at);
        int r = s->scan->judge(s->scan->context, b->block + at / BLOCK_SIZE, b->data + at, length);

        if (r < 0)
            return error_set_errno(err, -r, "disk %s cannot be compared with its source",
                                   s->scan->disk->name);
    }
    s->seen_bytes += b->length;
    return 0;
}

/* The next run of wanted blocks that are all known to be zero, or all to be read. */
static bool next_run(struct scanner *s, struct scan_buf *b, bool *ret_zero)
{
    struct scan *q = s->scan;
    uint64_t block = q->next(q->context, s->cursor), end = block + 1;
    uint32_t chunk = limit_chunk(q->limits, q->disk->index, LIMIT_SOURCE, SCAN_CHUNK);

    s->cursor = block;
    if (block >= q->disk->blocks)
        return false;
    *ret_zero = is_known_zero(s, block);
    while (end < q->disk->blocks && (end - block) * BLOCK_SIZE < chunk &&
           is_known_zero(s, end) == *ret_zero && q->next(q->context, end) == end)
        end++;
    s->cursor = end;
    b->block = block;
    b->length = (uint32_t)(MIN(end * BLOCK_SIZE, q->disk->size) - block * BLOCK_SIZE);
    return true;
}

static int start_read(struct scanner *s, struct scan_buf *b, struct error **err)
{
    struct scan *q = s->scan;
    int r;

    b->state = BUF_HELD;
    s->limit_ns = limit_take(q->limits, q->disk->index, LIMIT_SOURCE, b->length);
    if (s->limit_ns > 0)
        return 0;
    b->state = BUF_READING;
    r = q->reader->ops->read(q->reader, b->data, b->length, b->block * BLOCK_SIZE, &b->op);
    return r < 0 ? source_failed(s, -r, err) : 0;
}

static int fill(struct scanner *s, struct error **err)
{
    int r = 0;

    s->limit_ns = 0;
    for (unsigned i = 0; r == 0 && s->limit_ns == 0 && i < SCAN_DEPTH; i++) {
        struct scan_buf *b = &s->bufs[i];
        bool zero = false;

        if (b->state > BUF_HELD || (b->state == BUF_FREE && !next_run(s, b, &zero)))
            continue;
        if (!zero) {
            r = start_read(s, b, err);
            continue;
        }
        memset(b->data, 0, b->length);
        r = judge(s, b, err);
    }
    return r;
}

static int settle(struct scanner *s, struct error **err)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < SCAN_DEPTH; i++) {
        struct scan_buf *b = &s->bufs[i];

        if (b->state != BUF_READY)
            continue;
        b->state = BUF_FREE;
        r = b->error ? source_failed(s, b->error, err) : judge(s, b, err);
    }
    return r;
}

static unsigned count_state(const struct scanner *s, enum buf_state state)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SCAN_DEPTH; i++)
        count += s->bufs[i].state == state;
    return count;
}

/* Waits for bytes of the source, or until its limit lets the next read go. */
static int pump(struct scanner *s, struct error **err)
{
    struct reader *reader = s->scan->reader;
    int timeout_ms = s->limit_ns ? (int)div_up(s->limit_ns, NS_PER_MS) : WAIT_MS;
    struct pollfd p = {.fd = -1};

    if (count_state(s, BUF_READING) > 0) {
        int r = reader->ops->pump(reader);

        if (r < 0)
            return source_failed(s, -r, err);
    }
    if (count_state(s, BUF_READY) > 0)
        return 0;
    if (count_state(s, BUF_READING) > 0)
        p.fd = reader->ops->poll_fd(reader, &p.events);
    if (p.fd >= 0 || (s->limit_ns > 0 && count_state(s, BUF_READING) == 0))
        poll(&p, 1, timeout_ms);
    return 0;
}

static int run(struct scanner *s, struct error **err)
{
    struct scan *q = s->scan;
    int r = q->reader->ops->extents(q->reader, EXTENT_ZERO, remember_zero, s, err);

    while (r == 0 && (s->cursor < q->disk->blocks || count_state(s, BUF_FREE) < SCAN_DEPTH)) {
        r = q->go_on(q->context, s->seen_bytes, err);
        if (r == 0)
            r = fill(s, err);
        if (r == 0)
            r = pump(s, err);
        if (r == 0)
            r = settle(s, err);
    }
    return r;
}

int scan_run(struct scan *scan, struct error **err)
{
    struct scanner s = {.scan = scan};
    int r;

    s.zero = calloc(div_up(scan->disk->blocks, 8), 1);
    s.memory = malloc(SCAN_DEPTH * (size_t)SCAN_CHUNK);
    for (unsigned i = 0; i < SCAN_DEPTH; i++)
        s.bufs[i] = (struct scan_buf){.op.done = read_done,
                                      .data = s.memory + i * (size_t)SCAN_CHUNK};
    r = s.zero && s.memory ? run(&s, err)
                           : error_set_errno(err, ENOMEM, "cannot read disk %s", scan->disk->name);
    reader_close(scan->reader); /* before the buffers its reads point to */
    scan->reader = NULL;
    free(s.zero);
    free(s.memory);
    return r;
}

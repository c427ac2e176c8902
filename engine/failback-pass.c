/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/failback-pass.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/iszero.h"
#include "engine/digest.h"
#include "engine/hydrate.h"
#include "engine/plant.h"
#include "engine/vm.h"

#define WAIT_MS 250
#define CHUNK_BLOCKS (PASS_CHUNK / BLOCK_SIZE)

struct pass_buf {
    struct writer_op op;
    struct failback_pass *pass;
    bool busy;
    uint8_t *data;
    uint32_t first, count; /* of pass->sent */
    uint32_t length;       /* bytes */
};

struct failback_pass {
    struct owner *owner;
    struct writer *writer;
    struct pass_status status;
    unsigned plane;
    bool switched;     /* the plane that was current at the beginning has been taken */
    uint64_t cursor;   /* next block to look at */
    uint64_t wait_ns;  /* a limit asks to wait that long */

    uint32_t window;   /* room in the next two */
    uint64_t *sent;    /* blocks of this window, ascending */
    uint8_t (*digests)[DIGEST_SIZE];
    uint32_t sent_count, check_cursor;

    struct pass_buf bufs[PASS_DEPTH];
    uint8_t *memory;
    unsigned busy;
    struct writer_op flush_op;
    bool flushing;
    int error;         /* of an operation that ended: positive errno */
    uint64_t error_offset;
    bool differs;      /* the error is that other bytes came back than were sent */
};

int failback_pass_new(const struct pass_options *options, struct failback_pass **ret_pass)
{
    struct failback_pass *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->owner = options->owner;
    p->writer = options->writer;
    p->window = options->window_blocks ? options->window_blocks : PASS_WINDOW_DEFAULT;
    p->sent = calloc(p->window, sizeof(*p->sent));
    p->digests = calloc(p->window, sizeof(*p->digests));
    p->memory = aligned_alloc(META_PAGE, PASS_DEPTH * PASS_CHUNK);
    if (!p->sent || !p->digests || !p->memory) {
        failback_pass_free(p);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < PASS_DEPTH; i++) {
        p->bufs[i].pass = p;
        p->bufs[i].data = p->memory + i * PASS_CHUNK;
    }
    *ret_pass = p;
    return 0;
}

void failback_pass_free(struct failback_pass *p)
{
    if (!p)
        return;
    free(p->sent);
    free(p->digests);
    free(p->memory);
    free(p);
}

struct pass_status failback_pass_status(const struct failback_pass *p)
{
    return p->status;
}

static struct disk *disk_of(const struct failback_pass *p)
{
    return p->owner->disk;
}

static int destination_failed(struct failback_pass *p, int code, struct error **err)
{
    const char *text = p->writer->ops->failure(p->writer);

    return error_set(err, code, "the destination of disk %s failed (%s); what was not confirmed is "
                                "sent again by the next pass", disk_of(p)->name,
                     text && *text ? text : strerror(code));
}

static int local_failed(struct failback_pass *p, int r, const char *what, struct error **err)
{
    return error_set_errno(err, -r, "disk %s: cannot %s; what was not sent is sent by the next "
                                    "pass", disk_of(p)->name, what);
}

/* ---- take, hydrate, flush ---- */

static void enter(struct failback_pass *p, enum pass_state state)
{
    p->wait_ns = 0;
    p->status.state = state;
}

/* Without the wait a write that began in A may end after A was read. */
static unsigned switch_plane(struct gate *g)
{
    unsigned old = atomic_load(&g->plane);

    if (!plant(PLANT_FAILBACK_NO_WAIT))
        return gate_switch(g);
    atomic_store(&g->plane, 1 - old);
    return old;
}

/* In the plane that is not current no write is registered: the switch away from it waited. */
static void take(struct failback_pass *p)
{
    struct owner *o = p->owner;
    unsigned rest = 1 - atomic_load(&o->gate.plane);

    if (owner_find_dirty(o, rest, 0) < o->disk->blocks) {
        p->plane = rest;
    } else if (!p->switched) {
        p->plane = switch_plane(&o->gate);
        p->switched = true;
    } else {
        enter(p, PASS_END);
        return;
    }
    p->cursor = 0;
    if (owner_find_dirty(o, p->plane, 0) < o->disk->blocks)
        enter(p, PASS_HYDRATE);
}

static bool is_missing(const struct owner *o, uint64_t block)
{
    return !atomic_load(&o->complete) && atomic_load(&o->map->missing[block]) != 0;
}

static int hydrate(struct failback_pass *p, struct error **err)
{
    struct owner *o = p->owner;
    uint64_t block = owner_find_dirty(o, p->plane, p->cursor);
    int r = 0;

    if (block >= o->disk->blocks || owner_is_complete(o) || plant(PLANT_FAILBACK_SKIP_MISSING)) {
        enter(p, PASS_FLUSH);
        return 0;
    }
    if (is_missing(o, block))
        r = owner_bring(o, block, block);
    p->cursor = block + 1;
    return r < 0 ? local_failed(p, r, "bring a block that is sent as a whole", err) : 0;
}

static int flush(struct failback_pass *p, struct error **err)
{
    struct owner *o = p->owner;
    int r = plant(PLANT_FAILBACK_NO_FLUSH)  ? 0
            : plant(PLANT_FAILBACK_NO_MASKS) ? target_sync(&o->disk->target)
                                             : owner_flush(o);

    p->cursor = 0;
    enter(p, PASS_SEND);
    return r < 0 ? local_failed(p, r, "flush", err) : 0;
}

/* ---- operations of the destination ---- */

static void buf_begin(struct pass_buf *b, void (*done)(struct writer_op *op, int error))
{
    b->op.done = done;
    b->busy = true;
    b->pass->busy++;
}

static void buf_end(struct pass_buf *b, int error)
{
    struct failback_pass *p = b->pass;

    b->busy = false;
    p->busy--;
    if (error && !p->error) {
        p->error = error;
        p->error_offset = p->sent[b->first] * BLOCK_SIZE;
    }
}

static uint64_t offset_of(const struct pass_buf *b)
{
    return b->pass->sent[b->first] * BLOCK_SIZE;
}

static struct pass_buf *free_buf(struct failback_pass *p)
{
    unsigned depth = yield_depth(&p->owner->engine->yield, PASS_DEPTH);

    if (p->busy >= depth)
        return NULL;
    for (unsigned i = 0; i < PASS_DEPTH; i++)
        if (!p->bufs[i].busy)
            return &p->bufs[i];
    return NULL;
}

static bool may_go(struct failback_pass *p, uint32_t length)
{
    p->wait_ns = limit_take(p->owner->engine->limits, disk_of(p)->index, LIMIT_SOURCE, length);
    return p->wait_ns == 0;
}

static uint32_t chunk_blocks(const struct failback_pass *p)
{
    uint32_t most = MIN((uint32_t)PASS_CHUNK, p->writer->ops->max_request(p->writer));

    most = limit_chunk(p->owner->engine->limits, disk_of(p)->index, LIMIT_SOURCE, most);
    return MAX(most / (uint32_t)BLOCK_SIZE, 1u);
}

static uint32_t bytes_of(const struct failback_pass *p, uint64_t block, uint32_t count)
{
    return (uint32_t)(MIN((block + count) * BLOCK_SIZE, disk_of(p)->size) - block * BLOCK_SIZE);
}

/* ---- send ---- */

static void sent(struct writer_op *op, int error)
{
    struct pass_buf *b = (struct pass_buf *)op;

    if (!error)
        b->pass->status.sent_bytes += b->length;
    buf_end(b, error);
}

static void remember(struct failback_pass *p, const struct pass_buf *b)
{
    for (uint32_t i = 0, at = 0; i < b->count; i++, at += BLOCK_SIZE)
        digest_block(b->data + at, MIN((uint32_t)BLOCK_SIZE, b->length - at),
                     p->digests[b->first + i]);
}

static int send_run(struct failback_pass *p, struct pass_buf *b, struct error **err)
{
    struct target *t = &disk_of(p)->target;
    int r = io_read(t->io, t->buffered_fd, b->data, b->length, offset_of(b));

    if (r < 0)
        return local_failed(p, r, "read the target", err);
    remember(p, b);
    buf_begin(b, sent);
    r = -EOPNOTSUPP;
    if (is_zero(b->data, b->length))
        r = p->writer->ops->zero(p->writer, b->length, offset_of(b), &b->op);
    if (r == 0)
        p->status.zero_bytes += b->length;
    if (r == -EOPNOTSUPP)
        r = p->writer->ops->write(p->writer, b->data, b->length, offset_of(b), &b->op);
    if (r < 0)
        buf_end(b, 0);
    return r < 0 ? destination_failed(p, -r, err) : 0;
}

/* The next run of dirty blocks: 0 when the window is full or the plane has no more. */
static uint32_t next_run(struct failback_pass *p, uint64_t *ret_block)
{
    struct owner *o = p->owner;
    uint64_t block = owner_find_dirty(o, p->plane, p->cursor);
    uint32_t most = MIN(chunk_blocks(p), p->window - p->sent_count), count = 0;

    *ret_block = p->cursor = block;
    while (count < most && block + count < o->disk->blocks &&
           owner_is_dirty(o, p->plane, block + count))
        count++;
    return count;
}

/* 1: nothing more fits into this window. */
static int send_some(struct failback_pass *p, struct error **err)
{
    struct pass_buf *b;
    int r = 0;

    while (r == 0 && (b = free_buf(p))) {
        uint64_t block;
        uint32_t count = next_run(p, &block);

        if (count == 0)
            return 1;
        b->first = p->sent_count;
        b->count = count;
        b->length = bytes_of(p, block, count);
        if (!may_go(p, b->length))
            break;
        for (uint32_t i = 0; i < count; i++)
            p->sent[p->sent_count++] = block + i;
        p->cursor = block + count;
        if (plant(PLANT_FAILBACK_CLEAR_FIRST))
            owner_clear_dirty(p->owner, p->plane, block, count);
        r = send_run(p, b, err);
    }
    return r;
}

/* ---- check ---- */

static void came_back(struct writer_op *op, int error)
{
    struct pass_buf *b = (struct pass_buf *)op;
    struct failback_pass *p = b->pass;

    for (uint32_t i = 0, at = 0; !error && i < b->count; i++, at += BLOCK_SIZE) {
        uint8_t digest[DIGEST_SIZE];

        digest_block(b->data + at, MIN((uint32_t)BLOCK_SIZE, b->length - at), digest);
        if (memcmp(digest, p->digests[b->first + i], DIGEST_SIZE) != 0) {
            p->differs = true;
            error = EIO;
        }
    }
    if (!error)
        p->status.checked_bytes += b->length;
    buf_end(b, error);
}

/* 1: all of the window has been asked for. */
static int check_some(struct failback_pass *p, struct error **err)
{
    struct pass_buf *b;

    while (p->check_cursor < p->sent_count) {
        uint64_t block = p->sent[p->check_cursor];
        uint32_t most = MIN(chunk_blocks(p), p->sent_count - p->check_cursor), count = 1;
        int r;

        b = free_buf(p);
        if (!b)
            return 0;
        while (count < most && p->sent[p->check_cursor + count] == block + count)
            count++;
        b->first = p->check_cursor;
        b->count = count;
        b->length = bytes_of(p, block, count);
        if (!may_go(p, b->length))
            return 0;
        p->check_cursor += count;
        buf_begin(b, came_back);
        r = p->writer->ops->read(p->writer, b->data, b->length, offset_of(b), &b->op);
        if (r < 0) {
            buf_end(b, 0);
            return destination_failed(p, -r, err);
        }
    }
    return 1;
}

/* ---- settle, clear, checkpoint ---- */

static void flushed(struct writer_op *op, int error)
{
    struct failback_pass *p = (struct failback_pass *)((char *)op -
                                                       offsetof(struct failback_pass, flush_op));

    p->flushing = false;
    if (error && !p->error)
        p->error = error;
    if (!error)
        enter(p, PASS_CHECK);
}

static int settle(struct failback_pass *p, struct error **err)
{
    int r;

    if (p->flushing)
        return 0;
    if (plant(PLANT_FAILBACK_NO_SETTLE)) {
        enter(p, PASS_CHECK);
        return 0;
    }
    p->flush_op.done = flushed;
    p->flushing = true;
    r = p->writer->ops->flush(p->writer, &p->flush_op);
    if (r == 0)
        return 0;
    p->flushing = false;
    return destination_failed(p, -r, err);
}

static void clear(struct failback_pass *p)
{
    for (uint32_t i = 0; i < p->sent_count; i++)
        owner_clear_dirty(p->owner, p->plane, p->sent[i], 1);
    enter(p, PASS_CHECKPOINT);
}

static int checkpoint(struct failback_pass *p, struct error **err)
{
    int r = owner_checkpoint_planes(p->owner);

    p->sent_count = p->check_cursor = 0;
    enter(p, owner_find_dirty(p->owner, p->plane, p->cursor) < disk_of(p)->blocks ? PASS_SEND
                                                                                  : PASS_TAKE);
    return r < 0 ? local_failed(p, r, "write the map file", err) : 0;
}

/* ---- the machine ---- */

static int pump(struct failback_pass *p, struct error **err)
{
    int r = p->busy > 0 || p->flushing ? p->writer->ops->pump(p->writer) : 0;

    if (r < 0)
        return destination_failed(p, -r, err);
    if (!p->error)
        return 0;
    if (p->differs)
        return error_set(err, EIO,
                         "the destination of disk %s does not hold what was sent to it (near "
                         "offset %" PRIu64 "); somebody else writes to it, or its device is "
                         "broken: see to that, then run the pass again", disk_of(p)->name,
                         p->error_offset);
    return destination_failed(p, p->error, err);
}

static int transfer(struct failback_pass *p, struct error **err)
{
    bool sending = p->status.state == PASS_SEND;
    int r;

    p->wait_ns = 0;
    r = sending ? send_some(p, err) : check_some(p, err);
    if (r == 1 && p->busy == 0)
        enter(p, sending ? PASS_SETTLE : PASS_CLEAR);
    return r < 0 ? r : 0;
}

static int advance(struct failback_pass *p, struct error **err)
{
    switch (p->status.state) {
    case PASS_TAKE:
        take(p);
        return 0;
    case PASS_HYDRATE:
        return hydrate(p, err);
    case PASS_FLUSH:
        return flush(p, err);
    case PASS_SEND:
    case PASS_CHECK:
        return transfer(p, err);
    case PASS_SETTLE:
        return settle(p, err);
    case PASS_CLEAR:
        clear(p);
        return 0;
    case PASS_CHECKPOINT:
        return checkpoint(p, err);
    case PASS_END:
        return 0;
    }
    return -EINVAL;
}

int failback_pass_step(struct failback_pass *p, struct error **err)
{
    enum pass_state before = p->status.state;
    int r = pump(p, err);

    if (r == 0)
        r = advance(p, err);
    if (r < 0)
        return r;
    if (p->status.state == PASS_END)
        return PASS_DONE;
    return p->status.state == before && (p->busy > 0 || p->flushing || p->wait_ns > 0) ? PASS_WAIT
                                                                                      : PASS_MORE;
}

void failback_pass_wait(struct failback_pass *p)
{
    struct pollfd f = {.fd = -1};
    int timeout_ms = p->wait_ns ? (int)MIN(div_up(p->wait_ns, NS_PER_MS), (uint64_t)WAIT_MS)
                                : WAIT_MS;

    if (p->busy > 0 || p->flushing)
        f.fd = p->writer->ops->poll_fd(p->writer, &f.events);
    if (f.fd >= 0 || p->wait_ns > 0)
        poll(&f, 1, timeout_ms);
}

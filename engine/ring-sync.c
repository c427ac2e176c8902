/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers are done at submission; only their report waits for ring_wait(). */
#include <poll.h>
#include "engine/ring.h"

struct finished {
    struct ring_op *op;
    int result;
};

struct ring_sync {
    struct ring ring;
    struct io *io;
    struct finished *list;
    unsigned count, room;
};

static int finish(struct ring_sync *s, struct ring_op *op, int result)
{
    if (s->count == s->room) {
        unsigned room = s->room ? 2 * s->room : 16;
        struct finished *list = realloc(s->list, room * sizeof(*list));

        if (!list)
            return -ENOMEM;
        s->list = list;
        s->room = room;
    }
    s->list[s->count++] = (struct finished){op, result};
    s->ring.in_flight++;
    return 0;
}

static int sync_write(struct ring *ring, int fd, const void *data, uint32_t length,
                      uint64_t offset, struct ring_op *op)
{
    struct ring_sync *s = (struct ring_sync *)ring;
    int r = io_write(s->io, fd, data, length, offset, false);

    return finish(s, op, r < 0 ? r : (int)length);
}

static int sync_read(struct ring *ring, int fd, void *data, uint32_t length, uint64_t offset,
                     struct ring_op *op)
{
    struct ring_sync *s = (struct ring_sync *)ring;
    int r = io_read(s->io, fd, data, length, offset);

    return finish(s, op, r < 0 ? r : (int)length);
}

static int sync_wait(struct ring *ring, int fd, short events, int timeout_ms)
{
    struct ring_sync *s = (struct ring_sync *)ring;
    struct pollfd p = {.fd = fd, .events = events};

    if (s->count == 0 && poll(&p, 1, timeout_ms) < 0 && errno != EINTR)
        return -errno;
    while (s->count > 0) {
        struct finished f = s->list[--s->count];

        ring->in_flight--;
        f.op->done(f.op, f.result);
    }
    return 0;
}

static void sync_free(struct ring *ring)
{
    struct ring_sync *s = (struct ring_sync *)ring;

    free(s->list);
    free(s);
}

static const struct ring_ops sync_ops = {
    .name = "threads",
    .free = sync_free,
    .write = sync_write,
    .read = sync_read,
    .wait = sync_wait,
};

int ring_new_sync(struct io *io, struct ring **ret_ring)
{
    struct ring_sync *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->ring.ops = &sync_ops;
    s->io = io;
    *ret_ring = &s->ring;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: one ring per thread (SINGLE_ISSUER | DEFER_TASKRUN where the kernel has them), buffers
 * registered once, the socket watched by POLL_ADD in the same ring so that there is one wait.
 */
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include "engine/ring.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

struct ring_uring {
    struct ring ring;
    struct io_uring uring;
    struct ring_buffers buffers;
    bool registered;
    bool poll_armed;
    int poll_fd;
    short poll_events;
};

static int ring_setup(struct ring_uring *u, unsigned depth)
{
    struct io_uring_params best = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    struct io_uring_params plain = {0};
    int r = io_uring_queue_init_params(depth, &u->uring, &best);

    return r == -EINVAL ? io_uring_queue_init_params(depth, &u->uring, &plain) : r;
}

static void register_buffers(struct ring_uring *u)
{
    struct iovec v = {.iov_base = u->buffers.base, .iov_len = u->buffers.size};

    /* Refused where locked memory is limited; then the kernel maps pages at each transfer. */
    u->registered = u->buffers.size > 0 && io_uring_register_buffers(&u->uring, &v, 1) == 0;
}

static struct io_uring_sqe *get_sqe(struct ring_uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->uring);

    if (!sqe) {
        io_uring_submit(&u->uring);
        sqe = io_uring_get_sqe(&u->uring);
    }
    return sqe;
}

static bool in_buffers(const struct ring_uring *u, const void *data, uint32_t length)
{
    const char *p = data, *base = u->buffers.base;

    return u->registered && p >= base && p + length <= base + u->buffers.size;
}

static int uring_write(struct ring *ring, int fd, const void *data, uint32_t length,
                       uint64_t offset, struct ring_op *op)
{
    struct ring_uring *u = (struct ring_uring *)ring;
    struct io_uring_sqe *sqe = get_sqe(u);

    if (!sqe)
        return -EBUSY;
    if (in_buffers(u, data, length))
        io_uring_prep_write_fixed(sqe, fd, data, length, offset, 0);
    else
        io_uring_prep_write(sqe, fd, data, length, offset);
    io_uring_sqe_set_data(sqe, op);
    ring->in_flight++;
    return 0;
}

static int uring_read(struct ring *ring, int fd, void *data, uint32_t length, uint64_t offset,
                      struct ring_op *op)
{
    struct ring_uring *u = (struct ring_uring *)ring;
    struct io_uring_sqe *sqe = get_sqe(u);

    if (!sqe)
        return -EBUSY;
    if (in_buffers(u, data, length))
        io_uring_prep_read_fixed(sqe, fd, data, length, offset, 0);
    else
        io_uring_prep_read(sqe, fd, data, length, offset);
    io_uring_sqe_set_data(sqe, op);
    ring->in_flight++;
    return 0;
}

/* The poll is a completion with NULL data.  A change of the wanted events replaces it. */
static int arm_poll(struct ring_uring *u, int fd, short events)
{
    struct io_uring_sqe *sqe;

    if (fd < 0 || (u->poll_armed && u->poll_fd == fd && u->poll_events == events))
        return 0;
    if (u->poll_armed) {
        sqe = get_sqe(u);
        if (!sqe)
            return -EBUSY;
        io_uring_prep_poll_remove(sqe, (uintptr_t)u);
        io_uring_sqe_set_data(sqe, NULL);
    }
    sqe = get_sqe(u);
    if (!sqe)
        return -EBUSY;
    io_uring_prep_poll_add(sqe, fd, (unsigned)events);
    io_uring_sqe_set_data(sqe, u);
    u->poll_armed = true;
    u->poll_fd = fd;
    u->poll_events = events;
    return 0;
}

static void reap(struct ring_uring *u)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&u->uring, &cqe) == 0) {
        struct ring_op *op = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&u->uring, cqe);
        if ((void *)op == (void *)u && result != -ECANCELED)
            u->poll_armed = false;
        if (!op || (void *)op == (void *)u)
            continue;
        u->ring.in_flight--;
        op->done(op, result);
    }
}

static int uring_wait(struct ring *ring, int fd, short events, int timeout_ms)
{
    struct ring_uring *u = (struct ring_uring *)ring;
    struct __kernel_timespec ts = {.tv_sec = timeout_ms / 1000,
                                   .tv_nsec = timeout_ms % 1000 * 1000000LL};
    struct io_uring_cqe *cqe;
    int r = arm_poll(u, fd, events);

    if (r < 0)
        return r;
    r = io_uring_submit_and_wait_timeout(&u->uring, &cqe, 1, &ts, NULL);
    if (r < 0 && r != -ETIME && r != -EINTR)
        return r;
    reap(u);
    return 0;
}

static void uring_free(struct ring *ring)
{
    struct ring_uring *u = (struct ring_uring *)ring;

    io_uring_queue_exit(&u->uring);
    free(u);
}

static const struct ring_ops uring_ops = {
    .name = "io_uring",
    .free = uring_free,
    .write = uring_write,
    .read = uring_read,
    .wait = uring_wait,
};

int ring_new_uring(unsigned depth, struct ring_buffers buffers, struct ring **ret_ring)
{
    struct ring_uring *u = calloc(1, sizeof(*u));
    int r;

    if (!u)
        return -ENOMEM;
    r = ring_setup(u, depth);
    if (r < 0) {
        free(u);
        return r;
    }
    u->ring.ops = &uring_ops;
    u->buffers = buffers;
    register_buffers(u);
    *ret_ring = &u->ring;
    return 0;
}

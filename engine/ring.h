/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many local reads and writes in flight, and one place to wait for them and for one socket.
 *
 * A ring belongs to one thread.  Two implementations: io_uring (ring-uring.c), and plain calls
 * that are done at submission (ring-sync.c) where the kernel or a policy forbids io_uring and for
 * tests that need determinism.
 */
#pragma once

#include <stdbool.h>
#include "engine/io.h"

struct ring;

/* Embedded in the caller's request; done() is called from ring_wait() with bytes or -errno. */
struct ring_op {
    void (*done)(struct ring_op *op, int result);
};

struct ring_buffers {
    void *base; /* aligned; all transfers use memory inside [base, base + size) */
    size_t size;
};

struct ring_ops {
    const char *name; /* "io_uring" or "threads" */
    void (*free)(struct ring *ring);
    int (*write)(struct ring *ring, int fd, const void *data, uint32_t length, uint64_t offset,
                 struct ring_op *op);
    int (*read)(struct ring *ring, int fd, void *data, uint32_t length, uint64_t offset,
                struct ring_op *op);
    /* Waits until at least one transfer has completed or fd (-1: none) has one of the poll(2)
     * events, at most timeout_ms; calls done() of everything completed.  0 or -errno. */
    int (*wait)(struct ring *ring, int fd, short events, int timeout_ms);
};

struct ring {
    const struct ring_ops *ops;
    unsigned in_flight; /* transfers queued and not yet reported */
};

/* io_uring when it is compiled in, allowed, and SLIPWAY_IO is not "threads"; else plain calls. */
int ring_new(struct io *io, unsigned depth, struct ring_buffers buffers, struct ring **ret_ring);
int ring_new_sync(struct io *io, struct ring **ret_ring);
int ring_new_uring(unsigned depth, struct ring_buffers buffers, struct ring **ret_ring);
void ring_free(struct ring *ring); /* nothing may be in flight */

/* The implementation ring_new() would choose now. */
const char *ring_kind(void);

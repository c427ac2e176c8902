/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a destination: one connection to one disk that failback sends to.  The product's
 * writer is an NBD client (writer-nbd.c); tests have one in memory.  A writer belongs to one thread.
 *
 * Operations are started and end in any order, with done() called from pump(); `data` stays the
 * caller's and valid until then.  A write is durable when a flush that was started after its end
 * has ended well, not before.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct writer;

struct writer_op {
    void (*done)(struct writer_op *op, int error); /* error: 0 or positive errno */
};

struct writer_ops {
    void (*close)(struct writer *writer); /* what is under way is never done() */
    uint64_t (*size)(struct writer *writer);
    uint32_t (*max_request)(struct writer *writer); /* bytes, for each of the next three */
    int (*write)(struct writer *writer, const void *data, uint32_t length, uint64_t offset,
                 struct writer_op *op);
    /* -EOPNOTSUPP: zeros must be written. */
    int (*zero)(struct writer *writer, uint32_t length, uint64_t offset, struct writer_op *op);
    int (*read)(struct writer *writer, void *data, uint32_t length, uint64_t offset,
                struct writer_op *op);
    int (*flush)(struct writer *writer, struct writer_op *op);
    /* Moves bytes without blocking; completions call done().  < 0: the connection is gone. */
    int (*pump)(struct writer *writer);
    /* What to wait for: fd (-1: nothing) and poll(2) events. */
    int (*poll_fd)(struct writer *writer, short *ret_events);
    /* The sentence for the last -errno; owned by the writer. */
    const char *(*failure)(struct writer *writer);
};

struct writer {
    const struct writer_ops *ops;
};

struct writer_factory {
    /* A destination that is read-only or cannot flush is refused.  cancelled() is asked while
     * waiting. */
    int (*open)(const char *uri, uint64_t timeout_ns, bool (*cancelled)(void *), void *context,
                struct writer **ret_writer, struct error **err);
};

extern const struct writer_factory writer_nbd;

static inline void writer_close(struct writer *writer)
{
    if (writer)
        writer->ops->close(writer);
}

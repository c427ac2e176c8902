/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a source: one connection to one point in time of one disk.  The product's reader is an
 * NBD client (reader-nbd.c); tests have one in memory.  A reader belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

struct reader;

struct reader_op {
    void (*done)(struct reader_op *op, int error); /* error: 0 or positive errno */
};

enum extent_flags {
    EXTENT_ZERO = 1,  /* reads as zero */
    EXTENT_DIRTY = 2, /* set in the bitmap */
};

/* Called for consecutive extents; returns 0 or -errno to stop. */
typedef int extent_fn(uint64_t offset, uint64_t length, unsigned flags, void *context);

/* A question about the allocation of a range. */
struct reader_query {
    struct reader_op op;
    extent_fn *fn;     /* called for consecutive extents from the beginning of the range on */
    void *context;
    uint64_t next, end; /* the reader's: what has been told, end of the range */
    int result;         /* the reader's: what fn returned, < 0 ends the telling */
};

struct reader_ops {
    void (*close)(struct reader *reader);
    uint64_t (*size)(struct reader *reader);
    /* Extents of the whole disk.  what: EXTENT_ZERO (allocation; without it nothing is zero) or
     * EXTENT_DIRTY (the bitmap); it was asked for when the reader was opened. */
    int (*extents)(struct reader *reader, unsigned what, extent_fn *fn, void *context,
                   struct error **err);
    bool (*has_allocation)(struct reader *reader);
    /* Starts a read; `data` stays the caller's and valid until done(). 0 or -errno. */
    int (*read)(struct reader *reader, void *data, uint32_t length, uint64_t offset,
                struct reader_op *op);
    /* Starts a question about EXTENT_ZERO; the answer may stop short of the range.  May be NULL:
     * this reader cannot.  0 or -errno. */
    int (*query)(struct reader *reader, uint64_t length, uint64_t offset,
                 struct reader_query *query);
    /* Moves bytes without blocking; completions call done().  1: something came, 0: nothing did,
     * -errno: the connection is gone.  Operations under way when a reader is closed are never
     * done(). */
    int (*pump)(struct reader *reader);
    /* What to wait for: fd (-1: nothing) and poll(2) events. */
    int (*poll_fd)(struct reader *reader, short *ret_events);
    /* The sentence for the last -errno of read/pump; owned by the reader. */
    const char *(*failure)(struct reader *reader);
};

struct reader {
    const struct reader_ops *ops;
};

/*
 * Opens readers for one sync: the engine is given one of these per disk.
 * bitmap: meta context that must be there, or NULL.  allocation: is EXTENT_ZERO asked for, too?  A
 * server works out all that was agreed on for every question, and the allocation of a large disk
 * takes it seconds.  cancelled() is asked while waiting.
 */
struct reader_factory {
    int (*open)(const char *uri, const char *bitmap, bool allocation, uint64_t timeout_ns,
                bool (*cancelled)(void *), void *context, struct reader **ret_reader,
                struct error **err);
};

extern const struct reader_factory reader_nbd;

static inline void reader_close(struct reader *reader)
{
    if (reader)
        reader->ops->close(reader);
}

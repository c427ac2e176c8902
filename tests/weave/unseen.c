/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated disk as a race detector should take it: as the kernel, into which it does not look.
 * The threads that use it take turns by a baton that the detector does not see either, so that what
 * it finds are accesses of the engine that no lock of the engine orders.
 */
#include "tests/weave/weave.h"

#ifdef RACE_DETECTOR
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static void look_away(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void look_again(void)
{
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

static const struct io_ops *seen;

#define UNSEEN(type, name, parameters, arguments)                                                  \
    static type unseen_##name parameters                                                           \
    {                                                                                              \
        type result;                                                                               \
                                                                                                   \
        look_away();                                                                               \
        result = seen->name arguments;                                                             \
        look_again();                                                                              \
        return result;                                                                             \
    }

UNSEEN(int, open, (struct io *io, const char *path, int flags), (io, path, flags))
UNSEEN(ssize_t, pread, (struct io *io, int fd, void *data, size_t length, uint64_t offset),
       (io, fd, data, length, offset))
UNSEEN(ssize_t, pwrite,
       (struct io *io, int fd, const void *data, size_t length, uint64_t offset, bool dsync),
       (io, fd, data, length, offset, dsync))
UNSEEN(int, fdatasync, (struct io *io, int fd), (io, fd))
UNSEEN(int, zero,
       (struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how),
       (io, fd, offset, length, how))
UNSEEN(int, unlink, (struct io *io, const char *path), (io, path))

/* The kernel drops pages that are zero already. */
static void unseen_map_drop(struct io *io, void *base, size_t size)
{
    look_away();
    seen->map_drop(io, base, size);
    look_again();
}

void weave_unseen(struct io *io)
{
    static struct io_ops ops;

    seen = io->ops;
    ops = *seen;
    ops.open = unseen_open;
    ops.pread = unseen_pread;
    ops.pwrite = unseen_pwrite;
    ops.fdatasync = unseen_fdatasync;
    ops.zero = unseen_zero;
    ops.unlink = unseen_unlink;
    ops.map_drop = unseen_map_drop;
    io->ops = &ops;
}
#else
void weave_unseen(struct io *io)
{
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All file I/O of the engine goes through this table, so that tests can put a simulated disk under
 * it that loses, tears and delays writes.  Functions return >= 0 or -errno.  Offsets in bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/error.h"

struct io;
struct ring;

enum io_open_flags {
    IO_CREATE = 1,  /* must not exist yet */
    IO_DIRECT = 2,  /* bypass the page cache when the file can (silently not when it cannot) */
    IO_RDONLY = 4,
    IO_EXCLUSIVE_BLOCK = 8, /* O_EXCL for block devices: one owner in the kernel */
};

enum io_zero_how {
    IO_ZERO_KEEP,  /* zero, stay allocated */
    IO_ZERO_PUNCH, /* zero, give the space back */
};

struct io_ops {
    int (*open)(struct io *io, const char *path, int flags);
    void (*close)(struct io *io, int fd);
    ssize_t (*pread)(struct io *io, int fd, void *data, size_t length, uint64_t offset);
    /* dsync: durable when it returns. */
    ssize_t (*pwrite)(struct io *io, int fd, const void *data, size_t length, uint64_t offset,
                      bool dsync);
    int (*fdatasync)(struct io *io, int fd);
    int (*sync_dir)(struct io *io, const char *path);
    /* Zeroes a range without transfer; -EOPNOTSUPP when it must be written. */
    int (*zero)(struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how);
    /* Reserves space for a range without changing what is read; -EOPNOTSUPP is no failure. */
    int (*allocate)(struct io *io, int fd, uint64_t offset, uint64_t length);
    /* What was written there begins its way to the disk, so that a later fdatasync finds less to do.
     * A hint: errors show there.  May be NULL. */
    void (*write_soon)(struct io *io, int fd, uint64_t offset, uint64_t length);
    int (*truncate)(struct io *io, int fd, uint64_t size);
    int (*size)(struct io *io, int fd, uint64_t *ret_size);
    int (*mkdir)(struct io *io, const char *path);
    int (*unlink)(struct io *io, const char *path);
    int (*rmdir)(struct io *io, const char *path);
    int (*rename)(struct io *io, const char *from, const char *to);
    /* Calls fn for each name in a folder (not "." and ".."); stops at a negative result. */
    int (*list)(struct io *io, const char *path, int (*fn)(const char *name, void *context),
                void *context);
    /* Next data at or after offset: *ret_data, and where it ends: *ret_end.  -ENXIO: no more
     * data.  Files that cannot tell are data throughout. */
    int (*seek)(struct io *io, int fd, uint64_t offset, uint64_t size, uint64_t *ret_data,
                uint64_t *ret_end);
    /*
     * Takes the lock on this very open file description: the fence.  The kernel keeps it until
     * the last in-flight io_uring write of a killed owner has landed, so it is taken before
     * anything is read.  Waits for a dead owner up to timeout_ns; -EBUSY with the living owner's
     * pid in *ret_owner (0 when unknown).
     */
    int (*lock)(struct io *io, int fd, uint64_t timeout_ns, int *ret_owner);
    uint64_t (*free_space)(struct io *io, const char *path); /* bytes; UINT64_MAX: unknown */
    /* Alignment that IO_DIRECT needs on this fd, in bytes; 1 when it is not direct. */
    uint32_t (*alignment)(struct io *io, int fd);
    /* 16 bytes that stay the same for this file or device and differ for any other. */
    int (*identity)(struct io *io, int fd, uint8_t ret_id[16]);
    /* 1: block device, 0: regular file. */
    int (*is_block)(struct io *io, int fd);
    /* A file mapped into memory, which outlives the process but need not outlive the machine.
     * reserve > 0: made anew (an old one goes), zeros; the first `reserve` bytes are reserved, so that
     * no access to them can fail for want of space.  0: one that is there: -ENOENT, -ESTALE when its
     * size is another. */
    int (*map)(struct io *io, const char *path, size_t size, size_t reserve, void **ret_base);
    void (*unmap)(struct io *io, void *base, size_t size);
    void (*map_drop)(struct io *io, void *base, size_t size); /* whole pages read as zero */
    int (*map_unlink)(struct io *io, const char *path);
    /* 16 bytes that are others after each boot of the machine. */
    int (*boot_id)(struct io *io, uint8_t ret_id[16]);
    /* A ring of its own for bulk transfers; NULL: ring_new() chooses. */
    int (*ring)(struct io *io, struct ring **ret_ring);
};

struct io {
    const struct io_ops *ops;
};

/* The real thing; static. */
struct io *io_posix(void);

/* Whole transfers on top of the table: short I/O is continued, end of file is -EIO. */
int io_read(struct io *io, int fd, void *data, size_t length, uint64_t offset);
int io_write(struct io *io, int fd, const void *data, size_t length, uint64_t offset, bool dsync);

/* Zeroes a range by the cheapest way that works, writing zeros at last. */
int io_zero(struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how);

static inline void io_write_soon(struct io *io, int fd, uint64_t offset, uint64_t length)
{
    if (io->ops->write_soon)
        io->ops->write_soon(io, fd, offset, length);
}

static inline int io_fdatasync(struct io *io, int fd)
{
    return io->ops->fdatasync(io, fd);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/io.h"

#include "base/align.h"

int io_read(struct io *io, int fd, void *data, size_t length, uint64_t offset)
{
    char *p = data;

    while (length > 0) {
        ssize_t n = io->ops->pread(io, fd, p, length, offset);

        if (n == -EINTR)
            continue;
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        p += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

int io_write(struct io *io, int fd, const void *data, size_t length, uint64_t offset, bool dsync)
{
    const char *p = data;

    while (length > 0) {
        ssize_t n = io->ops->pwrite(io, fd, p, length, offset, dsync);

        if (n == -EINTR)
            continue;
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        p += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

static int write_zeros(struct io *io, int fd, uint64_t offset, uint64_t length)
{
    static const _Alignas(4096) char zeros[65536];
    int r = 0;

    while (r == 0 && length > 0) {
        size_t n = (size_t)MIN(length, (uint64_t)sizeof(zeros));

        r = io_write(io, fd, zeros, n, offset, false);
        offset += n;
        length -= n;
    }
    return r;
}

int io_zero(struct io *io, int fd, uint64_t offset, uint64_t length, enum io_zero_how how)
{
    int r = io->ops->zero(io, fd, offset, length, how);

    if (r == -EOPNOTSUPP && how == IO_ZERO_PUNCH)
        r = io->ops->zero(io, fd, offset, length, IO_ZERO_KEEP);
    if (r == -EOPNOTSUPP)
        r = write_zeros(io, fd, offset, length);
    return r;
}

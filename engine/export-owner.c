/* SPDX-License-Identifier: Apache-2.0 */
/* Export "<disk>" of an owner: read-write, the truth. */
#include "base/align.h"
#include "engine/export.h"

static int pread_owner(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    return io_read(x->disk->io, x->disk->target.buffered_fd, data, length, offset);
}

static int flush_owner(struct export *x)
{
    struct engine *e = x->engine;
    int r;

    if (e->failed)
        return -EIO;
    r = io_fdatasync(x->disk->io, x->disk->target.buffered_fd);
    /* After a failed fdatasync the kernel may have dropped the pages: a later success means
     * nothing, so the engine never reports one again. */
    if (r < 0)
        engine_fail(e);
    return r;
}

static int pwrite_owner(struct export *x, const void *data, uint32_t length, uint64_t offset,
                        unsigned flags)
{
    if (x->engine->failed)
        return -EIO;
    return io_write(x->disk->io, x->disk->target.buffered_fd, data, length, offset,
                    flags & EXPORT_FUA);
}

static int zero_owner(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    enum io_zero_how how = flags & EXPORT_MAY_TRIM ? IO_ZERO_PUNCH : IO_ZERO_KEEP;
    struct disk *d = x->disk;
    int r;

    if (x->engine->failed)
        return -EIO;
    if (flags & EXPORT_FAST)
        r = d->io->ops->zero(d->io, d->target.buffered_fd, offset, length, how);
    else
        r = io_zero(d->io, d->target.buffered_fd, offset, length, how);
    return r == 0 && flags & EXPORT_FUA ? flush_owner(x) : r;
}

static int trim_owner(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    int r = zero_owner(x, length, offset, flags | EXPORT_MAY_TRIM | EXPORT_FAST);

    return r == -EOPNOTSUPP ? 0 : r; /* trim is a hint */
}

static int extents_owner(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                         void *context)
{
    struct disk *d = x->disk;
    uint64_t data, end;
    int r = d->io->ops->seek(d->io, d->target.buffered_fd, offset, d->size, &data, &end);

    if (r == -ENXIO)
        return fn(offset, length, EXTENT_ZERO, context);
    if (r < 0)
        return r;
    if (data > offset)
        return fn(offset, MIN(data - offset, length), EXTENT_ZERO, context);
    return fn(offset, MIN(end - offset, length), 0, context);
}

const struct export_ops export_owner_ops = {
    .pread = pread_owner,
    .pwrite = pwrite_owner,
    .zero = zero_owner,
    .trim = trim_owner,
    .flush = flush_owner,
    .extents = extents_owner,
};

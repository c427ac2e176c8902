/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/target.h"

#include <inttypes.h>
#include <string.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "engine/plant.h"

static int check_size(struct target *t, uint64_t size, struct error **err)
{
    uint64_t have = 0;
    int r = t->io->ops->size(t->io, t->fd, &have);

    if (r == -EINVAL)
        return error_set(err, EINVAL, "target %s is neither a regular file nor a block device",
                         t->path);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read the size of target %s", t->path);
    if (have < size)
        return error_set(err, EFBIG,
                         "target %s has %" PRIu64 " bytes, the disk needs %" PRIu64
                         "; enlarge the target", t->path, have, size);
    return 0;
}

static int take_fence(struct target *t, uint64_t fence_ns, struct error **err)
{
    int owner = 0, r;

    if (plant(PLANT_NO_FENCE))
        return 0;
    r = t->io->ops->lock(t->io, t->fd, fence_ns, &owner);
    if (r == -EBUSY && owner > 0)
        return error_set(err, EBUSY,
                         "target %s is owned by another engine (process %d); stop that one first",
                         t->path, owner);
    if (r == -EBUSY)
        return error_set(err, EBUSY,
                         "target %s is still locked by an engine that ended; its last writes have "
                         "not landed yet, try again later", t->path);
    return r < 0 ? error_set_errno(err, -r, "cannot lock target %s", t->path) : 0;
}

int target_open(struct io *io, const char *path, uint64_t size, uint64_t fence_ns,
                struct target *ret_target, struct error **err)
{
    struct target t = {.io = io, .fd = -1, .buffered_fd = -1, .path = strdup(path)};
    int r = t.path ? io->ops->open(io, path, IO_DIRECT | IO_EXCLUSIVE_BLOCK) : -ENOMEM;

    if (r == -EBUSY)
        error_set(err, EBUSY, "target %s is in use (mounted, or owned by another program); free it "
                              "first", path);
    else if (r == -ENOENT)
        error_set(err, ENOENT, "target %s does not exist; was it moved or deleted?", path);
    else if (r < 0)
        error_set_errno(err, -r, "cannot open target %s", path);
    if (r >= 0) {
        t.fd = r;
        r = check_size(&t, size, err);
    }
    if (r >= 0)
        r = take_fence(&t, fence_ns, err);
    if (r >= 0) {
        r = io->ops->open(io, path, 0);
        if (r < 0)
            error_set_errno(err, -r, "cannot open target %s", path);
        else
            t.buffered_fd = r;
    }
    if (r >= 0) {
        r = io->ops->identity(io, t.fd, t.id);
        if (r < 0)
            error_set_errno(err, -r, "cannot identify target %s", path);
    }
    if (r < 0) {
        target_close(&t);
        return r;
    }
    t.alignment = io->ops->alignment(io, t.fd);
    t.block_device = io->ops->is_block(io, t.fd) > 0;
    *ret_target = t;
    return 0;
}

void target_close(struct target *t)
{
    if (t->buffered_fd >= 0)
        t->io->ops->close(t->io, t->buffered_fd);
    if (t->fd >= 0)
        t->io->ops->close(t->io, t->fd);
    free(t->path);
    *t = (struct target){.fd = -1, .buffered_fd = -1};
}

int target_sync(struct target *t)
{
    return io_fdatasync(t->io, t->fd);
}

int target_clear(struct target *t, uint64_t size, uint64_t offset, uint64_t length)
{
    enum io_zero_how how = t->block_device ? IO_ZERO_KEEP : IO_ZERO_PUNCH;
    uint64_t end = offset + length;
    int r = 0;

    while (r == 0 && offset < end) {
        uint64_t data, data_end;

        r = t->io->ops->seek(t->io, t->buffered_fd, offset, size, &data, &data_end);
        if (r == -ENXIO || (r == 0 && data >= end))
            return 0;
        if (r == 0)
            r = io_zero(t->io, t->buffered_fd, data, MIN(data_end, end) - data, how);
        offset = data_end;
    }
    return r;
}

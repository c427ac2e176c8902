/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/actlog.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "engine/lock.h"
#include "engine/plant.h"

#define KIND_ACTLOG 0x4c41 /* "AL" */

static uint64_t region_size(uint64_t disk_size)
{
    uint64_t bytes = ACTLOG_REGION_MIN;

    while (disk_size > bytes * ACTLOG_REGIONS_MAX)
        bytes *= 2;
    return bytes;
}

static int actlog_attach(struct io *io, const char *path, int flags, uint64_t epoch,
                         uint64_t disk_size, struct actlog **ret_log)
{
    struct actlog *a = calloc(1, sizeof(*a));
    int r;

    if (!a)
        return -ENOMEM;
    a->io = io;
    a->region_bytes = region_size(disk_size);
    a->regions = (uint32_t)((disk_size + a->region_bytes - 1) / a->region_bytes);
    pthread_mutex_init(&a->lock, NULL);
    a->fd = r = io->ops->open(io, path, flags);
    if (r >= 0)
        r = pagefile_init(&a->file, io, a->fd, KIND_ACTLOG, epoch, 0, 1);
    if (r < 0) {
        actlog_free(a);
        return r;
    }
    *ret_log = a;
    return 0;
}

void actlog_free(struct actlog *a)
{
    if (!a)
        return;
    if (a->fd >= 0)
        a->io->ops->close(a->io, a->fd);
    pagefile_done(&a->file);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static int write_record(struct actlog *a, const uint8_t payload[PAGE_PAYLOAD])
{
    int r = a->failed ? -EIO : pagefile_write(&a->file, 0, payload);

    if (r == 0)
        r = io_fdatasync(a->io, a->fd);
    a->failed |= r < 0;
    return r;
}

int actlog_create(struct io *io, const char *path, const char *folder, uint64_t epoch,
                  uint64_t disk_size, struct actlog **ret_log)
{
    static const uint8_t none[PAGE_PAYLOAD];
    struct actlog *a;
    int r = actlog_attach(io, path, IO_CREATE, epoch, disk_size, &a);

    if (r < 0)
        return r;
    r = io->ops->truncate(io, a->fd, pagefile_bytes(1));
    if (r == 0)
        r = write_record(a, none);
    if (r == 0)
        r = io->ops->sync_dir(io, folder);
    if (r < 0) {
        actlog_free(a);
        return r;
    }
    *ret_log = a;
    return 0;
}

static int actlog_load(struct io *io, const char *path, int flags, uint64_t epoch,
                       uint64_t disk_size, struct actlog **ret_log)
{
    uint8_t payload[PAGE_PAYLOAD];
    struct actlog *a;
    int r = actlog_attach(io, path, flags, epoch, disk_size, &a);

    if (r < 0)
        return r;
    if (!(flags & IO_RDONLY))
        r = io_fdatasync(io, a->fd);
    if (r >= 0)
        r = pagefile_read(&a->file, 0, payload);
    if (r == 0)
        r = -EBADMSG; /* actlog_create() wrote one */
    if (r < 0) {
        actlog_free(a);
        return r;
    }
    for (size_t i = 0; i < PAGE_PAYLOAD; i++) {
        atomic_store(&a->active[i], payload[i]);
        atomic_store(&a->wanted[i], payload[i]);
    }
    *ret_log = a;
    return 0;
}

int actlog_open(struct io *io, const char *path, uint64_t epoch, uint64_t disk_size,
                struct actlog **ret_log)
{
    return actlog_load(io, path, 0, epoch, disk_size, ret_log);
}

int actlog_inspect(struct io *io, const char *path, uint64_t epoch, uint64_t disk_size,
                   struct actlog **ret_log)
{
    return actlog_load(io, path, IO_RDONLY, epoch, disk_size, ret_log);
}

bool actlog_is_active(const struct actlog *a, uint32_t region)
{
    return atomic_load(&a->active[region / 8]) >> region % 8 & 1;
}

static bool all_active(const struct actlog *a, uint32_t first, uint32_t last)
{
    for (uint32_t r = first; r <= last; r++)
        if (!actlog_is_active(a, r))
            return false;
    return true;
}

/* Everything wanted by now goes into one record, also what those behind us in the queue want. */
static int enter_wanted(struct actlog *a)
{
    uint8_t payload[PAGE_PAYLOAD];
    int r;

    for (size_t i = 0; i < PAGE_PAYLOAD; i++)
        payload[i] = atomic_load(&a->wanted[i]);
    for (size_t i = 0; plant(PLANT_LOG_ACTIVE_EARLY) && i < PAGE_PAYLOAD; i++)
        atomic_store(&a->active[i], payload[i]);
    r = write_record(a, payload);
    for (size_t i = 0; r == 0 && i < PAGE_PAYLOAD; i++)
        atomic_store(&a->active[i], payload[i]);
    return r;
}

int actlog_activate(struct actlog *a, uint64_t offset, uint64_t length)
{
    uint32_t first = (uint32_t)(offset / a->region_bytes);
    uint32_t last = (uint32_t)((offset + length - 1) / a->region_bytes);
    int r = 0;

    if (all_active(a, first, last))
        return 0;
    for (uint32_t i = first; i <= last; i++)
        atomic_fetch_or(&a->wanted[i / 8], (uint8_t)(1u << i % 8));
    lock_take(&a->lock);
    if (!all_active(a, first, last))
        r = enter_wanted(a);
    lock_release(&a->lock);
    return r;
}

int actlog_clear(struct actlog *a)
{
    static const uint8_t none[PAGE_PAYLOAD];
    int r;

    lock_take(&a->lock);
    r = write_record(a, none);
    for (size_t i = 0; r == 0 && i < PAGE_PAYLOAD; i++) {
        atomic_store(&a->active[i], 0);
        atomic_store(&a->wanted[i], 0);
    }
    lock_release(&a->lock);
    return r;
}

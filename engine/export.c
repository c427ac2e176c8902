/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/export.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/draft.h"

/* "NAME@GENERATION" → name and generation; gen stays NO_GENERATION without one. */
static int split_name(const char *text, char *name, size_t size, uint64_t *gen)
{
    const char *at = strrchr(text, '@');
    size_t length = at ? (size_t)(at - text) : strlen(text);
    char *end;

    if (length >= size)
        return -ENOENT;
    memcpy(name, text, length);
    name[length] = '\0';
    *gen = NO_GENERATION;
    if (!at)
        return 0;
    if (at[1] < '0' || at[1] > '9')
        return -ENOENT;
    errno = 0;
    *gen = strtoull(at + 1, &end, 10);
    return errno || *end || *gen == NO_GENERATION ? -ENOENT : 0;
}

static int open_draft_locked(struct engine *e, const char *name, struct export *x)
{
    const char *slash = strchr(name, '/');

    if (!e->draft || strlen(e->draft->name) != (size_t)(slash - name) ||
        !str_starts(name, e->draft->name))
        return -ENOENT;
    x->disk = engine_disk(e, slash + 1);
    if (!x->disk)
        return -ENOENT;
    x->kind = EXPORT_DRAFT;
    x->draft = e->draft;
    x->draft->users++;
    return 0;
}

static int open_locked(struct engine *e, const char *name, struct export *x)
{
    char disk_name[DISK_NAME_MAX + 1];
    uint64_t gen;

    if (strchr(name, '/'))
        return open_draft_locked(e, name, x);
    if (split_name(name, disk_name, sizeof(disk_name), &gen) < 0)
        return -ENOENT;
    x->disk = disk_name[0] ? engine_disk(e, disk_name) : &e->disks[0];
    if (!x->disk)
        return -ENOENT;
    if (e->mode == MODE_OWNER && gen == NO_GENERATION) {
        x->kind = EXPORT_OWNER;
        e->owner_opens++;
        return 0;
    }
    x->kind = EXPORT_VIEW;
    return view_get_locked(e, gen, &x->view);
}

static int refuse(struct engine *e, const char *name, int r, struct error **err)
{
    if (r == -ESHUTDOWN && e->mode == MODE_INIT)
        return error_set(err, EAGAIN, "%s: nothing can be read before the initial sync is "
                                      "complete", e->store);
    if (r == -ESHUTDOWN)
        return error_set(err, ESHUTDOWN, "%s: mode %s offers no export '%s' (now)", e->store,
                         store_mode_name(e->mode), name);
    if (r == -ENOENT)
        return error_set(err, ENOENT,
                         "%s has no export '%s'; it offers DISK, DISK@GENERATION for retained "
                         "generations, and DRAFT/DISK", e->store, name);
    return error_set_errno(err, -r, "cannot open export '%s' of %s", name, e->store);
}

int engine_export_open(struct engine *e, const char *name, struct export **ret_export,
                       struct error **err)
{
    struct export *x = mem_new(1, sizeof(*x));
    int r;

    LOCK_FOR_SCOPE(&e->lock);
    x->engine = e;
    r = open_locked(e, name, x);
    if (r < 0) {
        free(x);
        return refuse(e, name, r, err);
    }
    x->next = e->exports;
    if (x->next)
        x->next->prev = x;
    e->exports = x;
    e->open_exports++;
    *ret_export = x;
    return 0;
}

void export_close(struct export *x)
{
    struct engine *e = x->engine;

    LOCK_FOR_SCOPE(&e->lock);
    if (x->prev)
        x->prev->next = x->next;
    else
        e->exports = x->next;
    if (x->next)
        x->next->prev = x->prev;
    e->open_exports--;
    if (x->draft)
        x->draft->users--;
    view_put_locked(x->view);
    pthread_cond_broadcast(&e->changed);
    free(x);
}

static int list_disk_locked(struct engine *e, const struct disk *d,
                            int (*fn)(const char *, const char *, void *), void *context)
{
    char name[2 * DISK_NAME_MAX + 32], text[64];
    int r;

    if (e->mode == MODE_OWNER)
        return fn(d->name, "read-write, the truth", context);
    if (e->mode != MODE_MIRROR)
        return 0;
    snprintf(text, sizeof(text), "read-only, generation %" PRIu64, e->cur_gen);
    r = fn(d->name, text, context);
    if (r == 0 && e->draft) {
        snprintf(name, sizeof(name), "%s/%s", e->draft->name, d->name);
        r = fn(name, "read-write draft", context);
    }
    return r;
}

int engine_export_list(struct engine *e, int (*fn)(const char *, const char *, void *),
                       void *context)
{
    int r = 0;

    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        r = list_disk_locked(e, &e->disks[i], fn, context);
    return r;
}

uint64_t export_size(const struct export *x)
{
    return x->disk->size;
}

bool export_writable(const struct export *x)
{
    return x->kind != EXPORT_VIEW;
}

uint32_t export_minimum_block(const struct export *x)
{
    return x->kind == EXPORT_OWNER && x->disk->target.block_device ? x->disk->target.alignment : 1;
}

int export_pread(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    switch (x->kind) {
    case EXPORT_VIEW:
        return view_pread(x->view, x->disk, data, length, offset);
    case EXPORT_DRAFT:
        return draft_pread(x->draft, x->disk, data, length, offset);
    case EXPORT_OWNER:
        return io_read(x->disk->io, x->disk->target.buffered_fd, data, length, offset);
    }
    return -EINVAL;
}

int export_flush(struct export *x)
{
    struct engine *e = x->engine;
    int r;

    if (x->kind != EXPORT_OWNER)
        return 0; /* a view does not change; a draft's durability is its seal */
    if (e->failed)
        return -EIO;
    r = io_fdatasync(x->disk->io, x->disk->target.buffered_fd);
    /* After a failed fdatasync the kernel may have dropped the pages: a later success means
     * nothing, so the engine never reports one again. */
    if (r < 0)
        engine_fail(e);
    return r;
}

int export_pwrite(struct export *x, const void *data, uint32_t length, uint64_t offset,
                  unsigned flags)
{
    switch (x->kind) {
    case EXPORT_VIEW:
        return -EROFS;
    case EXPORT_DRAFT:
        return draft_pwrite(x->draft, x->disk, data, length, offset);
    case EXPORT_OWNER:
        if (x->engine->failed)
            return -EIO;
        return io_write(x->disk->io, x->disk->target.buffered_fd, data, length, offset,
                        flags & EXPORT_FUA);
    }
    return -EINVAL;
}

static int owner_zero(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
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
    return r == 0 && flags & EXPORT_FUA ? export_flush(x) : r;
}

int export_zero(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    switch (x->kind) {
    case EXPORT_VIEW:
        return -EROFS;
    case EXPORT_DRAFT:
        return draft_pwrite(x->draft, x->disk, NULL, length, offset);
    case EXPORT_OWNER:
        return owner_zero(x, length, offset, flags);
    }
    return -EINVAL;
}

int export_trim(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    int r;

    if (x->kind == EXPORT_VIEW)
        return -EROFS;
    r = export_zero(x, length, offset, flags | EXPORT_MAY_TRIM | EXPORT_FAST);
    return r == -EOPNOTSUPP ? 0 : r; /* trim is a hint */
}

int export_extents(struct export *x, uint64_t length, uint64_t offset,
                   int (*fn)(uint64_t, uint64_t, unsigned, void *), void *context)
{
    struct disk *d = x->disk;
    uint64_t data, end;
    int r;

    length = MIN(length, d->size - offset);
    if (x->kind == EXPORT_VIEW)
        return view_extents(x->view, d, length, offset, fn, context);
    if (x->kind == EXPORT_DRAFT)
        return fn(offset, length, 0, context);
    r = d->io->ops->seek(d->io, d->target.buffered_fd, offset, d->size, &data, &end);
    if (r == -ENXIO)
        return fn(offset, length, EXTENT_ZERO, context);
    if (r < 0)
        return r;
    if (data > offset)
        return fn(offset, MIN(data - offset, length), EXTENT_ZERO, context);
    return fn(offset, MIN(end - offset, length), 0, context);
}

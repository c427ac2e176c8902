/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instant flip is missing (T10.1).  Nothing complete is thrown away: the layer that was being
 * loaded becomes the newest source, with what changed since pending again; without one, a layer of
 * pending blocks alone says what is to be fetched.  It lies on top, so that no older layer is taken
 * for a block that has changed after it.  What of that reads as zero is the hydrator's business: to
 * list it takes the server of a large disk seconds.
 */
#include "engine/flip.h"

#include <inttypes.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/hydrate.h"
#include "engine/plant.h"

#define CONNECT_TIMEOUT_NS (10 * NS_PER_S)

static bool never_cancelled(void *context)
{
    return false;
}

static int check_request(struct engine *e, const struct flip_request *q, struct error **err)
{
    if (!q->snapshot)
        return error_set(err, EINVAL, "an instant flip needs the identity of the final point in "
                                      "time; add snapshot (--snapshot ID)");
    if (superfile_get(&e->super).flags & SUPER_LOCAL_CHANGES)
        return error_set(err, EPERM, "a draft was committed to %s, so it follows its source no "
                                     "longer; flip it without instant", e->store);
    return sync_check_names(e, q->sources, q->source_count, err);
}

/* True when the bitmaps say what changed since something that is here. */
static bool follows(const struct flip *f, const char *snapshot)
{
    const struct super root = superfile_get(&f->engine->super);
    const char *since = f->request->since ? f->request->since : root.snapshot;

    return *snapshot && strcmp(since, snapshot) == 0;
}

static int open_source(struct flip *f, const struct sync_source *s, struct error **err)
{
    struct flip_disk *fd = &f->disks[f->disk_count];
    uint64_t have;
    int r;

    fd->disk = engine_disk(f->engine, s->name);
    f->disk_count++;
    r = f->engine->readers->open(s->uri, s->bitmap, false, CONNECT_TIMEOUT_NS,
                                 never_cancelled, NULL, &fd->reader, err);
    if (r < 0)
        return error_prefix(err, "disk %s", s->name), r;
    have = fd->reader->ops->size(fd->reader);
    if (have != fd->disk->size)
        return error_set(err, EFBIG, "disk %s: the source has %" PRIu64 " bytes, the target %"
                                     PRIu64 "; they must agree", s->name, have, fd->disk->size);
    return 0;
}

/* ---- out of INIT ---- */

static int note_changed(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct flip_disk *fd = context;
    uint64_t end = div_up(offset + length, BLOCK_SIZE);

    for (uint64_t b = offset / BLOCK_SIZE; flags & EXTENT_DIRTY && b < end; b++)
        fd->changed[b / 64] |= UINT64_C(1) << b % 64;
    return 0;
}

static int prepare_initial_disk(struct flip *f, struct flip_disk *fd, bool bitmap,
                                struct error **err)
{
    struct super root = superfile_get(&f->engine->super);
    uint64_t words = div_up(fd->disk->blocks, 64);

    /* What a push that nobody committed brought is not what the source has. */
    if (strcmp(root.snapshot, f->request->snapshot) == 0 && !(root.flags & SUPER_PUSH))
        return 0; /* the same point in time: what is here counts */
    fd->changed = calloc(words, sizeof(*fd->changed));
    if (!fd->changed)
        return error_set_errno(err, ENOMEM, "cannot flip");
    if (bitmap && follows(f, root.snapshot) && !(root.flags & SUPER_PUSH))
        return fd->reader->ops->extents(fd->reader, EXTENT_DIRTY, note_changed, fd, err);
    memset(fd->changed, 0xff, words * sizeof(*fd->changed));
    return 0;
}

/* ---- out of a mirror ---- */

static int pend(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct flip_disk *fd = context;
    uint64_t end = MIN(div_up(offset + length, BLOCK_SIZE), fd->disk->blocks);
    int r = 0;

    if (!(flags & EXTENT_DIRTY))
        return 0;
    for (uint64_t b = offset / BLOCK_SIZE; r == 0 && b < end; b++)
        r = layer_set_state(fd->top, b, BLOCK_PENDING);
    return r;
}

/* May an interrupted delta be gone on with?  Of a push nobody knows what it lacks; in a compare what
 * was not looked at yet is pending like anything else. */
static bool is_usable(const struct layer *loading)
{
    return loading && !loading->push;
}

static int make_top(struct flip *f, struct flip_disk *fd)
{
    struct layer_params params = {.gen = f->engine->cur_gen + 1,
                                  .disk_size = fd->disk->size,
                                  .snapshot = f->request->snapshot};
    _cleanup_free_ char *stem = disk_layer_stem(fd->disk, params.gen);

    layer_unlink(fd->disk->io, stem);
    return layer_create(fd->disk->io, stem, &params, &fd->top);
}

static void drop_loading(struct disk *d)
{
    if (!d->loading)
        return;
    layer_unlink(d->io, d->loading->stem);
    layer_unref(d->loading);
    d->loading = NULL;
}

static int fill_top(struct flip *f, struct flip_disk *fd, bool bitmap, struct error **err)
{
    struct disk *d = fd->disk;
    bool final = d->loading && strcmp(d->loading->snapshot, f->request->snapshot) == 0;
    int r = 0;

    if (is_usable(d->loading) && !plant(PLANT_FLIP_OLD_LAYER) &&
        (final || (bitmap && follows(f, d->loading->snapshot)))) {
        fd->top = steal_ptr(d->loading);
    } else {
        final = false;
        drop_loading(d);
        r = make_top(f, fd);
    }
    if (r == 0 && !final) {
        if (bitmap)
            r = fd->reader->ops->extents(fd->reader, EXTENT_DIRTY, pend, fd, err);
        else
            r = pend(0, d->size, EXTENT_DIRTY, fd);
    }
    if (r == 0)
        r = layer_seal_partial(fd->top, f->request->snapshot);
    if (r == 0)
        r = d->io->ops->sync_dir(d->io, d->folder);
    return r;
}

static int prepare_mirror_disk(struct flip *f, struct flip_disk *fd, bool bitmap,
                               struct error **err)
{
    struct super root = superfile_get(&f->engine->super);
    int r;

    if (strcmp(root.snapshot, f->request->snapshot) == 0)
        return 0; /* nothing has changed since the last generation */
    if (bitmap && !follows(f, root.snapshot) &&
        !(is_usable(fd->disk->loading) && follows(f, fd->disk->loading->snapshot)))
        return error_set(err, EINVAL, "disk %s: the bitmap begins at '%s', but the mirror is at "
                                      "'%s'; name a bitmap that begins there, or none",
                         fd->disk->name, f->request->since ? f->request->since : root.snapshot,
                         root.snapshot);
    r = fill_top(f, fd, bitmap, err);
    return r < 0 ? error_set_errno(err, -r, "cannot make the change set of disk %s",
                                   fd->disk->name)
                 : 0;
}

int flip_prepare(struct flip *f, struct error **err)
{
    const struct flip_request *q = f->request;
    int r = check_request(f->engine, q, err);

    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = open_source(f, &q->sources[i], err);
    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = f->initial ? prepare_initial_disk(f, &f->disks[i], q->sources[i].bitmap, err)
                       : prepare_mirror_disk(f, &f->disks[i], q->sources[i].bitmap, err);
    return r;
}

/* A layer that no root names goes; the mirror is as it was, but for the delta that was under way. */
void flip_done(struct flip *f)
{
    for (unsigned i = 0; i < f->disk_count; i++) {
        struct flip_disk *fd = &f->disks[i];

        reader_close(fd->reader);
        free(fd->changed);
        if (fd->top && !f->engine->failed)
            layer_unlink(fd->disk->io, fd->top->stem);
        layer_unref(fd->top);
    }
    f->disk_count = 0;
}

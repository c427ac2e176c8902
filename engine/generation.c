/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/generation.h"

#include <stdio.h>

#include "engine/plant.h"

int generation_drop_loading(struct disk *d)
{
    struct layer *l = d->loading;
    int r;

    if (!l)
        return 0;
    d->loading = NULL;
    r = layer_unlink(d->io, l->stem);
    layer_unref(l);
    return r;
}

/* ---- the initial copy ---- */

struct restart {
    const char *snapshot;
    bool push;
    bool fresh_maps; /* another point in time: what is here does not count */
};

static int root_restart(struct super *root, void *context)
{
    const struct restart *x = context;

    snprintf(root->snapshot, sizeof(root->snapshot), "%s", x->snapshot);
    root->flags = (uint8_t)(x->push ? root->flags | SUPER_PUSH : root->flags & ~SUPER_PUSH);
    for (unsigned i = 0; i < root->disk_count; i++) {
        root->disks[i].map_epoch += x->fresh_maps;
        /* A client may write anything anywhere before it says that it was written. */
        if (x->fresh_maps || x->push)
            root->disks[i].flags &= (uint8_t)~SUPER_DISK_EMPTY;
    }
    return 0;
}

static int fresh_map(struct disk *d, uint64_t epoch)
{
    _cleanup_free_ char *path = disk_map_path(d, epoch);
    struct map *map = NULL;
    int r;

    d->io->ops->unlink(d->io, path); /* of an attempt that did not reach its root write */
    r = map_create(d->io, path, d->folder, epoch, d->blocks, &map);
    if (r < 0)
        return r;
    /* Digests of the other point in time must not be taken for those of blocks that are only zeroed
     * here.  Durable before the root that begins anew: compares believe them. */
    r = digests_forget(d->io, d->digest_fd, d->blocks);
    if (r == 0 && !plant(PLANT_OLD_DIGESTS_STAY))
        r = io_fdatasync(d->io, d->digest_fd);
    if (r < 0) {
        map_free(map);
        return r;
    }
    map_free(d->map);
    d->map = map;
    d->target_empty = false;
    return 0;
}

int generation_begin_initial(struct engine *e, const char *snapshot, bool push, struct error **err)
{
    struct super root = superfile_get(&e->super);
    struct restart x = {.snapshot = snapshot, .push = push};
    bool same_way = !(root.flags & SUPER_PUSH) == !push;
    int r = 0;

    if ((strcmp(root.snapshot, snapshot) == 0 && same_way) || plant(PLANT_RESUME_OTHER_SNAPSHOT))
        return 0;
    x.fresh_maps = root.snapshot[0] != '\0';
    for (unsigned i = 0; r == 0 && x.fresh_maps && i < e->disk_count; i++)
        r = fresh_map(&e->disks[i], root.disks[i].map_epoch + 1);
    if (r == 0) {
        r = superfile_update(&e->super, root_restart, &x);
        if (r < 0)
            engine_fail(e);
    }
    for (unsigned i = 0; push && i < e->disk_count; i++)
        e->disks[i].target_empty = false;
    return r < 0 ? error_set_errno(err, -r, "cannot begin the initial copy in %s", e->store) : 0;
}

static int root_initial_done(struct super *root, void *context)
{
    root->mode = MODE_MIRROR;
    root->cur_gen = 0;
    root->flags &= (uint8_t)~SUPER_PUSH;
    for (unsigned i = 0; i < root->disk_count; i++) {
        root->disks[i].base_gen = 0;
        root->disks[i].map_epoch = 0;
        root->disks[i].flags &= (uint8_t)~(SUPER_DISK_EMPTY | SUPER_DISK_PRESEED);
    }
    return 0;
}

int generation_commit_initial(struct engine *e)
{
    int r = superfile_update(&e->super, root_initial_done, NULL);

    if (r < 0) {
        engine_fail(e);
        return r;
    }
    pthread_mutex_lock(&e->lock);
    e->mode = MODE_MIRROR;
    e->cur_gen = 0;
    for (unsigned i = 0; i < e->disk_count; i++)
        e->disks[i].oldest_readable = 0;
    r = engine_publish_locked(e);
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        struct super none = superfile_get(&e->super);

        map_free(d->map);
        d->map = NULL;
        disk_sweep(d, &none, false); /* the map file; what stays goes at the next start */
    }
    return r;
}

/* ---- layers ---- */

static int root_add_layers(struct super *root, void *context)
{
    root->cur_gen++;
    snprintf(root->snapshot, sizeof(root->snapshot), "%s", (const char *)context);
    for (unsigned i = 0; i < root->disk_count; i++) {
        struct super_disk *d = &root->disks[i];

        if (d->layer_count >= LAYERS_MAX)
            return -EBUSY;
        d->layers[d->layer_count++] = root->cur_gen;
    }
    return 0;
}

static int seal_all(struct engine *e, struct disk **ret_bad)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        r = layer_seal(e->disks[i].loading);
        if (r < 0)
            *ret_bad = &e->disks[i];
    }
    return r;
}

int generation_commit_layers(struct engine *e, const char *snapshot, struct disk **ret_bad)
{
    char copy[SNAPSHOT_ID_MAX + 1];
    int r = plant(PLANT_COMMIT_BEFORE_SEAL) ? 0 : seal_all(e, ret_bad);

    if (r < 0)
        return r;
    snprintf(copy, sizeof(copy), "%s", snapshot);
    r = superfile_update(&e->super, root_add_layers, copy);
    if (r < 0)
        engine_fail(e);
    if (r == 0 && plant(PLANT_COMMIT_BEFORE_SEAL))
        r = seal_all(e, ret_bad);
    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&e->lock);
    e->cur_gen++;
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        d->layers[d->layer_count++] = steal_ptr(d->loading);
    }
    return engine_publish_locked(e);
}

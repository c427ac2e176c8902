/* SPDX-License-Identifier: Apache-2.0 */
/* Opening (T19), closing, and the one-at-a-time rule of long operations. */
#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "engine/ctlserver.h"
#include "engine/draft.h"
#include "engine/fold.h"
#include "engine/hydrate.h"
#include "engine/keeper.h"
#include "engine/load.h"
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/recover.h"
#include "engine/room.h"
#include "engine/store.h"
#include "engine/vm.h"

#define FENCE_DEFAULT_NS (60 * NS_PER_S)

struct disk *engine_disk(struct engine *e, const char *name)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (strcmp(e->disks[i].name, name) == 0)
            return &e->disks[i];
    return NULL;
}

void engine_fail(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->failed = true;
    pthread_cond_broadcast(&e->changed);
}

static const char *mode_hint(enum store_mode mode)
{
    switch (mode) {
    case MODE_INIT:
        return "; sync it first";
    case MODE_MIRROR:
        return "; flip it first";
    case MODE_OWNER:
        return "; it has been flipped and follows no source";
    case MODE_OWNER_HYD:
        return "; it has been flipped and is not all here yet";
    case MODE_FAILBACK:
        return "; its VM is on the way back to the source";
    case MODE_RETURNED:
        return "; its VM went back to the source, whose disks are the truth now";
    default:
        return "";
    }
}

int engine_check_mode_locked(const struct engine *e, const char *name, unsigned modes,
                             struct error **err)
{
    if (e->failed)
        return error_set(err, EIO,
                         "the engine of %s has stopped changing anything because a write to the "
                         "store or a target failed; see to the disk and restart the engine",
                         e->store);
    if (!(modes & 1u << e->mode))
        return error_set(err, EPERM, "'%s' does not fit mode %s of %s%s", name,
                         store_mode_name(e->mode), e->store, mode_hint(e->mode));
    return 0;
}

int engine_operation_begin(struct engine *e, const char *name, unsigned modes, struct error **err)
{
    int r;

    LOCK_FOR_SCOPE(&e->lock);
    if (!e->failed && e->operation && strcmp(e->operation, LOAD_OPERATION) == 0)
        return error_set(err, EBUSY, "a push to %s is open; commit or abandon it ('slipway engine "
                                     "load')", e->store);
    if (!e->failed && e->operation)
        return error_set(err, EBUSY, "%s is busy with '%s'; wait for it or cancel it", e->store,
                         e->operation);
    r = engine_check_mode_locked(e, name, modes, err);
    if (r == 0)
        e->operation = name;
    return r;
}

void engine_operation_end(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->operation = NULL;
    pthread_cond_broadcast(&e->changed);
}

int engine_publish_locked(struct engine *e)
{
    struct view *old = e->latest, *fresh;
    int r;

    e->latest = NULL;
    r = view_get_locked(e, e->cur_gen, &fresh);
    if (r < 0) {
        e->latest = old;
        return r == -ESHUTDOWN ? 0 : r; /* a flip took the views away */
    }
    e->latest = fresh;
    view_put_locked(old);
    pthread_cond_broadcast(&e->changed);
    return 0;
}

/* ---- T19 ---- */

static int open_super(struct engine *e, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/super", e->store);
    int owner = 0, r;

    e->super_fd = superfile_open(e->io, path, 0, err);
    if (e->super_fd < 0)
        return e->super_fd;
    r = e->io->ops->lock(e->io, e->super_fd, e->fence_ns, &owner);
    if (r == -EBUSY && owner > 0)
        return error_set(err, EBUSY, "%s is served by another engine (process %d)", e->store,
                         owner);
    if (r < 0)
        return error_set_errno(err, -r, "cannot lock %s", path);
    /* What a killed engine wrote is visible and perhaps not durable; the next root must not be
     * written over the slot that is. */
    r = plant(PLANT_RESTART_NO_SYNC) ? 0 : io_fdatasync(e->io, e->super_fd);
    if (r < 0)
        return error_set_errno(err, -r, "cannot make %s durable", path);
    return superfile_load(&e->super, e->io, e->super_fd, path, err);
}

static int check_identity(struct engine *e, const struct store_vm *vm, struct error **err)
{
    const struct super *s = &e->super.current;

    if (memcmp(s->vm_uuid, vm->uuid, 16) != 0 || s->disk_count != vm->disk_count)
        return error_set(err, EBADMSG, "%s: vm.json and the superblock are not of the same VM; "
                                       "restore the one that was changed", e->store);
    for (unsigned i = 0; i < vm->disk_count; i++)
        if (s->disks[i].size != vm->disks[i].size)
            return error_set(err, EBADMSG, "%s: vm.json and the superblock differ in the size of "
                                           "disk %s; restore vm.json", e->store,
                             vm->disks[i].name);
    return 0;
}

static void init_disk(struct engine *e, unsigned i, const struct store_disk *sd)
{
    struct disk *d = &e->disks[i];

    d->io = e->io;
    d->index = i;
    d->name = str_dup(sd->name);
    d->folder = str_format("%s/%s", e->store, sd->name);
    d->target_path = str_dup(sd->target);
    d->size = sd->size;
    d->blocks = div_up(sd->size, BLOCK_SIZE);
    d->digest_fd = -1;
}

static int open_target(struct disk *d, const struct super_disk *s, uint64_t fence_ns,
                       struct error **err)
{
    int r = target_open(d->io, d->target_path, d->size, fence_ns, &d->target, err);

    if (r < 0)
        return error_prefix(err, "disk %s", d->name), r;
    if (memcmp(d->target.id, s->target_id, 16) != 0)
        return error_set(err, EBADMSG,
                         "disk %s: %s is not the target this store was made with (it was replaced "
                         "or restored); put the old one back or make a new store", d->name,
                         d->target_path);
    return 0;
}

/* A part of the store that is not there is as bad as one that is damaged. */
static int part_failure(int r, const char *path, struct error **err)
{
    return error_set(err, r == -ENOENT ? EBADMSG : -r,
                     "%s is damaged or missing (%s); restore it, or make a new store and sync "
                     "again", path, strerror(-r));
}

static int open_digests(struct disk *d, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/dig", d->folder);

    d->digest_fd = d->io->ops->open(d->io, path, 0);
    return d->digest_fd < 0 ? part_failure(d->digest_fd, path, err) : 0;
}

static int open_layers(struct disk *d, const struct super_disk *s, enum store_mode mode,
                       struct error **err)
{
    for (unsigned i = 0; i < s->layer_count; i++) {
        _cleanup_free_ char *stem = disk_layer_stem(d, s->layers[i]);
        struct layer *l;
        int r = layer_open(d->io, stem, d->size, &l);

        if (r < 0)
            return part_failure(r, stem, err);
        d->layers[d->layer_count++] = l;
        if (l->phase == LAYER_LOADING || (l->phase == LAYER_PARTIAL && mode != MODE_OWNER_HYD) ||
            l->gen != s->layers[i])
            return error_set(err, EBADMSG, "layer %s.* is not the one the superblock names; make a "
                                           "new store and sync again", stem);
    }
    return 0;
}

/* A layer that was being loaded, or sealed and not committed, when the engine ended.  An unusable
 * one, and one of a draft or a flip that did not come about, is simply not taken up. */
static void open_loading(struct disk *d, uint64_t gen)
{
    _cleanup_free_ char *stem = disk_layer_stem(d, gen);
    struct layer *l;

    if (layer_open(d->io, stem, d->size, &l) < 0)
        return;
    if (l->gen == gen && l->phase != LAYER_PARTIAL && !l->local)
        d->loading = l;
    else
        layer_unref(l);
}

static int open_map(struct disk *d, const struct super_disk *s, struct error **err)
{
    _cleanup_free_ char *path = disk_map_path(d, s->map_epoch);
    int r = map_open(d->io, path, s->map_epoch, d->blocks, &d->map);

    if (r < 0)
        return part_failure(r, path, err);
    d->target_empty = s->flags & SUPER_DISK_EMPTY || plant(PLANT_PRESEED_IS_EMPTY);
    d->preseed = s->flags & SUPER_DISK_PRESEED;
    return 0;
}

static int open_disk(struct engine *e, unsigned i, struct error **err)
{
    const struct super *s = &e->super.current;
    const struct super_disk *sd = &s->disks[i];
    struct disk *d = &e->disks[i];
    int r = open_target(d, sd, e->fence_ns, err);

    if (r == 0)
        r = open_digests(d, err);
    if (r == 0)
        r = open_layers(d, sd, s->mode, err);
    if (r == 0 && s->mode == MODE_INIT)
        r = open_map(d, sd, err);
    if (r == 0 && s->mode == MODE_MIRROR) {
        d->oldest_readable = sd->folding ? sd->folding : sd->base_gen;
        open_loading(d, s->cur_gen + 1);
    }
    if (r == 0)
        disk_sweep(d, s, true); /* what cannot be removed now is tried again next time */
    return r;
}

struct root_opened {
    uint8_t boot_id[16], nonce[16];
};

static int root_opened(struct super *s, void *context)
{
    const struct root_opened *x = context;

    s->clean = 0;
    s->flags &= (uint8_t)~SUPER_LATCHED;
    memcpy(s->boot_id, x->boot_id, 16);
    memcpy(s->live_nonce, x->nonce, 16);
    return 0;
}

static char *default_live_folder(const uint8_t uuid[16])
{
    char text[33];

    for (unsigned i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
    return str_format("/run/slipway/%s", text);
}

static int recover(struct engine *e, struct error **err)
{
    struct store_vm vm = {0};
    struct root_opened x = {0};
    int r = store_vm_read(e->io, e->store, &vm, err);

    if (r == 0)
        r = open_super(e, err);
    if (r == 0)
        r = check_identity(e, &vm, err);
    if (r == 0 && e->super.current.mode == MODE_DETACHED)
        r = error_set(err, EPERM, "%s is detached: its targets belong to whoever uses them now",
                      e->store);
    for (unsigned i = 0; r == 0 && i < vm.disk_count; i++) {
        init_disk(e, i, &vm.disks[i]);
        e->disk_count++;
        r = open_disk(e, i, err);
    }
    e->vm_name = str_dup(vm.name);
    e->live_folder = e->options.live_folder ? str_dup(e->options.live_folder)
                                            : default_live_folder(vm.uuid);
    store_vm_done(&vm);
    if (r == 0)
        r = engine_limits_open(e, err);
    if (r < 0)
        return r;
    r = e->io->ops->boot_id(e->io, x.boot_id);
    if (r < 0)
        return error_set_errno(err, -r, "cannot tell which boot of this machine this is");
    if (store_mode_is_owner(e->super.current.mode)) {
        r = recover_owners(e, x.boot_id, x.nonce, err);
        if (r < 0)
            return r;
    }
    r = superfile_update(&e->super, root_opened, &x);
    if (r < 0)
        return error_set_errno(err, -r, "cannot write the superblock of %s", e->store);
    room_open(e);
    e->mode = e->super.current.mode;
    e->cur_gen = e->super.current.cur_gen;
    pthread_mutex_lock(&e->lock);
    r = e->mode == MODE_MIRROR ? engine_publish_locked(e) : 0;
    pthread_mutex_unlock(&e->lock);
    if (r < 0)
        return error_set_errno(err, -r, "cannot open %s", e->store);
    return e->mode == MODE_OWNER_HYD ? recover_hydrators(e, err) : 0;
}

int engine_open_with(const struct engine_options *options, struct io *io,
                     const struct reader_factory *readers, struct engine **ret_engine,
                     struct error **err)
{
    struct engine *e = mem_new(1, sizeof(*e));
    int r;

    e->io = io;
    e->readers = readers;
    e->writers = &writer_nbd;
    e->options = *options;
    e->store = str_dup(options->store);
    e->control_path = options->control_socket ? str_dup(options->control_socket)
                                              : str_format("%s/%s", options->store,
                                                           CONTROL_SOCKET_NAME);
    e->fence_ns = options->fence_ns ? options->fence_ns : FENCE_DEFAULT_NS;
    e->super_fd = -1;
    e->cur_gen = NO_GENERATION;
    e->fold_goal = NO_GENERATION;
    e->revoke_grace_ns = ROOM_GRACE_NS;
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->fold_lock, NULL);
    pthread_mutex_init(&e->epoch_lock, NULL);
    pthread_mutex_init(&e->keeper_lock, NULL);
    lock_cond_init(&e->keeper_wake);
    pthread_cond_init(&e->changed, NULL);
    pthread_mutex_init(&e->limit_lock, NULL);
    yield_init(&e->yield);
    e->limits = limits_new();
    r = e->limits ? recover(e, err) : error_set_errno(err, ENOMEM, "cannot open %s", e->store);
    if (r < 0) {
        engine_close(e);
        return r;
    }
    *ret_engine = e;
    return 0;
}

int engine_open(const struct engine_options *options, struct engine **ret_engine,
                struct error **err)
{
    return engine_open_with(options, io_posix(), &reader_nbd, ret_engine, err);
}

int engine_start(struct engine *e, struct error **err)
{
    int r = fold_thread_start(e);

    if (r == 0)
        r = keeper_start(e);
    e->started = true;
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        if (e->disks[i].owner && e->disks[i].owner->hydrator)
            r = hydrator_start(e->disks[i].owner->hydrator);
    if (r < 0)
        return error_set_errno(err, -r, "cannot start the threads of %s", e->store);
    return ctlserver_start(e, e->control_path, &e->control, err);
}

static int root_closed(struct super *s, void *context)
{
    s->clean = 1;
    return 0;
}

/* True when the map files say everything the live files do. */
static bool finish_owners(struct engine *e)
{
    int r = 0;

    for (unsigned i = 0; i < e->disk_count; i++) {
        struct owner *o = e->disks[i].owner;

        if (!o)
            continue;
        engine_hydrator_end(e, o);
        if (store_mode_is_owner(e->mode) && r == 0)
            r = owner_finish(o);
    }
    return r == 0;
}

static void remove_live(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].owner)
            e->io->ops->map_unlink(e->io, e->disks[i].owner->live->path);
}

void engine_close(struct engine *e)
{
    bool clean;

    if (!e)
        return;
    ctlserver_stop(e->control);
    keeper_stop(e);
    fold_thread_stop(e);
    draft_abandon_all(e);
    load_end(e);
    pthread_mutex_lock(&e->lock);
    view_put_locked(e->latest);
    e->latest = NULL;
    pthread_mutex_unlock(&e->lock);
    clean = finish_owners(e);
    if (e->mode && e->mode != MODE_DETACHED && !e->failed && clean &&
        superfile_update(&e->super, root_closed, NULL) == 0)
        remove_live(e); /* after the root: until then they are needed */
    for (unsigned i = 0; i < e->disk_count; i++)
        disk_done(&e->disks[i]);
    if (e->super_fd >= 0)
        e->io->ops->close(e->io, e->super_fd);
    free(e->store);
    free(e->control_path);
    free(e->vm_name);
    limits_free(e->limits);
    yield_done(&e->yield);
    free(e->live_folder);
    free(e);
}

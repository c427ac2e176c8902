/* SPDX-License-Identifier: Apache-2.0 */
/* The warm flip (T10 with nothing missing) and the detach (T18). */
#include <stdio.h>

#include "base/clock.h"
#include "engine/draft.h"
#include "engine/export.h"
#include "engine/fold.h"
#include "engine/plant.h"

static void deadline_after(struct timespec *until, uint64_t ns)
{
    clock_gettime(CLOCK_REALTIME, until);
    until->tv_nsec += (long)(ns % NS_PER_S);
    until->tv_sec += (time_t)(ns / NS_PER_S) + until->tv_nsec / (long)NS_PER_S;
    until->tv_nsec %= (long)NS_PER_S;
}

/* Readers of the mirror must not see guest writes through the target: after `grace` their reads
 * fail.  Waits for reads under way. */
static void end_readers(struct engine *e, uint64_t grace_ns)
{
    struct timespec until;
    bool busy = true;

    deadline_after(&until, grace_ns);
    pthread_mutex_lock(&e->lock);
    e->flipping = true;
    view_put_locked(e->latest);
    e->latest = NULL;
    while (e->views && grace_ns > 0)
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0)
            break;
    for (struct view *v = e->views; v && !plant(PLANT_FLIP_READERS_STAY); v = v->next)
        atomic_store(&v->revoked, true);
    pthread_mutex_unlock(&e->lock);
    while (busy) {
        pthread_mutex_lock(&e->lock);
        busy = false;
        for (const struct view *v = e->views; v; v = v->next)
            busy |= atomic_load(&v->reading) > 0;
        pthread_mutex_unlock(&e->lock);
        if (busy)
            clock_sleep_ns(NS_PER_MS);
    }
}

static bool has_layers(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].layer_count > 0)
            return true;
    return false;
}

static int fold_everything(struct engine *e, progress_fn *progress, void *context,
                           struct error **err)
{
    atomic_bool never = false;
    int r;

    atomic_store(&e->fold_yield, true);
    r = fold_all(e, &never, progress, context);
    atomic_store(&e->fold_yield, false);
    if (r < 0)
        return error_set_errno(err, -r, "cannot fold the layers of %s into the targets; see to "
                                        "the target's disk and flip again", e->store);
    if (has_layers(e))
        return error_set(err, EBUSY, "%s still has layers that could not be folded; flip again",
                         e->store);
    return 0;
}

static int root_owner(struct super *s, void *context)
{
    s->mode = MODE_OWNER;
    return 0;
}

static int make_owner(struct engine *e, struct error **err)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        r = target_sync(&e->disks[i].target);
    if (r == 0)
        r = superfile_update(&e->super, root_owner, NULL);
    if (r < 0) {
        engine_fail(e);
        return error_set_errno(err, -r, "cannot make %s the owner; the mirror's last generation "
                                        "is intact", e->store);
    }
    LOCK_FOR_SCOPE(&e->lock);
    e->mode = MODE_OWNER;
    pthread_cond_broadcast(&e->changed);
    return 0;
}

static void drop_loading_layers(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        if (!d->loading)
            continue;
        layer_unlink(d->io, d->loading->stem);
        layer_unref(d->loading);
        d->loading = NULL;
    }
}

static void readers_again(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->flipping = false;
    engine_publish_locked(e);
}

int engine_flip(struct engine *e, uint64_t grace_ns, progress_fn *progress, void *context,
                struct error **err)
{
    int r = engine_operation_begin(e, "flip", 1u << MODE_MIRROR | 1u << MODE_OWNER, err);

    if (r < 0)
        return r;
    if (e->draft)
        r = error_set(err, EBUSY, "the draft '%s' is open; seal or drop it first",
                      e->draft->name);
    if (r == 0 && e->mode == MODE_MIRROR) {
        end_readers(e, grace_ns);
        r = fold_everything(e, progress, context, err);
        if (r == 0)
            r = make_owner(e, err);
        if (r == 0)
            drop_loading_layers(e);
        else
            readers_again(e);
    }
    engine_operation_end(e);
    return r;
}

/* ---- T18 ---- */

static int wait_no_writers(struct engine *e, uint64_t grace_ns, struct error **err)
{
    struct timespec until;

    deadline_after(&until, grace_ns);
    LOCK_FOR_SCOPE(&e->lock);
    for (;;) {
        unsigned writers = 0;

        for (const struct export *x = e->exports; x; x = x->next)
            writers += x->ops == &export_owner_ops;
        if (writers == 0)
            break;
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0)
            return error_set(err, EBUSY, "%u connections still use the disks of %s; stop the VM "
                                         "first", writers, e->store);
    }
    e->mode = MODE_DETACHED; /* no new connections from here on */
    return 0;
}

static int root_detached(struct super *s, void *context)
{
    s->mode = MODE_DETACHED;
    s->clean = 1;
    return 0;
}

int engine_detach(struct engine *e, uint64_t grace_ns, struct error **err)
{
    int r = engine_operation_begin(e, "detach", 1u << MODE_OWNER | 1u << MODE_DETACHED, err);

    if (r < 0)
        return r;
    if (e->mode == MODE_OWNER) {
        r = wait_no_writers(e, grace_ns, err);
        for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
            r = target_sync(&e->disks[i].target);
            if (r < 0)
                error_set_errno(err, -r, "cannot flush the target of disk %s", e->disks[i].name);
        }
        if (r == 0) {
            r = superfile_update(&e->super, root_detached, NULL);
            if (r < 0)
                error_set_errno(err, -r, "cannot record the detach of %s", e->store);
        }
        if (r < 0 && e->mode == MODE_DETACHED)
            engine_fail(e);
        for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
            target_close(&e->disks[i].target); /* lets go of the locks */
    }
    engine_operation_end(e);
    return r;
}

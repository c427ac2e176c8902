/* SPDX-License-Identifier: Apache-2.0 */
/* An owner gets more layers: a sealed draft over it.  The same as a flip, from an epoch to the next. */
#include <string.h>

#include "engine/export.h"
#include "engine/flip.h"
#include "engine/lock.h"
#include "engine/recover.h"

/* None is there, and none comes until let_clients_in(). */
static int keep_clients_out(struct engine *e, struct error **err)
{
    LOCK_FOR_SCOPE(&e->lock);
    for (const struct export *x = e->exports; x; x = x->next)
        if (x->ops == &export_owner_ops)
            return error_set(err, EBUSY, "a client still uses disk %s of %s; stop the VM first",
                             x->disk->name, e->store);
    e->flipping = true;
    return 0;
}

static void let_clients_in(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->flipping = false;
}

/* Who fetches for the old epoch must have ended before its masks go. */
static void stop_hydrators(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        engine_hydrator_end(e, e->disks[i].owner);
}

static int finish_old(struct engine *e, struct error **err)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        r = owner_finish(e->disks[i].owner);
    return r < 0 ? error_set_errno(err, -r, "cannot flush the disks of %s", e->store) : 0;
}

static int fill_begins(struct engine *e, struct layer *layers[DISKS_MAX],
                       struct owner_begin begins[DISKS_MAX], struct error **err)
{
    struct super root = superfile_get(&e->super);

    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        struct owner_begin *b = &begins[i];

        if (d->layer_count > LAYERS_MAX)
            return error_set(err, EBUSY, "disk %s has %d layers that are still being brought; try "
                                         "again when some of it is here", d->name, LAYERS_MAX + 1);
        b->previous = d->owner;
        b->all_missing = root.disks[i].flags & SUPER_DISK_ALL_MISSING;
        if (layers[i])
            b->layers[b->layer_count++] = layers[i];
        for (unsigned k = d->layer_count; k-- > 0;)
            b->layers[b->layer_count++] = d->layers[k];
    }
    return 0;
}

int owner_add_layers(struct engine *e, struct layer *layers[DISKS_MAX],
                     int (*change)(struct super *, void *), void *context, struct error **err)
{
    struct owner_begin begins[DISKS_MAX] = {0};
    int r = keep_clients_out(e, err);

    if (r < 0)
        return r;
    HOLD_FOR_SCOPE(&e->epoch_lock);
    r = fill_begins(e, layers, begins, err);
    if (r == 0)
        stop_hydrators(e);
    if (r == 0)
        r = finish_old(e, err);
    if (r == 0)
        r = flip_commit(e, begins, change, context, err);
    /* Also after a failure: then it is the old epoch that goes on. */
    if (e->mode == MODE_OWNER_HYD && !e->failed && recover_hydrators(e, r < 0 ? NULL : err) < 0)
        r = r < 0 ? r : -EIO;
    let_clients_in(e);
    return r;
}

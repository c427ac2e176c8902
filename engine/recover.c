/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/recover.h"

#include <sys/random.h>

#include "base/log.h"
#include "engine/hydrate.h"
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/sourcefile.h"

static bool all_live(const struct engine *e, const struct super *s)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (!owner_has_live(e, &e->disks[i], s->disks[i].map_epoch, s->live_nonce))
            return false;
    return true;
}

static int decide(struct engine *e, const struct super *s, const uint8_t boot_id[16],
                  enum owner_start *ret_start, struct error **err)
{
    bool same_boot = memcmp(s->boot_id, boot_id, 16) == 0;

    if (s->flags & SUPER_LATCHED && !e->options.accept_loss)
        return error_set(err, EUCLEAN,
                         "%s: a flush of the VM's disks failed once, so writes that the guest "
                         "takes for durable may be lost; see to the device, check the guest's "
                         "file systems, and go on with --accept-loss", e->store);
    *ret_start = s->clean ? OWNER_AFTER_END : OWNER_AFTER_LOSS;
    if (s->clean || !same_boot)
        return 0;
    if (plant(PLANT_LIVE_IGNORED))
        return 0;
    if (all_live(e, s))
        *ret_start = OWNER_ADOPT;
    else if (!e->options.accept_loss)
        return error_set(err, EUCLEAN,
                         "%s: the live files in %s are gone although this machine was not "
                         "restarted, so writes that were acknowledged may be invisible; put them "
                         "back, or go on from the last flush with --accept-loss", e->store,
                         e->live_folder);
    return 0;
}

/* Live files of an epoch that did not come to be, or that was over when the engine was killed. */
static void remove_strays(struct engine *e, const struct disk *d, uint64_t epoch)
{
    _cleanup_free_ char *before = owner_live_path(e, d, epoch - 1);
    _cleanup_free_ char *after = owner_live_path(e, d, epoch + 1);

    e->io->ops->map_unlink(e->io, before);
    e->io->ops->map_unlink(e->io, after);
}

int recover_owners(struct engine *e, const uint8_t boot_id[16], uint8_t ret_nonce[16],
                   struct error **err)
{
    static const char *const words[] = {"killed", "ended in order", "stopped by a power loss"};
    struct super s = superfile_get(&e->super);
    enum owner_start start = OWNER_ADOPT;
    int r = decide(e, &s, boot_id, &start, err);

    if (r < 0)
        return r;
    memcpy(ret_nonce, s.live_nonce, 16);
    if (start != OWNER_ADOPT && getrandom(ret_nonce, 16, 0) != 16)
        return error_set_errno(err, errno, "cannot open %s", e->store);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        enum owner_absent absent = s.mode != MODE_OWNER_HYD && d->layer_count == 0
                                       ? OWNER_ABSENT_HERE
                                   : s.disks[i].flags & SUPER_DISK_ALL_MISSING
                                       ? OWNER_ABSENT_MISSING
                                       : OWNER_ABSENT_LAYERS;

        r = owner_recover(e, d, start, s.disks[i].map_epoch, absent, ret_nonce, &d->owner);
        if (r < 0)
            error_set(err, r == -ENOENT ? EBADMSG : -r,
                      "disk %s: the map or activity log in %s is damaged or missing (%s); restore "
                      "it", d->name, d->folder, strerror(-r));
    }
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        remove_strays(e, &e->disks[i], s.disks[i].map_epoch);
    if (r == 0)
        log_info("%s: goes on after an engine that was %s", e->store, words[start]);
    return r;
}

static int make_hydrator(struct engine *e, struct owner *o, const char *uri)
{
    struct hydrator_options options = {.readers = e->readers,
                                       .uri = uri,
                                       .wait_ns = e->options.source_wait_ns,
                                       .zero_map = true};
    struct hydrator *h;
    int r = hydrator_new(o, &options, &h);

    if (r == 0 && e->started)
        r = hydrator_start(h);
    if (r < 0) {
        hydrator_free(h);
        return r;
    }
    LOCK_FOR_SCOPE(&e->lock); /* status looks at it */
    o->hydrator = h;
    return 0;
}

void engine_hydrator_end(struct engine *e, struct owner *o)
{
    struct hydrator *h;

    lock_take(&e->lock);
    h = steal_ptr(o->hydrator);
    lock_release(&e->lock);
    if (h)
        hydrator_stop(h);
    hydrator_free(h);
}

/* It may be an error that passes, and without the file nobody knows where the rest is. */
static int read_source(struct engine *e, struct sourcefile *file, struct error **err)
{
    int r = -EIO;

    for (unsigned tries = 0; tries < 3 && r < 0 && r != -ENOENT && r != -EBADMSG; tries++) {
        error_free(*err);
        *err = NULL;
        r = sourcefile_read(e->io, e->store, file, err);
    }
    return r;
}

int engine_hydrators(struct engine *e, struct owner *const owners[DISKS_MAX], struct error **err)
{
    struct sourcefile file = {0};
    _cleanup_error_ struct error *why = NULL;
    int r = read_source(e, &file, &why);

    if (r < 0 && r != -ENOENT) /* without one there may be layers alone to bring */
        log_warning("%s: %s", e->store, why ? error_text(why) : strerror(-r));
    r = 0;
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        if (!owners[i]->hydrator)
            r = make_hydrator(e, owners[i], sourcefile_uri(&file, e->disks[i].name));
    sourcefile_done(&file);
    return r < 0 ? error_set_errno(err, -r, "cannot fetch what %s is missing; restart its engine",
                                   e->store)
                 : 0;
}

int recover_hydrators(struct engine *e, struct error **err)
{
    struct owner *owners[DISKS_MAX];

    for (unsigned i = 0; i < e->disk_count; i++)
        owners[i] = e->disks[i].owner;
    return engine_hydrators(e, owners, err);
}

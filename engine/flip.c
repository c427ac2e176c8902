/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flip.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/draft.h"
#include "engine/export.h"
#include "engine/fold.h"
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/recover.h"
#include "engine/sourcefile.h"

static void deadline_after(struct timespec *until, uint64_t ns)
{
    clock_gettime(CLOCK_REALTIME, until);
    until->tv_nsec += (long)(ns % NS_PER_S);
    until->tv_sec += (time_t)(ns / NS_PER_S) + until->tv_nsec / (long)NS_PER_S;
    until->tv_nsec %= (long)NS_PER_S;
}

void flip_end_readers(struct engine *e, uint64_t grace_ns)
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
            lock_pause();
    }
}

static void readers_again(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->flipping = false;
    if (e->mode == MODE_MIRROR)
        engine_publish_locked(e);
}

/* Layers that a fold must still bring; those of drafts stay, they become hydration sources. */
static bool has_foreign_layers(struct engine *e, uint64_t gen)
{
    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; i < e->disk_count; i++)
        for (unsigned k = 0; k < e->disks[i].layer_count; k++)
            if (!e->disks[i].layers[k]->local && e->disks[i].layers[k]->gen <= gen)
                return true;
    return false;
}

static int fold_everything(struct engine *e, uint64_t gen, progress_fn *progress, void *context,
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
    if (has_foreign_layers(e, gen))
        return error_set(err, EBUSY, "%s still has layers that could not be folded; flip again",
                         e->store);
    return 0;
}

/* ---- T10.4, T10.5 ---- */

struct root_flip {
    struct engine *engine;
    const struct owner_begin *begins;
    const uint8_t *nonce;
    struct owner *owners[DISKS_MAX];
    bool missing;
    int (*change)(struct super *super, void *context);
    void *context;
};

static int root_flip(struct super *s, void *context)
{
    const struct root_flip *x = context;
    int r = x->change ? x->change(s, x->context) : 0;

    s->mode = x->missing ? MODE_OWNER_HYD : MODE_OWNER;
    s->clean = 0;
    memcpy(s->live_nonce, x->nonce, 16);
    for (unsigned i = 0; i < s->disk_count; i++) {
        struct super_disk *d = &s->disks[i];
        const struct owner_begin *b = &x->begins[i];

        d->map_epoch = b->epoch;
        d->folding = 0;
        d->layer_count = 0;
        d->flags = b->all_missing && x->missing ? SUPER_DISK_ALL_MISSING : 0;
        memset(d->layers, 0, sizeof(d->layers));
        if (!x->missing) /* layers without a change, if any */
            d->base_gen = s->cur_gen;
        for (unsigned k = x->missing ? b->layer_count : 0; k > 0; k--)
            d->layers[d->layer_count++] = b->layers[k - 1]->gen;
    }
    return r;
}

static void free_attempt(struct root_flip *x)
{
    for (unsigned i = 0; i < x->engine->disk_count; i++) {
        struct owner *o = x->owners[i];
        _cleanup_free_ char *path = NULL;

        if (!o)
            continue;
        path = str_dup(o->live->path);
        owner_free(o);
        x->engine->io->ops->map_unlink(x->engine->io, path);
    }
}

/* Old views may still hold layers; the list is the engine's own. */
static void publish(struct root_flip *x)
{
    struct engine *e = x->engine;

    LOCK_FOR_SCOPE(&e->lock);
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        const struct owner_begin *b = &x->begins[i];
        struct layer *fresh[LAYERS_MAX + 1];
        unsigned count = 0;

        for (unsigned k = x->missing ? b->layer_count : 0; k > 0; k--)
            fresh[count++] = layer_ref(b->layers[k - 1]);
        for (unsigned k = 0; k < d->layer_count; k++)
            layer_unref(d->layers[k]);
        memcpy(d->layers, fresh, count * sizeof(*fresh));
        d->layer_count = count;
        d->owner = x->owners[i];
        if (!x->missing)
            owner_completed(d->owner);
    }
    e->flipping = false;
    e->mode = x->missing ? MODE_OWNER_HYD : MODE_OWNER;
    e->cur_gen = e->super.current.cur_gen;
    pthread_cond_broadcast(&e->changed);
}

static void drop_old_epoch(struct engine *e, char *old_live[DISKS_MAX])
{
    struct super root = superfile_get(&e->super);

    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        map_free(d->map);
        d->map = NULL;
        disk_sweep(d, &root, false); /* what stays goes at the next start */
        if (old_live[i])
            e->io->ops->map_unlink(e->io, old_live[i]);
    }
}

static int create_owners(struct root_flip *x, struct owner_begin *begins)
{
    struct engine *e = x->engine;
    struct super root = superfile_get(&e->super);
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        begins[i].epoch = root.disks[i].map_epoch + 1;
        begins[i].nonce = x->nonce;
        r = owner_create(e, &e->disks[i], &begins[i], &x->owners[i]);
        if (r == 0)
            x->missing |= !owner_is_complete(x->owners[i]);
    }
    return r;
}

int flip_commit(struct engine *e, struct owner_begin begins[DISKS_MAX],
                int (*change)(struct super *, void *), void *context, struct error **err)
{
    uint8_t nonce[LIVE_NONCE_SIZE];
    char *old_live[DISKS_MAX] = {0};
    struct owner *old[DISKS_MAX] = {0};
    struct root_flip x = {.engine = e, .begins = begins, .nonce = nonce, .change = change,
                          .context = context};
    int r = getrandom(nonce, sizeof(nonce), 0) == sizeof(nonce) ? 0 : -EIO;

    for (unsigned i = 0; i < e->disk_count; i++) {
        old[i] = e->disks[i].owner;
        old_live[i] = old[i] ? str_dup(old[i]->live->path) : NULL;
    }
    if (r == 0)
        r = create_owners(&x, begins);
    if (r < 0) {
        free_attempt(&x);
        if (r == -EIO)
            engine_fail(e); /* a sync failed: nobody knows what is durable */
        error_set_errno(err, -r, "cannot prepare the owner's files of %s", e->store);
    } else {
        r = superfile_update(&e->super, root_flip, &x);
        if (r < 0) {
            engine_fail(e);
            for (unsigned i = 0; i < e->disk_count; i++)
                owner_free(x.owners[i]); /* the files stay: the root may name them */
            error_set_errno(err, -r, "cannot make %s the owner; the mirror's last generation is "
                                     "intact", e->store);
        } else {
            /* Before anybody can ask for what is missing.  A failure is told by the caller, who
             * tries again: the root says what it says. */
            if (x.missing)
                (void)engine_hydrators(e, x.owners, NULL);
            publish(&x);
            for (unsigned i = 0; i < e->disk_count; i++)
                owner_free(old[i]);
            drop_old_epoch(e, old_live);
        }
    }
    for (unsigned i = 0; i < e->disk_count; i++)
        free(old_live[i]);
    return r;
}

/* ---- T16 ---- */

static int root_complete(struct super *s, void *context)
{
    if (s->mode == MODE_OWNER_HYD)
        s->mode = MODE_OWNER;
    for (unsigned i = 0; i < s->disk_count; i++) {
        s->disks[i].layer_count = 0;
        memset(s->disks[i].layers, 0, sizeof(s->disks[i].layers));
        s->disks[i].flags = 0;
        s->disks[i].base_gen = s->cur_gen;
    }
    return 0;
}

static bool all_complete(const struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (!e->disks[i].owner || !owner_is_complete(e->disks[i].owner))
            return false;
    return true;
}

static void let_go(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        owner_completed(d->owner);
        for (unsigned k = 0; k < d->layer_count; k++) {
            layer_unlink(d->io, d->layers[k]->stem);
            layer_unref(d->layers[k]);
        }
        d->layer_count = 0;
    }
    sourcefile_remove(e->io, e->store);
}

int flip_complete(struct engine *e)
{
    int r = 0;

    if (e->failed || e->mode != MODE_OWNER_HYD || !all_complete(e))
        return 0;
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        r = plant(PLANT_COMPLETE_NO_FLUSH) ? 0 : owner_flush(e->disks[i].owner);
        if (r == 0)
            r = io_fdatasync(e->io, e->disks[i].digest_fd);
    }
    if (r == 0)
        r = superfile_update(&e->super, root_complete, NULL);
    if (r < 0) {
        engine_fail(e);
        return r;
    }
    let_go(e);
    LOCK_FOR_SCOPE(&e->lock);
    e->mode = e->super.current.mode;
    pthread_cond_broadcast(&e->changed);
    return 1;
}

int flip_hydrate_local(struct engine *e, progress_fn *progress, void *context, struct error **err)
{
    struct progress_report p = {"hydrate", 0, 0};
    int r = 0;

    for (unsigned i = 0; i < e->disk_count; i++)
        p.total_bytes += owner_missing_bytes(e->disks[i].owner);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct owner *o = e->disks[i].owner;

        if (owner_is_complete(o))
            continue;
        for (uint64_t b = map_find(o->map, 0); r == 0 && b < o->disk->blocks;
             b = map_find(o->map, b + 1)) {
            r = owner_hydrate_local(o, b, 16);
            p.done_bytes = MIN(p.done_bytes + BLOCK_SIZE, p.total_bytes);
            if (progress)
                progress(&p, context);
        }
    }
    if (r == 0)
        r = flip_complete(e);
    return r < 0 ? error_set_errno(err, -r, "%s is the owner, but not all of it could be brought "
                                            "into the targets; it goes on when the engine is "
                                            "started again", e->store)
                 : 0;
}

/* ---- flip ---- */

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

/* The generation that becomes the owner is settled: nothing newer is folded, all else is. */
static int choose_generation(struct flip *f, struct error **err)
{
    struct engine *e = f->engine;
    const struct flip_request *q = f->request;

    LOCK_FOR_SCOPE(&e->lock);
    f->gen = q->older ? q->generation : e->cur_gen;
    if (!view_is_readable_locked(e, f->gen))
        return error_set(err, ENOENT, "generation %" PRIu64 " of %s is not retained; 'status' "
                                      "lists those that are", f->gen, e->store);
    snprintf(f->snapshot, sizeof(f->snapshot), "generation %" PRIu64, f->gen);
    for (unsigned k = 0; k < e->disks[0].layer_count; k++)
        if (e->disks[0].layers[k]->gen == f->gen && e->disks[0].layers[k]->snapshot[0])
            memcpy(f->snapshot, e->disks[0].layers[k]->snapshot, sizeof(f->snapshot));
    e->fold_goal = f->gen;
    return 0;
}

static void forget_goal(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->fold_goal = NO_GENERATION;
}

static int root_token(struct super *s, void *context)
{
    const struct flip *f = context;

    if (f->request->token)
        memcpy(s->token, f->request->token, sizeof(s->token));
    return 0;
}

/* Layers that are newer are in no list of the new root: this write discards them. */
static int root_warm(struct super *s, void *context)
{
    const struct flip *f = context;

    if (f->gen < s->cur_gen) {
        s->cur_gen = f->gen;
        memcpy(s->snapshot, f->snapshot, sizeof(s->snapshot));
    }
    return root_token(s, context);
}

static int flip_warm(struct flip *f, progress_fn *progress, void *context, struct error **err)
{
    struct engine *e = f->engine;
    struct owner_begin begins[DISKS_MAX] = {0};
    int r = fold_everything(e, f->gen, progress, context, err);

    if (r < 0)
        return r;
    lock_take(&e->fold_lock);
    for (unsigned i = 0; i < e->disk_count; i++)
        for (unsigned k = e->disks[i].layer_count; k-- > 0;)
            if (e->disks[i].layers[k]->gen <= f->gen)
                begins[i].layers[begins[i].layer_count++] = e->disks[i].layers[k];
    r = flip_commit(e, begins, root_warm, f, err);
    lock_release(&e->fold_lock);
    if (r < 0)
        return r;
    drop_loading_layers(e);
    return flip_hydrate_local(e, progress, context, err);
}

static int root_instant(struct super *s, void *context)
{
    const struct flip *f = context;
    bool same = strcmp(s->snapshot, f->request->snapshot) == 0 && s->cur_gen != NO_GENERATION;

    if (!same)
        s->cur_gen++; /* NO_GENERATION + 1 is 0 */
    snprintf(s->snapshot, sizeof(s->snapshot), "%s", f->request->snapshot);
    for (unsigned i = 0; i < s->disk_count; i++)
        if (s->disks[i].base_gen == NO_GENERATION)
            s->disks[i].base_gen = 0;
    return root_token(s, context);
}

static void fill_begin(const struct flip *f, const struct flip_disk *fd, struct owner_begin *b)
{
    struct disk *d = fd->disk;

    if (f->initial) {
        b->all_missing = true;
        b->initial = d->map;
        b->changed = fd->changed;
        return;
    }
    if (fd->top)
        b->layers[b->layer_count++] = fd->top;
    for (unsigned k = d->layer_count; k-- > 0;)
        b->layers[b->layer_count++] = d->layers[k];
}

static int flip_instant(struct flip *f, struct error **err)
{
    struct engine *e = f->engine;
    struct owner_begin begins[DISKS_MAX] = {0};
    int r;

    atomic_store(&e->fold_yield, true);
    lock_take(&e->fold_lock);
    atomic_store(&e->fold_yield, false);
    for (unsigned i = 0; i < f->disk_count; i++)
        fill_begin(f, &f->disks[i], &begins[f->disks[i].disk->index]);
    r = sourcefile_write(e->io, e->store, f->request->sources, f->request->source_count,
                         f->request->snapshot);
    if (r < 0)
        error_set_errno(err, -r, "cannot write the place of the source into %s", e->store);
    if (r == 0)
        r = flip_commit(e, begins, root_instant, f, err);
    if (r == 0)
        for (unsigned i = 0; i < f->disk_count; i++)
            layer_unref(steal_ptr(f->disks[i].top)); /* the root names it now */
    lock_release(&e->fold_lock);
    if (r < 0)
        return r;
    drop_loading_layers(e);
    if (e->mode == MODE_OWNER)
        sourcefile_remove(e->io, e->store); /* nothing was missing */
    return e->mode == MODE_OWNER_HYD ? recover_hydrators(e, err) : 0;
}

/* An instant flip takes a running sync over: what that has brought stays. */
static int begin(struct engine *e, const struct flip_request *q, struct error **err)
{
    unsigned modes = 1u << MODE_MIRROR | 1u << MODE_OWNER | 1u << MODE_OWNER_HYD |
                     (q->instant ? 1u << MODE_INIT : 0);

    pthread_mutex_lock(&e->lock);
    while (q->instant && e->sync && e->operation && strcmp(e->operation, "sync") == 0) {
        atomic_store(&e->sync->cancel, true);
        pthread_cond_wait(&e->changed, &e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return engine_operation_begin(e, "flip", modes, err);
}

static int flip(struct flip *f, progress_fn *progress, void *context, struct error **err)
{
    struct engine *e = f->engine;
    int r = f->request->instant ? flip_prepare(f, err) : choose_generation(f, err);

    if (r == 0) {
        flip_end_readers(e, f->request->grace_ns);
        r = f->request->instant ? flip_instant(f, err) : flip_warm(f, progress, context, err);
        if (r < 0 && !store_mode_is_owner(e->mode))
            readers_again(e);
    }
    forget_goal(e);
    flip_done(f);
    return r;
}

/* A draft may only be lost by those who made it; none is made while this operation runs. */
static int refuse_drafts(struct engine *e, struct error **err)
{
    LOCK_FOR_SCOPE(&e->lock);
    return e->drafts ? error_set(err, EBUSY, "the draft '%s' is open; seal or drop it first",
                                 e->drafts->name)
                     : 0;
}

int engine_flip(struct engine *e, const struct flip_request *q, progress_fn *progress,
                void *context, struct error **err)
{
    struct flip f = {.engine = e, .request = q, .initial = e->mode == MODE_INIT};
    int r = begin(e, q, err);

    if (r < 0)
        return r;
    f.initial = e->mode == MODE_INIT;
    if (!store_mode_is_owner(e->mode)) {
        r = refuse_drafts(e, err);
        if (r == 0)
            r = flip(&f, progress, context, err);
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
        unsigned writers = export_count_owner_locked(e);

        if (writers == 0)
            break;
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0)
            return error_set(err, EBUSY, "%u connections still use the disks of %s; stop the VM "
                                         "first", writers, e->store);
    }
    e->mode = MODE_DETACHED; /* no new connections from here on */
    return 0;
}

struct root_detached {
    const uint8_t *token;
};

static int root_detached(struct super *s, void *context)
{
    const struct root_detached *x = context;

    s->mode = MODE_DETACHED;
    s->clean = 1;
    if (x->token)
        memcpy(s->token, x->token, sizeof(s->token));
    return 0;
}

static int detach(struct engine *e, uint64_t grace_ns, const uint8_t *token, struct error **err)
{
    struct root_detached x = {token};
    int r = wait_no_writers(e, grace_ns, err);

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        r = owner_finish(e->disks[i].owner);
        if (r < 0)
            error_set_errno(err, -r, "cannot flush the target of disk %s", e->disks[i].name);
    }
    if (r == 0) {
        r = superfile_update(&e->super, root_detached, &x);
        if (r < 0)
            error_set_errno(err, -r, "cannot record the detach of %s", e->store);
    }
    if (r < 0 && e->mode == MODE_DETACHED)
        engine_fail(e);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        e->io->ops->map_unlink(e->io, e->disks[i].owner->live->path);
        target_close(&e->disks[i].target); /* lets go of the locks */
    }
    return r;
}

int engine_detach(struct engine *e, uint64_t grace_ns, const uint8_t *token, struct error **err)
{
    int r = engine_operation_begin(
        e, "detach", 1u << MODE_OWNER | 1u << MODE_FAILBACK | 1u << MODE_DETACHED, err);

    if (r < 0)
        return r;
    r = refuse_drafts(e, err);
    if (r == 0 && e->mode != MODE_DETACHED) {
        HOLD_FOR_SCOPE(&e->epoch_lock);
        r = detach(e, grace_ns, token, err);
    }
    engine_operation_end(e);
    return r;
}

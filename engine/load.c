/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/load.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/generation.h"
#include "engine/plant.h"
#include "engine/room.h"

#define MODES (1u << MODE_INIT | 1u << MODE_MIRROR)

static void load_free(struct load *l)
{
    for (unsigned i = 0; i < l->disk_count; i++) {
        struct load_disk *ld = &l->disks[i];

        for (unsigned k = 0; k < LOAD_STRIPES; k++)
            pthread_mutex_destroy(&ld->stripes[k]);
        pthread_mutex_destroy(&ld->checkpoint_lock);
        free((void *)ld->loose);
        free((void *)ld->broken);
    }
    view_put(l->base);
    free(l);
}

static struct load *load_new(struct engine *e)
{
    struct load *l = calloc(1, sizeof(*l) + e->disk_count * sizeof(l->disks[0]));

    if (!l)
        return NULL;
    l->engine = e;
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct load_disk *ld = &l->disks[i];
        size_t words = div_up(e->disks[i].blocks, 64);

        ld->disk = &e->disks[i];
        ld->loose = calloc(words, sizeof(*ld->loose));
        ld->broken = calloc(words, sizeof(*ld->broken));
        for (unsigned k = 0; k < LOAD_STRIPES; k++)
            pthread_mutex_init(&ld->stripes[k], NULL);
        pthread_mutex_init(&ld->checkpoint_lock, NULL);
        l->disk_count++;
        if (!ld->loose || !ld->broken) {
            load_free(l);
            return NULL;
        }
    }
    return l;
}

/* ---- what an earlier engine left ---- */

static bool initial_left(struct engine *e)
{
    struct super root = superfile_get(&e->super);

    return root.mode == MODE_INIT && root.flags & SUPER_PUSH && root.snapshot[0];
}

static bool layers_left(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].loading && e->disks[i].loading->push)
            return true;
    return false;
}

/* Into the state before the push: nothing of it counts any more. */
static int drop(struct engine *e)
{
    int r = 0;

    if (initial_left(e))
        return generation_begin_initial(e, "", false, NULL);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++)
        r = generation_drop_loading(&e->disks[i]);
    return r;
}

/* ---- begin ---- */

static void choose_snapshot(struct load *l, const char *snapshot)
{
    uint64_t random = clock_now_ns();

    l->named = snapshot != NULL;
    if (getrandom(&random, sizeof(random), 0) < 0)
        random ^= (uintptr_t)l;
    if (snapshot)
        snprintf(l->snapshot, sizeof(l->snapshot), "%s", snapshot);
    else
        snprintf(l->snapshot, sizeof(l->snapshot), "unnamed-%016llx", (unsigned long long)random);
}

static int begin_initial(struct load *l, struct error **err)
{
    struct engine *e = l->engine;
    struct super root = superfile_get(&e->super);
    int r;

    l->resumed = root.flags & SUPER_PUSH && strcmp(root.snapshot, l->snapshot) == 0;
    r = generation_begin_initial(e, l->snapshot, true, err);
    for (unsigned i = 0; r == 0 && l->resumed && i < e->disk_count; i++) {
        r = load_loosen(l, &e->disks[i]);
        if (r < 0)
            error_set_errno(err, -r, "cannot go on with the push in %s", e->store);
    }
    return r;
}

/* A push may be gone on with only as a whole: one of its layers may have given way to a sync that
 * failed to begin. */
static bool is_whole(const struct load *l)
{
    for (unsigned i = 0; i < l->disk_count; i++) {
        const struct layer *loading = l->disks[i].disk->loading;

        if (!loading || !loading->push || strcmp(loading->snapshot, l->snapshot) != 0)
            return false;
    }
    return true;
}

static int begin_layer(struct load *l, struct disk *d)
{
    struct layer_params params = {.gen = l->engine->cur_gen + 1,
                                  .disk_size = d->size,
                                  .snapshot = l->snapshot,
                                  .push = true};
    _cleanup_free_ char *stem = disk_layer_stem(d, params.gen);
    int r;

    if (l->resumed)
        return load_loosen(l, d);
    r = generation_drop_loading(d);
    if (r < 0)
        return r;
    layer_unlink(d->io, stem); /* of an attempt that failed half-way */
    r = layer_create(d->io, stem, &params, &d->loading);
    if (r == 0)
        r = layer_begin(d->loading, d->folder);
    if (r < 0)
        generation_drop_loading(d);
    return r;
}

static int begin_delta(struct load *l, struct error **err)
{
    struct engine *e = l->engine;
    int r = room_make(e, NULL, err);

    if (r < 0)
        return r;
    r = view_get(e, NO_GENERATION, &l->base);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read the mirror");
    l->resumed = is_whole(l);
    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        r = begin_layer(l, &e->disks[i]);
        if (r < 0)
            error_set_errno(err, -r, "cannot begin a layer for disk %s in %s", e->disks[i].name,
                            e->disks[i].folder);
    }
    return r;
}

static int check_begin(struct engine *e, const char *snapshot, bool implicit, struct error **err)
{
    struct super root = superfile_get(&e->super);

    if (root.flags & SUPER_LOCAL_CHANGES)
        return error_set(err, EPERM,
                         "a draft was committed to this store, so it no longer follows the source; "
                         "flip it, or make a new store");
    if (snapshot && root.mode == MODE_MIRROR && strcmp(root.snapshot, snapshot) == 0)
        return error_set(err, EEXIST, "the current generation of %s is '%s' already", e->store,
                         snapshot);
    if (implicit && (initial_left(e) || layers_left(e)))
        return error_set(err, EBUSY,
                         "a push to %s was interrupted; begin it again with its snapshot id "
                         "('slipway engine load begin'), or abandon it", e->store);
    return 0;
}

static int begin(struct engine *e, const char *snapshot, bool implicit, struct error **err)
{
    int r = check_begin(e, snapshot, implicit, err);
    struct load *l = NULL;

    if (r < 0)
        return r;
    l = load_new(e);
    if (!l)
        return error_set_errno(err, ENOMEM, "cannot begin a push to %s", e->store);
    choose_snapshot(l, snapshot);
    l->implicit = implicit;
    l->initial = e->mode == MODE_INIT;
    r = l->initial ? begin_initial(l, err) : begin_delta(l, err);
    if (r < 0) {
        load_free(l);
        return r;
    }
    LOCK_FOR_SCOPE(&e->lock);
    e->load = l;
    pthread_cond_broadcast(&e->changed);
    return 0;
}

static int begin_exclusive(struct engine *e, const char *snapshot, bool implicit,
                           struct error **err)
{
    int r = engine_operation_begin(e, LOAD_OPERATION, MODES, err);

    if (r < 0)
        return r;
    r = begin(e, snapshot, implicit, err);
    if (r < 0)
        engine_operation_end(e);
    return r;
}

int load_begin(struct engine *e, const char *snapshot, struct error **err)
{
    if (snapshot && (!*snapshot || strlen(snapshot) > SNAPSHOT_ID_MAX))
        return error_set(err, EINVAL, "a snapshot id has 1 to %d bytes", SNAPSHOT_ID_MAX);
    pthread_mutex_lock(&e->lock);
    if (snapshot && e->load && strcmp(e->load->snapshot, snapshot) == 0) {
        pthread_mutex_unlock(&e->lock);
        return 0;
    }
    pthread_mutex_unlock(&e->lock);
    return begin_exclusive(e, snapshot, false, err);
}

/* Waits while one is being begun or ended: several connections of one client come at once. */
static bool is_open(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    while (!e->load && e->operation && strcmp(e->operation, LOAD_OPERATION) == 0)
        pthread_cond_wait(&e->changed, &e->lock);
    return e->load != NULL;
}

int load_ensure(struct engine *e, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    int r;

    if (is_open(e))
        return 0;
    r = begin_exclusive(e, NULL, true, &why);
    if (r == -EBUSY && is_open(e))
        return 0; /* another connection was faster */
    return r < 0 ? error_move(err, &why) : 0;
}

/* ---- end ---- */

/* The open push, once nobody is connected to it; nobody can connect to it after that. */
static int close_doors(struct engine *e, uint64_t grace_ns, struct load **ret_load,
                       struct error **err)
{
    struct timespec until;
    struct load *l;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(grace_ns % NS_PER_S);
    until.tv_sec += (time_t)(grace_ns / NS_PER_S) + until.tv_nsec / (long)NS_PER_S;
    until.tv_nsec %= (long)NS_PER_S;
    LOCK_FOR_SCOPE(&e->lock);
    l = e->load;
    if (!l)
        return error_set(err, ENOENT, "no push is open in %s; 'slipway engine load begin' opens "
                                      "one", e->store);
    if (l->closing)
        return error_set(err, EBUSY, "the push to %s is being ended already", e->store);
    while (l->users > 0)
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0 && l->users > 0)
            return error_set(err, EBUSY, "%u connections still write to the push of %s; let them "
                                         "end first", l->users, e->store);
    l->closing = true;
    *ret_load = l;
    return 0;
}

static void doors_open_again(struct load *l)
{
    LOCK_FOR_SCOPE(&l->engine->lock);
    l->closing = false;
}

/* It is over: committed or dropped. */
static void leave(struct load *l)
{
    struct engine *e = l->engine;

    pthread_mutex_lock(&e->lock);
    e->load = NULL;
    pthread_mutex_unlock(&e->lock);
    load_free(l);
    engine_operation_end(e);
}

static int settle_all(struct load *l, progress_fn *progress, void *context, struct error **err)
{
    struct progress_report report = {.phase = "seal"};
    int r = 0;

    for (unsigned i = 0; i < l->disk_count; i++)
        report.total_bytes += l->disks[i].disk->size;
    for (unsigned i = 0; r == 0 && i < l->disk_count; i++) {
        if (progress)
            progress(&report, context);
        r = load_settle(l, l->disks[i].disk, err);
        report.done_bytes += l->disks[i].disk->size;
    }
    return r;
}

static int commit_initial(struct load *l)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < l->disk_count && !plant(PLANT_LOAD_NO_CHECKPOINT); i++)
        r = load_flush(l, l->disks[i].disk);
    return r < 0 ? r : generation_commit_initial(l->engine);
}

static int commit(struct load *l, progress_fn *progress, void *context, struct error **err)
{
    struct engine *e = l->engine;
    struct disk *bad = NULL;
    int r = atomic_load(&l->failed)
                ? error_set(err, EIO, "an fdatasync of the push to %s failed, so nobody knows what "
                                      "of it is durable; abandon it and push again", e->store)
                : settle_all(l, progress, context, err);

    if (r < 0)
        return r;
    r = l->initial ? commit_initial(l) : generation_commit_layers(e, l->snapshot, &bad);
    if (bad)
        atomic_store(&l->failed, true);
    return r < 0 ? error_set_errno(err, -r, "cannot commit the push to %s; the last generation is "
                                            "intact, see to the disk of the store", e->store)
                 : 0;
}

static void fill_result(const struct load *l, struct load_result *result)
{
    *result = (struct load_result){.generation = l->engine->cur_gen,
                                   .disk_count = l->disk_count};
    memcpy(result->snapshot, l->snapshot, sizeof(result->snapshot));
    for (unsigned i = 0; i < l->disk_count; i++) {
        const struct load_disk *ld = &l->disks[i];

        result->disks[i].disk = ld->disk->name;
        result->disks[i].received_bytes = atomic_load(&ld->received_bytes);
        result->disks[i].written_bytes = atomic_load(&ld->written_bytes);
        result->disks[i].zero_bytes = atomic_load(&ld->zero_bytes);
        result->disks[i].same_bytes = atomic_load(&ld->same_bytes);
    }
}

int load_commit(struct engine *e, uint64_t grace_ns, progress_fn *progress, void *context,
                struct load_result *result, struct error **err)
{
    struct load *l = NULL;
    int r = close_doors(e, grace_ns, &l, err);

    if (r < 0)
        return r;
    r = commit(l, progress, context, err);
    if (r < 0) {
        doors_open_again(l);
        return r;
    }
    fill_result(l, result);
    leave(l);
    return 0;
}

static int abandon_open(struct load *l, struct error **err)
{
    struct engine *e = l->engine;
    int r;

    view_put(steal_ptr(l->base));
    r = e->failed ? 0 : drop(e);
    leave(l);
    return r < 0 ? error_set_errno(err, -r, "cannot remove what was pushed to %s; the next begin "
                                            "tries again", e->store)
                 : 0;
}

static int abandon_left(struct engine *e, struct error **err)
{
    int r = engine_operation_begin(e, LOAD_OPERATION, MODES, err);

    if (r < 0)
        return r;
    if (!initial_left(e) && !layers_left(e))
        r = error_set(err, ENOENT, "%s has no push to abandon", e->store);
    else if ((r = drop(e)) < 0)
        error_set_errno(err, -r, "cannot remove what was pushed to %s", e->store);
    engine_operation_end(e);
    return r;
}

int load_abandon(struct engine *e, uint64_t grace_ns, struct error **err)
{
    struct load *l = NULL;
    int r;

    pthread_mutex_lock(&e->lock);
    l = e->load;
    pthread_mutex_unlock(&e->lock);
    if (!l)
        return abandon_left(e, err);
    r = close_doors(e, grace_ns, &l, err);
    return r < 0 ? r : abandon_open(l, err);
}

void load_left(struct engine *e)
{
    struct load *l;

    pthread_mutex_lock(&e->lock);
    l = e->load;
    if (l && (!l->implicit || l->users > 0 || l->closing))
        l = NULL;
    for (unsigned i = 0; l && i < l->disk_count; i++)
        if (atomic_load(&l->disks[i].received_bytes) > 0)
            l = NULL;
    if (l)
        l->closing = true;
    pthread_mutex_unlock(&e->lock);
    if (l)
        abandon_open(l, NULL);
}

void load_end(struct engine *e)
{
    struct load *l = e->load;

    if (!l)
        return;
    if (!l->named) {
        abandon_open(l, NULL);
        return;
    }
    for (unsigned i = 0; i < l->disk_count; i++)
        load_flush(l, l->disks[i].disk);
    leave(l);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/draft.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/generation.h"
#include "engine/plant.h"
#include "engine/room.h"
#include "engine/store.h"

#define MODES (1u << MODE_MIRROR | 1u << MODE_OWNER | 1u << MODE_OWNER_HYD)
#define LEAVE_S 5 /* a client that just left is still being taken leave of */

/* ---- making ---- */

static char *draft_stem(const struct disk *d, const char *name)
{
    return str_format("%s/draft-%s", d->folder, name);
}

struct draft *draft_find_locked(const struct engine *e, const char *name, size_t length)
{
    struct draft *dr = e->drafts;

    while (dr && (strlen(dr->name) != length || memcmp(dr->name, name, length) != 0))
        dr = dr->next;
    return dr;
}

static void unlist_locked(struct draft *dr)
{
    struct draft **at = &dr->engine->drafts;

    while (*at && *at != dr)
        at = &(*at)->next;
    if (*at)
        *at = dr->next;
    pthread_cond_broadcast(&dr->engine->changed);
}

/* The end of one that nobody uses any more. */
static void draft_free(struct draft *dr, bool unlink_files)
{
    struct engine *e = dr->engine;

    for (unsigned i = 0; i < e->disk_count; i++) {
        struct layer *l = dr->layers[i];

        if (l && unlink_files)
            layer_unlink(l->io, l->stem);
        layer_unref(l);
    }
    pthread_mutex_lock(&e->lock);
    unlist_locked(dr);
    view_put_locked(dr->base);
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < DRAFT_STRIPES; i++)
        pthread_mutex_destroy(&dr->stripes[i]);
    free(dr->name);
    free(dr);
}

static struct draft *draft_new(struct engine *e, const char *name)
{
    struct draft *dr = mem_new(1, sizeof(*dr));

    dr->engine = e;
    dr->name = str_dup(name);
    dr->state = DRAFT_MAKING;
    dr->created_s = time(NULL);
    for (unsigned i = 0; i < DRAFT_STRIPES; i++)
        pthread_mutex_init(&dr->stripes[i], NULL);
    return dr;
}

static int check_new_locked(const struct engine *e, const char *name, struct error **err)
{
    unsigned count = 0;

    if (e->operation && strcmp(e->operation, "flip") == 0)
        return error_set(err, EBUSY, "%s is being flipped; make the draft afterwards", e->store);
    if (draft_find_locked(e, name, strlen(name)))
        return error_set(err, EEXIST, "%s has a draft '%s' already; choose another name, or drop "
                                      "that one", e->store, name);
    for (const struct draft *dr = e->drafts; dr; dr = dr->next)
        count++;
    if (count == DRAFTS_MAX)
        return error_set(err, EBUSY, "%s has %d drafts, which is the limit; drop one first",
                         e->store, DRAFTS_MAX);
    return 0;
}

/* A view of its own, so that the latest one, which readers share, need not live as long. */
static int take_base_locked(struct draft *dr, uint64_t gen, struct error **err)
{
    struct engine *e = dr->engine;
    int r;

    dr->gen = e->cur_gen;
    if (store_mode_is_owner(e->mode))
        return draft_check_owner_locked(e, gen, err);
    r = view_get_locked(e, gen == NO_GENERATION ? e->cur_gen : gen, &dr->base);

    if (r == -ESHUTDOWN)
        return error_set(err, EBUSY, "%s is being flipped; a draft can be made afterwards or when "
                                     "the flip failed", e->store);
    if (r == -ENOENT)
        return error_set(err, ENOENT, "generation %" PRIu64 " of %s is not retained; 'status' "
                                      "lists those that are", gen, e->store);
    if (r < 0)
        return error_set_errno(err, -r, "cannot make the draft '%s' in %s", dr->name, e->store);
    dr->gen = dr->base->gen;
    return 0;
}

/* From here on the name is taken and the generation pinned. */
static int enlist(struct engine *e, const char *name, uint64_t gen, struct draft **ret_draft,
                  struct error **err)
{
    struct draft *dr, **last = &e->drafts;
    int r;

    LOCK_FOR_SCOPE(&e->lock);
    r = engine_check_mode_locked(e, "draft-create", MODES, err);
    if (r == 0)
        r = check_new_locked(e, name, err);
    if (r < 0)
        return r;
    dr = draft_new(e, name);
    r = take_base_locked(dr, gen, err);
    if (r < 0) {
        free(dr->name);
        free(dr);
        return r;
    }
    while (*last)
        last = &(*last)->next;
    *last = *ret_draft = dr;
    return 0;
}

static int make_layers(struct draft *dr)
{
    struct engine *e = dr->engine;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        _cleanup_free_ char *stem = draft_stem(d, dr->name);
        struct layer_params params = {.gen = dr->gen + 1, .disk_size = d->size, .snapshot = ""};

        layer_unlink(d->io, stem); /* left over from one that could not be removed */
        r = layer_create(d->io, stem, &params, &dr->layers[i]);
        if (r == 0)
            dr->layers[i]->local = true;
        else
            layer_unlink(d->io, stem);
    }
    return r;
}

int draft_create(struct engine *e, const char *name, uint64_t gen, uint64_t *ret_generation,
                 struct error **err)
{
    struct draft *dr = NULL;
    int r = store_check_disk_name(name, NULL);

    if (r < 0)
        return error_set(err, EINVAL, "draft name '%s' may only have letters, digits, '.', '_' and "
                                      "'-', at most %d of them", name, DISK_NAME_MAX);
    r = enlist(e, name, gen, &dr, err);
    if (r < 0)
        return r;
    r = make_layers(dr);
    if (r < 0) {
        error_set_errno(err, -r, "cannot make the draft '%s' in %s", name, e->store);
        draft_free(dr, true);
        return r;
    }
    LOCK_FOR_SCOPE(&e->lock);
    *ret_generation = dr->gen;
    dr->state = DRAFT_OPEN;
    return 0;
}

/* ---- ending ---- */

/* The named draft, once nobody uses it any more; then it is offered no longer. */
static int take(struct engine *e, const char *name, struct draft **ret_draft, struct error **err)
{
    struct timespec until;
    struct draft *dr;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LEAVE_S;
    LOCK_FOR_SCOPE(&e->lock);
    dr = draft_find_locked(e, name, strlen(name));
    if (!dr)
        return error_set(err, ENOENT, "%s has no draft '%s'", e->store, name);
    if (dr->state != DRAFT_OPEN)
        return error_set(err, EBUSY, "the draft '%s' is just being made, sealed or dropped", name);
    dr->state = DRAFT_ENDING;
    while (dr->users > 0)
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0) {
            dr->state = DRAFT_OPEN;
            return error_set(err, EBUSY, "the draft '%s' is still open by %u connections; close "
                                         "them first", name, dr->users);
        }
    *ret_draft = dr;
    return 0;
}

static void give_back(struct draft *dr)
{
    LOCK_FOR_SCOPE(&dr->engine->lock);
    dr->state = DRAFT_OPEN;
}

static int check_latest(const struct draft *dr, struct error **err)
{
    struct engine *e = dr->engine;

    LOCK_FOR_SCOPE(&e->lock);
    if (dr->gen == e->cur_gen)
        return 0;
    return error_set(err, EPERM,
                     "the draft '%s' is over generation %" PRIu64 ", and %" PRIu64 " is the latest "
                     "by now: it can be read or dropped, but not become the next generation",
                     dr->name, dr->gen, e->cur_gen);
}

/* The bulk of the bytes, while syncs may still go on. */
static int make_durable(struct draft *dr)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < dr->engine->disk_count; i++)
        r = io_fdatasync(dr->layers[i]->io, dr->layers[i]->data_fd);
    return r;
}

static int root_seal(struct super *s, void *context)
{
    const struct draft *dr = context;

    s->cur_gen++;
    s->flags |= SUPER_LOCAL_CHANGES;
    snprintf(s->snapshot, sizeof(s->snapshot), "draft %.48s", dr->name);
    if (dr->token)
        memcpy(s->token, dr->token, sizeof(s->token));
    for (unsigned i = 0; i < s->disk_count; i++) {
        if (s->disks[i].layer_count >= LAYERS_MAX)
            return -EBUSY;
        s->disks[i].layers[s->disks[i].layer_count++] = s->cur_gen;
    }
    return 0;
}

/* Under the draft's own name: a failure for want of space leaves it as it was. */
static int seal_layers(struct draft *dr)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < dr->engine->disk_count; i++) {
        struct layer *l = dr->layers[i];

        l->gen = dr->gen + 1;
        r = plant(PLANT_DRAFT_NO_SEAL) ? 0 : layer_seal(l);
        if (r < 0)
            layer_dirty_all(l); /* what of the index is durable, nobody knows */
    }
    return r;
}

static int rename_layers(struct draft *dr)
{
    struct engine *e = dr->engine;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        _cleanup_free_ char *stem = disk_layer_stem(d, dr->gen + 1);

        generation_drop_loading(d); /* an interrupted delta has the same number */
        layer_unlink(d->io, stem); /* of an attempt that failed half-way */
        r = layer_rename(dr->layers[i], stem, dr->gen + 1, "");
        if (r == 0 && !plant(PLANT_DRAFT_NO_DIR_SYNC))
            r = d->io->ops->sync_dir(d->io, d->folder);
    }
    return r;
}

/* After a failure: the draft's own names again. */
static int rename_back(struct draft *dr)
{
    struct engine *e = dr->engine;
    int r = 0;

    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];
        _cleanup_free_ char *stem = draft_stem(d, dr->name);

        if (strcmp(stem, dr->layers[i]->stem) != 0 &&
            layer_rename(dr->layers[i], stem, dr->gen + 1, "") < 0)
            r = -EIO;
    }
    return r;
}

static int commit(struct draft *dr, uint64_t *ret_generation, struct error **err)
{
    struct engine *e = dr->engine;
    int r;

    if (!dr->base)
        return draft_commit_owner(dr, ret_generation, err);
    r = superfile_update(&e->super, root_seal, dr);
    if (r < 0) {
        engine_fail(e);
        return error_set_errno(err, -r, "the superblock could not be written");
    }
    LOCK_FOR_SCOPE(&e->lock);
    e->cur_gen++;
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct disk *d = &e->disks[i];

        d->layers[d->layer_count++] = steal_ptr(dr->layers[i]);
    }
    *ret_generation = e->cur_gen;
    r = engine_publish_locked(e);
    return r < 0 ? error_set_errno(err, -r, "it cannot be published") : 0;
}

/* Under their own names, then under those of the generation. */
static int seal_and_rename(struct draft *dr)
{
    int r = seal_layers(dr);

    if (r < 0)
        return r;
    r = rename_layers(dr);
    return r == -ENOSPC && rename_back(dr) < 0 ? -EIO : r;
}

/* While no sync runs.  *ret_stays: the failure left the draft as it was. */
static int seal_alone(struct draft *dr, uint64_t *ret_generation, bool *ret_stays,
                      struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    int r = check_latest(dr, err);

    if (r == 0 && dr->base)
        r = room_make(dr->engine, NULL, err);
    *ret_stays = true;
    if (r < 0)
        return r;
    r = seal_and_rename(dr);
    if (r == -ENOSPC)
        return error_set(err, ENOSPC, "no space in %s to seal the draft '%s'; make room and seal "
                                      "again", dr->engine->store, dr->name);
    if (r == 0)
        r = commit(dr, ret_generation, &why);
    else
        error_set_errno(&why, -r, "its layers could not be sealed");
    *ret_stays = r == -EBUSY && rename_back(dr) == 0;
    if (r == 0)
        return 0;
    return error_set(err, -r, "cannot commit the draft '%s': %s; %s", dr->name, error_text(why),
                     *ret_stays ? "it stays" : "it was dropped, the disks are as before");
}

int draft_seal(struct engine *e, const char *name, const uint8_t *token,
               uint64_t *ret_generation, struct error **err)
{
    struct draft *dr = NULL;
    bool stays = true;
    int r = take(e, name, &dr, err);

    if (r < 0)
        return r;
    dr->token = token;
    r = check_latest(dr, err);
    if (r == 0) {
        r = make_durable(dr);
        if (r < 0) {
            error_set_errno(err, -r, "cannot make the draft '%s' durable; it was dropped, the "
                                     "disks are as before", name);
            stays = false;
        }
    }
    if (r == 0) {
        r = engine_operation_begin(e, "draft-seal", MODES, err);
        if (r == 0) {
            r = seal_alone(dr, ret_generation, &stays, err);
            engine_operation_end(e);
        }
    }
    if (r < 0 && stays)
        give_back(dr);
    else
        draft_free(dr, r < 0 && !e->failed); /* a root that failed may name the files */
    return r;
}

int draft_drop(struct engine *e, const char *name, struct error **err)
{
    struct draft *dr = NULL;
    int r = take(e, name, &dr, err);

    if (r == 0)
        draft_free(dr, true);
    return r;
}

void draft_abandon_all(struct engine *e)
{
    while (e->drafts)
        draft_free(e->drafts, true);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/room.h"

#include <inttypes.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/draft.h"
#include "engine/fold.h"
#include "engine/plant.h"

/* ---- policy ---- */

void room_open(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->keep = e->super.current.keep;
    e->when_full = e->super.current.when_full;
    e->space_budget = e->super.current.space_budget;
}

struct room_policy room_policy(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    return (struct room_policy){e->keep, e->when_full, e->space_budget};
}

static int root_policy(struct super *s, void *context)
{
    const struct room_policy *p = context;

    s->keep = p->keep;
    s->when_full = (uint8_t)p->when_full;
    s->space_budget = p->space_budget;
    return 0;
}

int room_set(struct engine *e, const struct room_policy *p, struct error **err)
{
    struct room_policy copy = *p;
    int r;

    if (p->keep > KEEP_MAX)
        return error_set(err, EINVAL, "at most %d generations can be kept", KEEP_MAX);
    r = superfile_update(&e->super, root_policy, &copy);
    if (r < 0) {
        engine_fail(e);
        return error_set_errno(err, -r, "cannot write the superblock of %s", e->store);
    }
    room_open(e);
    LOCK_FOR_SCOPE(&e->lock);
    pthread_cond_broadcast(&e->changed);
    return 0;
}

/* ---- how much there is ---- */

uint64_t room_layer_bytes_locked(const struct engine *e)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < e->disk_count; i++)
        for (unsigned k = 0; k < e->disks[i].layer_count; k++)
            bytes += e->disks[i].layers[k]->data_bytes;
    return bytes;
}

static bool over_budget_locked(const struct engine *e)
{
    return e->space_budget > 0 && room_layer_bytes_locked(e) > e->space_budget;
}

bool room_is_short_locked(const struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].layer_count >= LAYERS_MAX)
            return true;
    return over_budget_locked(e);
}

/* The first layer of any disk that has to be folded; generations below it are in the way. */
static uint64_t next_to_fold_locked(const struct engine *e)
{
    uint64_t gen = NO_GENERATION;

    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].layer_count > 0)
            gen = MIN(gen, e->disks[i].layers[0]->gen);
    return gen;
}

bool room_keeps_locked(const struct engine *e, const struct disk *d)
{
    uint64_t gen = d->layers[0]->gen;

    if (e->fold_goal != NO_GENERATION)
        return gen > e->fold_goal && !plant(PLANT_FLIP_NEWER_STAY);
    if (plant(PLANT_FOLD_KEPT) || gen + e->keep <= e->cur_gen)
        return false;
    return !room_is_short_locked(e) || gen != next_to_fold_locked(e);
}

/* ---- making it ---- */

static struct view *oldest_pin_locked(const struct engine *e, uint64_t below)
{
    struct view *oldest = NULL;

    for (struct view *v = e->views; v; v = v->next)
        if (v->gen < below && !atomic_load(&v->revoked) && (!oldest || v->gen < oldest->gen))
            oldest = v;
    return oldest;
}

static const char *draft_below_locked(const struct engine *e, uint64_t below)
{
    for (const struct draft *dr = e->drafts; dr; dr = dr->next)
        if (dr->gen < below)
            return dr->name;
    return NULL;
}

static int refuse_locked(const struct engine *e, uint64_t gen, struct error **err)
{
    const char *draft = draft_below_locked(e, gen);
    const struct view *pin = oldest_pin_locked(e, gen);
    char have[32];

    str_from_bytes(room_layer_bytes_locked(e), have, sizeof(have));
    if (draft)
        return error_set(err, EBUSY,
                         "%s has no room for another generation (%s in layers, up to %d per disk): "
                         "the draft '%s' needs an old one; seal or drop it and try again", e->store,
                         have, LAYERS_MAX, draft);
    if (pin)
        return error_set(err, EBUSY,
                         "%s has no room for another generation (%s in layers, up to %d per disk): "
                         "a reader holds generation %" PRIu64 "; close it and try again, or 'set "
                         "--when-full revoke'", e->store, have, LAYERS_MAX, pin->gen);
    return error_set(err, EBUSY,
                     "%s has no room for another generation (%s in layers, up to %d per disk) and "
                     "nothing of it can be folded now; try again", e->store, have, LAYERS_MAX);
}

static void wait_locked(struct engine *e, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ns % NS_PER_S);
    until.tv_sec += (time_t)(ns / NS_PER_S) + until.tv_nsec / (long)NS_PER_S;
    until.tv_nsec %= (long)NS_PER_S;
    pthread_cond_timedwait(&e->changed, &e->lock, &until);
}

/* Readers of the oldest generation are warned; when their time is over their reads fail.  What of
 * them is under way is waited for by the fold. */
static void revoke_locked(struct engine *e, uint64_t below)
{
    struct view *oldest = oldest_pin_locked(e, below);
    uint64_t gen = oldest->gen, now = clock_now_ns();

    if (!oldest->revoke_at_ns) {
        oldest->revoke_at_ns = now + e->revoke_grace_ns;
        log_warning("%s: no room for another generation: readers of generation %" PRIu64
                    " are ended in %" PRIu64 " s", e->store, gen, e->revoke_grace_ns / NS_PER_S);
    }
    if (now < oldest->revoke_at_ns) {
        wait_locked(e, MIN(oldest->revoke_at_ns - now, NS_PER_S));
        return;
    }
    for (struct view *v = e->views; v; v = v->next)
        if (v->gen == gen && v != e->latest)
            atomic_store(&v->revoked, true);
    log_warning("%s: no room for another generation: readers of generation %" PRIu64
                " were ended", e->store, gen);
    e->revoked_count++;
    e->revoked_gen = gen;
    pthread_cond_broadcast(&e->changed);
}

/* Nothing can be folded any more: who is in the way goes, or the new generation is refused. */
static int blocked_locked(struct engine *e, struct error **err)
{
    uint64_t gen = next_to_fold_locked(e);

    if (e->when_full == WHEN_FULL_WAIT || draft_below_locked(e, gen) ||
        !oldest_pin_locked(e, gen))
        return refuse_locked(e, gen, err);
    revoke_locked(e, gen);
    return 0;
}

/* One look; 1: there is room. */
static int step_locked(struct engine *e, bool *ret_fold, struct error **err)
{
    if (!room_is_short_locked(e))
        return 1;
    if (e->failed)
        return error_set(err, EIO, "the engine of %s has failed; see to the disk and restart it",
                         e->store);
    *ret_fold = fold_is_possible_locked(e) && !e->fold_started;
    if (*ret_fold)
        return 0;
    if (e->fold_error < 0)
        return error_set_errno(err, -e->fold_error, "%s has no room for another generation, and "
                               "its layers cannot be folded into the targets", e->store);
    if (e->fold_started && (e->folding || fold_is_possible_locked(e))) {
        wait_locked(e, NS_PER_S);
        return 0;
    }
    return blocked_locked(e, err);
}

int room_make(struct engine *e, atomic_bool *cancel, struct error **err)
{
    atomic_bool never = false;
    int r = 0;

    while (r == 0) {
        bool fold = false;

        if (cancel && atomic_load(cancel))
            return error_set(err, ECANCELED, "cancelled while waiting for room in %s", e->store);
        pthread_mutex_lock(&e->lock);
        r = step_locked(e, &fold, err);
        pthread_mutex_unlock(&e->lock);
        if (r == 0 && fold) { /* without a thread for it: tests */
            if (pthread_mutex_trylock(&e->fold_lock) != 0)
                return error_set(err, EBUSY, "%s is being folded", e->store);
            pthread_mutex_unlock(&e->fold_lock);
            r = fold_all(e, &never, NULL, NULL);
            if (r < 0)
                return error_set_errno(err, -r, "cannot fold the layers of %s", e->store);
            r = 0;
        }
    }
    return r < 0 ? r : 0;
}

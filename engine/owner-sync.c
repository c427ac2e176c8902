/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flush (T12): one round at a time; whoever arrives while a round runs is served by the next one,
 * together with all others that wait.  A round writes every mask page that changed, also those that
 * only hydration changed: a guest write may rely on a bit that hydration cleared.
 */
#include "engine/lock.h"
#include "engine/owner.h"
#include "engine/plant.h"
#include "engine/vm.h"

static int sync_target(void *context)
{
    struct owner *o = context;

    return target_sync(&o->disk->target);
}

/* Never after a failure: the kernel may have dropped the pages that failed, so that the next sync of
 * the target succeeds without them, and masks would say "here" of what is lost. */
static int flush_round(struct owner *o)
{
    int r = 0;

    if (o->engine->failed && !plant(PLANT_FLUSH_AFTER_FAILURE))
        return -EIO;
    if (!atomic_load(&o->complete))
        r = map_checkpoint(o->map, sync_target, o);
    /* No page: then it was not called. */
    if (r == 0 && !plant(PLANT_FLUSH_NO_SYNC))
        r = sync_target(o);
    return r < 0 ? r : 0;
}

/* Runs one round; the lock is let go meanwhile. */
static void lead(struct owner *o)
{
    uint64_t round = ++o->flush_started;
    int r;

    o->flush_running = true;
    lock_release(&o->flush_lock);
    r = flush_round(o);
    if (r < 0)
        owner_fail(o);
    lock_take(&o->flush_lock);
    o->flush_running = false;
    o->flush_done = round;
    lock_wake(&o->flush_ended);
}

int owner_flush(struct owner *o)
{
    uint64_t mine;

    if (o->engine->failed)
        return -EIO;
    lock_take(&o->flush_lock);
    mine = o->flush_started + 1; /* one that is under way may have begun before our last write */
    if (plant(PLANT_FLUSH_JOINS_ROUND) && o->flush_running)
        mine--;
    while (o->flush_done < mine) {
        if (o->flush_running)
            lock_wait(&o->flush_ended, &o->flush_lock, 0);
        else
            lead(o);
    }
    lock_release(&o->flush_lock);
    return o->engine->failed ? -EIO : 0;
}

int owner_checkpoint(struct owner *o)
{
    if (atomic_load(&o->complete) || !atomic_load(&o->map->touched))
        return 0;
    return owner_flush(o);
}

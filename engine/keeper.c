/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keeper.h"

#include "base/align.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/flip.h"
#include "engine/lock.h"
#include "engine/owner.h"

#define LOOK_NS (500 * NS_PER_MS)
#define CHECKPOINT_NS (5 * NS_PER_S)
#define CHECKPOINT_BYTES (UINT64_C(1) << 30)
#define PRUNE_NS (300 * NS_PER_S)

struct pace {
    uint64_t checkpoint_ns, prune_ns, missing_bytes;
};

static void look_after(struct owner *o, struct pace *p, uint64_t now)
{
    uint64_t missing = owner_missing_bytes(o);

    if (now - p->checkpoint_ns >= CHECKPOINT_NS ||
        missing + CHECKPOINT_BYTES <= p->missing_bytes) {
        owner_checkpoint(o); /* a failure is latched */
        p->checkpoint_ns = now;
        p->missing_bytes = missing;
    }
    if (now - p->prune_ns >= PRUNE_NS) {
        owner_prune(o);
        p->prune_ns = now;
    }
}

/* Completion moves the epoch's end; nobody else may begin another one meanwhile. */
static void complete(struct engine *e)
{
    lock_take(&e->epoch_lock);
    if (e->mode == MODE_OWNER_HYD && flip_complete(e) == 1)
        log_info("%s: everything is in the targets, the source is not needed any more", e->store);
    lock_release(&e->epoch_lock);
}

static void look(struct engine *e, struct pace paces[DISKS_MAX])
{
    uint64_t now = clock_now_ns();

    if (e->failed || !store_mode_is_owner(e->mode))
        return;
    complete(e);
    lock_take(&e->epoch_lock);
    for (unsigned i = 0; i < e->disk_count && store_mode_is_owner(e->mode); i++)
        look_after(e->disks[i].owner, &paces[i], now);
    lock_release(&e->epoch_lock);
}

void keeper_round(struct engine *e, bool force)
{
    struct pace paces[DISKS_MAX] = {0};

    for (unsigned i = 0; !force && i < DISKS_MAX; i++)
        paces[i] = (struct pace){clock_now_ns(), clock_now_ns(), 0};
    look(e, paces);
}

static void *keeper_run(void *context)
{
    struct engine *e = context;
    struct pace paces[DISKS_MAX];
    uint64_t now = clock_now_ns();

    pthread_setname_np(pthread_self(), "keeper");
    for (unsigned i = 0; i < DISKS_MAX; i++)
        paces[i] = (struct pace){now, now, UINT64_MAX / 2};
    while (!atomic_load(&e->stopping)) {
        look(e, paces);
        lock_take(&e->keeper_lock);
        if (!atomic_load(&e->stopping))
            lock_wait(&e->keeper_wake, &e->keeper_lock, clock_now_ns() + LOOK_NS);
        lock_release(&e->keeper_lock);
    }
    return NULL;
}

int keeper_start(struct engine *e)
{
    int r = pthread_create(&e->keeper_thread, NULL, keeper_run, e);

    e->keeper_started = r == 0;
    return -r;
}

void keeper_stop(struct engine *e)
{
    if (!e->keeper_started)
        return;
    lock_take(&e->keeper_lock);
    atomic_store(&e->stopping, true);
    lock_wake(&e->keeper_wake);
    lock_release(&e->keeper_lock);
    pthread_join(e->keeper_thread, NULL);
    e->keeper_started = false;
}

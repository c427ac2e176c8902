/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/gate.h"

#include <limits.h>

#include "engine/lock.h"
#include "engine/plant.h"

void gate_init(struct gate *g)
{
    atomic_init(&g->closed, false);
    atomic_init(&g->plane, 0);
    for (unsigned i = 0; i < GATE_SLOTS; i++) {
        atomic_init(&g->slots[i].in_flight[0], 0);
        atomic_init(&g->slots[i].in_flight[1], 0);
    }
    pthread_mutex_init(&g->lock, NULL);
    lock_cond_init(&g->opened);
}

void gate_done(struct gate *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->opened);
}

static unsigned slot_of_thread(void)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine = UINT_MAX;

    if (mine == UINT_MAX)
        mine = atomic_fetch_add(&threads, 1) % GATE_SLOTS;
    return mine;
}

static void wait_until_open(struct gate *g)
{
    lock_take(&g->lock);
    while (atomic_load(&g->closed))
        lock_wait(&g->opened, &g->lock, 0);
    lock_release(&g->lock);
}

/* Registered first, looked at second: who closes the gate or switches the plane does it the other
 * way round, so one of the two sees the other. */
struct gate_pass gate_enter(struct gate *g)
{
    struct gate_pass pass = {.slot = slot_of_thread()};

    for (;;) {
        if (plant(PLANT_GATE_NOT_ASKED_AGAIN)) {
            wait_until_open(g);
            lock_pause();
        }
        pass.plane = atomic_load(&g->plane);
        atomic_fetch_add(&g->slots[pass.slot].in_flight[pass.plane], 1);
        if (plant(PLANT_GATE_NOT_ASKED_AGAIN))
            return pass;
        if (!atomic_load(&g->closed) && atomic_load(&g->plane) == pass.plane)
            return pass;
        gate_leave(g, pass);
        wait_until_open(g);
    }
}

void gate_leave(struct gate *g, struct gate_pass pass)
{
    atomic_fetch_sub(&g->slots[pass.slot].in_flight[pass.plane], 1);
}

static unsigned plane_in_flight(const struct gate *g, unsigned plane)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < GATE_SLOTS; i++)
        sum += atomic_load(&g->slots[i].in_flight[plane]);
    return sum;
}

unsigned gate_in_flight(const struct gate *g)
{
    return plane_in_flight(g, 0) + plane_in_flight(g, 1);
}

void gate_close(struct gate *g)
{
    lock_take(&g->lock);
    while (atomic_load(&g->closed))
        lock_wait(&g->opened, &g->lock, 0);
    atomic_store(&g->closed, true);
    lock_release(&g->lock);
    while (gate_in_flight(g) > 0)
        lock_pause();
}

void gate_open(struct gate *g)
{
    lock_take(&g->lock);
    atomic_store(&g->closed, false);
    lock_wake(&g->opened);
    lock_release(&g->lock);
}

unsigned gate_switch(struct gate *g)
{
    unsigned old = atomic_load(&g->plane);

    atomic_store(&g->plane, 1 - old);
    while (plane_in_flight(g, old) > 0 && !plant(PLANT_SWITCH_NO_WAIT))
        lock_pause();
    return old;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/weave/baton.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/lock.h"
#include "tests/model/random.h"

#define NOBODY UINT32_MAX
#define CONTROLLER BATON_HANDS
#define STUCK_AFTER 50000    /* turns in which everybody only waited */
#define ENDLESS_AFTER 2000000 /* turns of one run */

/* The baton is no synchronisation that a race detector should see. */
#if defined(__SANITIZE_THREAD__)
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define UNSEEN
#endif

struct hand {
    uint32_t go; /* futex: 1: it has the baton */
    bool started, live;
    pthread_t thread;
    void (*fn)(void *);
    void *context;
    pthread_mutex_t seen; /* what a race detector may see: begin and end of a hand */
};

static struct {
    struct hand hands[BATON_HANDS + 1];
    uint32_t count, live, holder;
    struct random random;
    uint32_t stay;          /* how often the holder goes on: 0 of 8 times to 7 of 8 */
    uint32_t sleeper, doze; /* one that gets no turn for a while */
    uint64_t turns, idle, turn_ns;
    bool stuck;
    void (*at_turn)(void *);
    void *context;
} baton = {.holder = CONTROLLER};

static _Thread_local uint32_t me = CONTROLLER;

UNSEEN static void wait_for_baton(void)
{
    volatile uint32_t *go = &baton.hands[me].go;

    while (*go == 0)
        syscall(SYS_futex, go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    *go = 0;
    __asm__ volatile("" ::: "memory");
}

UNSEEN static void give_to(uint32_t whom)
{
    volatile uint32_t *go = &baton.hands[whom].go;

    __asm__ volatile("" ::: "memory");
    baton.holder = whom;
    *go = 1;
    syscall(SYS_futex, go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

UNSEEN static uint32_t choose(bool not_me)
{
    uint32_t candidates[BATON_HANDS], n = 0;

    if (baton.doze > 0 && baton.idle < 64)
        baton.doze--;
    else
        baton.sleeper = NOBODY;
    for (uint32_t i = 0; i < baton.count; i++)
        if (baton.hands[i].live && i != baton.sleeper && !(not_me && i == me))
            candidates[n++] = i;
    if (n == 0)
        return baton.hands[me].live ? me : baton.sleeper;
    return candidates[random_below(&baton.random, n)];
}

UNSEEN static void fall_asleep_sometimes(void)
{
    if (baton.doze > 0 || !random_once_in(&baton.random, 40))
        return;
    baton.sleeper = random_below(&baton.random, baton.count);
    baton.doze = 1 + random_below(&baton.random, 120);
}

/* waits: the holder cannot go on before another one has done something. */
UNSEEN static void turn(bool waits)
{
    uint32_t next;

    if (me == CONTROLLER)
        return;
    baton.turns++;
    baton.idle = waits ? baton.idle + 1 : 0;
    if (baton.at_turn)
        baton.at_turn(baton.context);
    if (baton.idle > STUCK_AFTER || baton.turns > ENDLESS_AFTER) {
        baton.stuck = true;
        give_to(CONTROLLER);
        for (;;)
            pause();
    }
    fall_asleep_sometimes();
    if (!waits && me != baton.sleeper && random_below(&baton.random, 8) < baton.stay)
        return;
    next = choose(waits);
    if (next == me)
        return;
    give_to(next);
    wait_for_baton();
}

void baton_yield(void)
{
    turn(false);
}

static void yield_waiting(void)
{
    turn(true);
}

UNSEEN static uint64_t now(void)
{
    return NS_PER_S + baton.turns * baton.turn_ns;
}

UNSEEN static void end_hand(void)
{
    baton.hands[me].live = false;
    baton.live--;
    baton.idle = 0;
    if (me == baton.sleeper)
        baton.sleeper = NOBODY;
    give_to(baton.live == 0 ? CONTROLLER : choose(true));
}

UNSEEN static void *hand_main(void *context)
{
    struct hand *h = context;

    me = (uint32_t)(h - baton.hands);
    for (;;) {
        wait_for_baton();
        pthread_mutex_lock(&h->seen);
        h->fn(h->context);
        pthread_mutex_unlock(&h->seen);
        end_hand();
    }
    return NULL;
}

static const struct lock_hook hook = {.yield = yield_waiting};

void baton_begin(uint64_t seed)
{
    baton.random.state = seed * 2 + 1;
    baton.stay = random_below(&baton.random, 8);
    baton.turn_ns = (uint64_t[]){1000, NS_PER_MS, 5 * NS_PER_MS}[random_below(&baton.random, 3)];
    baton.sleeper = NOBODY;
    baton.count = baton.live = baton.doze = 0;
    baton.turns = baton.idle = 0;
    lock_hook = &hook;
    clock_source = now;
}

void baton_end(void)
{
    lock_hook = NULL;
    clock_source = NULL;
}

void baton_hand(void (*fn)(void *), void *context)
{
    struct hand *h = &baton.hands[baton.count];

    if (baton.count == BATON_HANDS)
        abort();
    h->fn = fn;
    h->context = context;
    h->live = true;
    baton.live++;
    baton.count++;
    if (h->started)
        return;
    pthread_mutex_init(&h->seen, NULL);
    if (pthread_create(&h->thread, NULL, hand_main, h) != 0)
        abort();
    h->started = true;
}

UNSEEN bool baton_run(void (*at_turn)(void *), void *context)
{
    baton.at_turn = at_turn;
    baton.context = context;
    baton.idle = 0;
    for (uint32_t i = 0; i < baton.count; i++) {
        pthread_mutex_lock(&baton.hands[i].seen);
        pthread_mutex_unlock(&baton.hands[i].seen);
    }
    if (baton.live > 0) {
        give_to(random_below(&baton.random, baton.count));
        wait_for_baton();
    }
    for (uint32_t i = 0; i < baton.count && !baton.stuck; i++) {
        pthread_mutex_lock(&baton.hands[i].seen);
        pthread_mutex_unlock(&baton.hands[i].seen);
    }
    baton.count = 0;
    baton.at_turn = NULL;
    return !baton.stuck;
}

uint64_t baton_turns(void)
{
    return baton.turns;
}

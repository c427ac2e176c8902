/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that are held across I/O, and waits for another thread.  In the product they are pthread's;
 * a test may put a hook in, so that one thread runs at a time and the test decides which goes on.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include "base/cleanup.h"

struct lock_hook {
    void (*yield)(void); /* another thread may run now; returns when it is this one's turn */
};

extern const struct lock_hook *lock_hook; /* NULL: none */

void lock_take(pthread_mutex_t *mutex);
void lock_release(pthread_mutex_t *mutex);

/* Waits for lock_wake(); may return without one.  until_ns: clock_now_ns() value, 0: for ever.
 * -ETIMEDOUT or 0. */
int lock_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t until_ns);
void lock_wake(pthread_cond_t *cond);

/* A mutex held only for moments: who finds it taken spins before it sleeps, so that a thread woken
 * under it does not go to sleep again at once. */
void lock_init_short(pthread_mutex_t *mutex);

/* A condition whose waits lock_wait() may limit in time. */
void lock_cond_init(pthread_cond_t *cond);

/* A short while, for those who look again and again. */
void lock_pause(void);

static inline pthread_mutex_t *lock_take_for_scope(pthread_mutex_t *mutex)
{
    lock_take(mutex);
    return mutex;
}

static inline void lock_release_p(pthread_mutex_t **mutex)
{
    lock_release(*mutex);
}

/* Holds the mutex until the end of the enclosing scope. */
#define HOLD_FOR_SCOPE(mutex)                                                                      \
    __attribute__((cleanup(lock_release_p), unused)) pthread_mutex_t *CLEANUP_CAT(                 \
        scope_hold_, __LINE__) = lock_take_for_scope(mutex)

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lock.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

const struct lock_hook *lock_hook;

void lock_take(pthread_mutex_t *m)
{
    if (!lock_hook) {
        pthread_mutex_lock(m);
        return;
    }
    while (pthread_mutex_trylock(m) != 0)
        lock_hook->yield();
}

void lock_release(pthread_mutex_t *m)
{
    pthread_mutex_unlock(m);
}

void lock_init_short(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

void lock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

int lock_wait(pthread_cond_t *cond, pthread_mutex_t *m, uint64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                             .tv_nsec = (long)(until_ns % NS_PER_S)};

    if (lock_hook) {
        pthread_mutex_unlock(m);
        lock_hook->yield();
        lock_take(m);
        return until_ns && clock_now_ns() > until_ns ? -ETIMEDOUT : 0;
    }
    if (until_ns)
        return -pthread_cond_timedwait(cond, m, &until);
    return -pthread_cond_wait(cond, m);
}

void lock_wake(pthread_cond_t *cond)
{
    pthread_cond_broadcast(cond);
}

void lock_pause(void)
{
    if (lock_hook)
        lock_hook->yield();
    else
        clock_sleep_ns(50 * 1000);
}

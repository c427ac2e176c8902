/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own calls of the clock, wrapped by the linker (--wrap): the product's code is what it is, and
 * libraries keep the real time.
 */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "tests/fake/sim.h"

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_clock_nanosleep(clockid_t clock, int flags, const struct timespec *ts,
                           struct timespec *ret_left);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *ts,
                           struct timespec *ret_left);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
time_t __wrap_time(time_t *ret_time);

static int64_t ns_of(const struct timespec *ts)
{
    return (int64_t)ts->tv_sec * (int64_t)NS_PER_S + ts->tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / (int64_t)NS_PER_S),
                             .tv_nsec = (long)(ns % (int64_t)NS_PER_S)};
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
    int r;

    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
        return __real_clock_gettime(clock, ts);
    r = __real_clock_gettime(CLOCK_MONOTONIC, ts);
    *ts = timespec_of(sim_time_ns(ns_of(ts), clock == CLOCK_REALTIME));
    return r;
}

time_t __wrap_time(time_t *ret_time)
{
    struct timespec ts;

    __wrap_clock_gettime(CLOCK_REALTIME, &ts);
    if (ret_time)
        *ret_time = ts.tv_sec;
    return ts.tv_sec;
}

/* Relative, of the monotonic clock: all that is used. */
int __wrap_clock_nanosleep(clockid_t clock, int flags, const struct timespec *ts,
                           struct timespec *ret_left)
{
    struct timespec now, until;

    __wrap_clock_gettime(CLOCK_MONOTONIC, &now);
    until = timespec_of(sim_real_ns(ns_of(&now) + ns_of(ts)));
    while (__real_clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        ;
    return 0;
}

/* All our condition variables are of the monotonic clock. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    struct timespec real = timespec_of(sim_real_ns(ns_of(until)));

    return __real_pthread_cond_timedwait(cond, mutex, &real);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Scope does the cleaning: a variable declared with _cleanup_(f) calls f(&variable) when it goes out of scope. */
#pragma once

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* For f(T *) functions that accept NULL: makes f##p(T **), the form _cleanup_ wants. */
#define DEFINE_CLEANUP(type, f)                                                                    \
    static inline __attribute__((unused)) void f##p(type *p)                                       \
    {                                                                                              \
        if (*p)                                                                                    \
            f(*p);                                                                                 \
    }

static inline void cleanup_freep(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void cleanup_unlockp(pthread_mutex_t **m)
{
    if (*m)
        pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *m)
{
    pthread_mutex_lock(m);
    return m;
}

#define _cleanup_free_ _cleanup_(cleanup_freep)
#define _cleanup_close_ _cleanup_(cleanup_closep)
#define _cleanup_fclose_ _cleanup_(cleanup_fclosep)

#define CLEANUP_CAT_(a, b) a##b
#define CLEANUP_CAT(a, b) CLEANUP_CAT_(a, b)

/* Holds the mutex until the end of the enclosing scope. */
#define LOCK_FOR_SCOPE(m)                                                                          \
    _cleanup_(cleanup_unlockp) __attribute__((unused)) pthread_mutex_t *CLEANUP_CAT(               \
        scope_lock_, __LINE__) = cleanup_lock(m)

/* Takes the value out of *p and leaves NULL, so that the cleanup of p does nothing. */
#define steal_ptr(p)                                                                               \
    ({                                                                                             \
        __typeof__(p) *steal_pp_ = &(p);                                                           \
        __typeof__(p) steal_v_ = *steal_pp_;                                                       \
        *steal_pp_ = NULL;                                                                         \
        steal_v_;                                                                                  \
    })

/* The same for a file descriptor; leaves -1. */
static inline int steal_fd(int *fd)
{
    int v = *fd;

    *fd = -1;
    return v;
}

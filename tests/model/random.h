/* SPDX-License-Identifier: Apache-2.0 */
/* Small seeded numbers (splitmix64): the same seed gives the same run on every machine. */
#pragma once

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. below-1; below > 0. */
static inline uint32_t random_below(struct random *r, uint32_t below)
{
    return (uint32_t)((random_next(r) >> 32) * below >> 32);
}

/* True once in `of` times. */
static inline int random_once_in(struct random *r, uint32_t of)
{
    return random_below(r, of) == 0;
}

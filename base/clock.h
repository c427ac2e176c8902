/* SPDX-License-Identifier: Apache-2.0 */
/* Time in nanoseconds.  Tests may replace the monotonic clock by clock_source. */
#pragma once

#include <stdint.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

/* When not NULL, clock_now_ns() returns what it returns. */
extern uint64_t (*clock_source)(void);

/* Monotonic time. */
uint64_t clock_now_ns(void);

/* Seconds since the epoch. */
int64_t clock_wall_s(void);

/* Sleeps, also across signals. */
void clock_sleep_ns(uint64_t ns);

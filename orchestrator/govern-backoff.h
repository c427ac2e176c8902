/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goes slower when the source suffers: additive increase, multiplicative decrease, as TCP does
 * (Chiu and Jain 1989).  Pure; one of these per sync, looked at every few seconds.
 *
 * What reads take is measured by the engine.  The usual time is what they took at best, which
 * drifts up slowly, so that a source that became slower for good is not held against us for ever.
 * Reads that take BACKOFF_TIMES as long, and at least BACKOFF_LEAST_S, at two looks in a row, halve
 * the rate; each good look gives a tenth of the best rate back, until nothing is held back.
 */
#pragma once

#include <stdbool.h>

#define BACKOFF_TIMES 3.0
#define BACKOFF_LEAST_S 0.020
#define BACKOFF_FLOOR_BYTES_S 262144.0 /* slower it does not get: it must end some day */

struct backoff {
    double usual_s;   /* 0: not known yet */
    double best_rate; /* bytes per second that were seen */
    double rate;      /* not more than this; 0: not held back */
    unsigned slow;    /* looks in a row */
};

enum backoff_change { BACKOFF_SAME, BACKOFF_LOWERED, BACKOFF_RAISED, BACKOFF_OVER };

/* One look.  latency_s: what reads take now, <= 0: nothing was read since; rate: bytes per second
 * that are copied now, < 0: not known, only the usual time is learned. */
enum backoff_change backoff_look(struct backoff *b, double latency_s, double rate);

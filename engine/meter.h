/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast something goes now: over its last steps, so that a limit that is changed on the way shows
 * in rate and remaining time after seconds, and so that one large step in a while is no zero.
 */
#pragma once

#include <stdint.h>

#define METER_STEPS 16
#define METER_STEP_NS (UINT64_C(500) * 1000000) /* steps closer than this count as one */

struct meter {
    uint64_t time_ns[METER_STEPS], bytes[METER_STEPS];
    unsigned count; /* steps ever noted; the last METER_STEPS are kept */
};

/* Begins anew at this point. */
void meter_begin(struct meter *meter, uint64_t now_ns, uint64_t bytes);

/* Bytes a second, `bytes` in sum being done by now; 0 when nothing moves. */
double meter_rate(struct meter *meter, uint64_t now_ns, uint64_t bytes);

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/meter.h"

static void note(struct meter *m, uint64_t now_ns, uint64_t bytes)
{
    m->time_ns[m->count % METER_STEPS] = now_ns;
    m->bytes[m->count % METER_STEPS] = bytes;
    m->count++;
}

void meter_begin(struct meter *m, uint64_t now_ns, uint64_t bytes)
{
    m->count = 0;
    note(m, now_ns, bytes);
}

double meter_rate(struct meter *m, uint64_t now_ns, uint64_t bytes)
{
    unsigned last = (m->count - 1) % METER_STEPS;
    unsigned first = m->count > METER_STEPS ? m->count % METER_STEPS : 0;
    double seconds = (double)(now_ns - m->time_ns[first]) / 1e9, moved = (double)bytes;

    moved -= (double)m->bytes[first];
    if (bytes != m->bytes[last] && now_ns - m->time_ns[last] >= METER_STEP_NS)
        note(m, now_ns, bytes);
    return seconds > 0 && moved > 0 ? moved / seconds : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the schedule*.c files have in common. */
#pragma once

#include "orchestrator/schedule.h"

#define MINUTE_NS (60 * SCHEDULE_S)

static inline void look_again(struct schedule_decision *d, int64_t in_ns)
{
    if (in_ns < d->again_ns)
        d->again_ns = in_ns;
}

static inline bool is_cutover(enum schedule_action action)
{
    return action == SCHEDULE_CUTOVER || action == SCHEDULE_INSTANT;
}

/* The next VM of the unit of VM i after `at` (-1: the first), or -1. */
static inline int unit_next(const struct schedule_table *t, size_t i, int at)
{
    const struct schedule_vm *vm = &t->vms[i];

    if (at < 0)
        return vm->group < 0 ? (int)i : t->groups[vm->group].first;
    return t->vms[at].group_next;
}

/* schedule-cutover.c: what the unit of VM i does about its cutover, into out[] of each of them: an
 * action, or none and why.  *ret_converging: it is making deltas for it, or waits for one. */
void schedule_cutover_want(const struct schedule_table *t, size_t i, struct schedule_decision *out,
                           bool *ret_converging);

/* schedule-sync.c: a sync or a rehearsal of a VM at rest. */
void schedule_sync_want(const struct schedule_table *t, const struct schedule_vm *vm,
                        struct schedule_decision *d);

/* The rank of a sync that has been due since `due` (monotonic). */
int64_t schedule_sync_rank(const struct schedule_vm *vm, int64_t due);

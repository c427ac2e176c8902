/* SPDX-License-Identifier: Apache-2.0 */
/* When a migration at rest is synced or rehearsed next. */
#include "orchestrator/schedule-inside.h"

/* Copying may take this many times what a pass costs that copies nothing: rarer syncs make the last
 * delta longer, more frequent ones mostly cost snapshots. */
#define COST_SHARE 2.0
#define COPY_LEAST_S 10.0  /* nobody minds a delta that is this short */
#define BUDGET_SHARE 0.5   /* of what the budget leaves for the delta */
#define REST_SHARE 4       /* a VM is at rest this many times longer than it is synced */
#define BREATH_NS (1 * SCHEDULE_S) /* at rest in any case: somebody may wait to ask for something */
#define RETRY_DOUBLES 6    /* a minute, two, … an hour */

static int64_t clamp(int64_t ns)
{
    if (ns < SCHEDULE_FLOOR_NS)
        return SCHEDULE_FLOOR_NS;
    return ns > SCHEDULE_CEILING_NS ? SCHEDULE_CEILING_NS : ns;
}

int64_t schedule_adaptive_ns(const struct schedule_vm *vm)
{
    double cost = vm->snapshot_cost_s > 0 ? vm->snapshot_cost_s : 0;
    double copy = COST_SHARE * cost, apart;
    int64_t rest = 0;

    if (copy < COPY_LEAST_S)
        copy = COPY_LEAST_S;
    if (vm->budget_s > 0) {
        double left = (vm->budget_s - vm->fixed_s - cost) * BUDGET_SHARE;

        if (left < copy)
            copy = left > 0 ? left : 0;
    }
    if (vm->dirty_bytes_s < 0 || vm->rate_bytes_s <= 0)
        return SCHEDULE_FLOOR_NS; /* to measure them */
    if (vm->pass_end != SCHEDULE_NO_PASS)
        rest = (vm->pass_end - vm->pass_begin) * REST_SHARE;
    apart = vm->dirty_bytes_s > 0 ? copy * vm->rate_bytes_s / vm->dirty_bytes_s : 3600;
    apart = apart > 3600 ? 3600 : apart;
    return clamp((int64_t)(apart * 1e9) > rest ? (int64_t)(apart * 1e9) : rest);
}

int64_t schedule_sync_rank(const struct schedule_vm *vm, int64_t due)
{
    if (due == SCHEDULE_NO_PASS)
        due = 0;
    return due - (int64_t)vm->priority * MINUTE_NS;
}

/* When the rhythm asks for the next sync; monotonic.  The last one may have been long. */
static int64_t rhythm_due(const struct schedule_table *t, const struct schedule_vm *vm,
                          int64_t *ret_apart)
{
    int64_t next, begin_wall;

    switch (vm->rhythm.kind) {
    case RHYTHM_FIXED:
        *ret_apart = vm->rhythm.interval_ns;
        return vm->pass_begin + vm->rhythm.interval_ns;
    case RHYTHM_ADAPTIVE:
        *ret_apart = schedule_adaptive_ns(vm);
        return vm->pass_end + *ret_apart;
    case RHYTHM_CRON:
        /* By how long ago it was, not by what the wall clock said then: that may have been set. */
        begin_wall = t->wall - (t->mono - vm->pass_begin);
        next = calendar_cron_next(&vm->rhythm.cron, begin_wall);
        return next == CALENDAR_NEVER ? CALENDAR_NEVER : t->mono + (next - t->wall);
    case RHYTHM_MANUAL:
        break;
    }
    return CALENDAR_NEVER;
}

static void sync_by_rhythm(const struct schedule_table *t, const struct schedule_vm *vm,
                           struct schedule_decision *d)
{
    struct schedule_why why = {.reason = BECAUSE_NO_SYNC};
    int64_t due = vm->pass_end == SCHEDULE_NO_PASS ? CALENDAR_NEVER
                                                   : rhythm_due(t, vm, &why.length);
    int64_t begin = due;

    if (due == CALENDAR_NEVER) {
        d->sync = why;
        return;
    }
    if (begin < vm->pass_end + BREATH_NS)
        begin = vm->pass_end + BREATH_NS;
    if (begin <= t->mono) {
        why.reason = BECAUSE_SYNC_DUE;
        d->action = SCHEDULE_SYNC;
        d->rank = schedule_sync_rank(vm, due);
    } else {
        why.reason = BECAUSE_SYNC_AT;
        why.when = t->wall + (begin - t->mono);
        look_again(d, begin - t->mono);
    }
    d->sync = why;
}

static void retry(const struct schedule_table *t, const struct schedule_vm *vm,
                  struct schedule_decision *d)
{
    unsigned doubles = vm->failures > 1 ? vm->failures - 1 : 0;
    int64_t due = vm->failed_at +
                  (SCHEDULE_RETRY_NS << (doubles > RETRY_DOUBLES ? RETRY_DOUBLES : doubles));

    d->sync = (struct schedule_why){.reason = BECAUSE_RETRY, .used = vm->failures};
    if (vm->rhythm.kind == RHYTHM_MANUAL) {
        d->sync.reason = BECAUSE_SYNC_FAILED;
    } else if (due <= t->mono) {
        d->action = SCHEDULE_SYNC;
        d->rank = schedule_sync_rank(vm, due);
    } else {
        d->sync.reason = BECAUSE_RETRY_AT;
        d->sync.when = t->wall + (due - t->mono);
        look_again(d, due - t->mono);
    }
}

void schedule_sync_want(const struct schedule_table *t, const struct schedule_vm *vm,
                        struct schedule_decision *d)
{
    if (vm->class == SCHEDULE_SYNC_FAILED) {
        retry(t, vm, d);
        return;
    }
    /* While others are rehearsed its syncs go on. */
    if (vm->rehearse_every > 0 && vm->syncs_since >= vm->rehearse_every && !vm->rehearsing &&
        (t->rehearsals == 0 || t->rehearsing < t->rehearsals)) {
        d->action = SCHEDULE_REHEARSE;
        d->rank = schedule_sync_rank(vm, vm->pass_end);
        d->sync = (struct schedule_why){.reason = BECAUSE_REHEARSAL_DUE, .used = vm->syncs_since};
        return;
    }
    sync_by_rhythm(t, vm, d);
    if (d->action == SCHEDULE_NOTHING && vm->rehearsing)
        d->sync.reason = d->sync.reason == BECAUSE_NO_SYNC ? BECAUSE_REHEARSES : d->sync.reason;
}

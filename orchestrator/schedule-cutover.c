/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a VM, or a group of them, cuts over now: asked rule by rule, the first that says no has
 * the reason. */
#include "orchestrator/schedule-inside.h"

#define IMPROVED 0.9        /* a forecast this much shorter is progress */
#define FRESH_S 5.0         /* a delta first, when it makes the downtime this much shorter … */
#define FRESH_AGE_NS (60 * SCHEDULE_S) /* … and the last one is older than this */
/* Deltas right before a cutover are ahead of all others: their window is open, and they are few. */
#define URGENT_NS (365 * 24 * 60 * MINUTE_NS)

/* The unit at hand. */
struct unit {
    const struct schedule_table *t;
    size_t i;
    struct schedule_decision *out;
    size_t count;
    int64_t end; /* wall: of the open window */
};

static bool refuse(const struct unit *u, struct schedule_why why, int64_t again_ns)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        u->out[m].why = why;
        look_again(&u->out[m], again_ns);
    }
    return false;
}

static bool refuse_plain(const struct unit *u, enum schedule_reason reason, int other)
{
    return refuse(u, (struct schedule_why){.reason = reason, .other = other}, CALENDAR_NEVER);
}

/* Somebody asked for it, and no try has failed. */
static bool asked_for(const struct unit *u)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        const struct schedule_vm *vm = &u->t->vms[m];

        if (vm->cutover == CUTOVER_MANUAL)
            return refuse_plain(u, BECAUSE_CUTOVER_BY_HAND, m);
        if (vm->cutover_failed || vm->class == SCHEDULE_CUTOVER_FAILED)
            return refuse_plain(u, BECAUSE_CUTOVER_FAILED, m);
        if (vm->gave_up)
            return refuse_plain(u, BECAUSE_GAVE_UP, m);
    }
    return true;
}

/* The latest time that one of them names has come, and not too long ago: where windows do not say
 * when it is too late. */
static bool time_has_come(const struct unit *u)
{
    bool bounded = false;
    int64_t when = 0;

    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        if (u->t->vms[m].cutover == CUTOVER_AT && u->t->vms[m].cutover_at > when)
            when = u->t->vms[m].cutover_at;
        bounded |= u->t->vms[m].windows >= 0;
    }
    if (when > u->t->wall)
        return refuse(u, (struct schedule_why){.reason = BECAUSE_CUTOVER_AT, .when = when},
                      when - u->t->wall);
    if (when > 0 && !bounded && u->t->wall - when > SCHEDULE_LATE_NS)
        return refuse(u, (struct schedule_why){.reason = BECAUSE_TOO_LATE, .when = when},
                      CALENDAR_NEVER);
    return true;
}

static const struct schedule_windows *windows_of(const struct unit *u, int m)
{
    int w = u->t->vms[m].windows;

    return w < 0 ? NULL : &u->t->windows[w];
}

/* The first time from now on that all of them have a window open. */
static int64_t common_opening(const struct unit *u)
{
    int64_t at = u->t->wall;

    for (int round = 0; round < 1000; round++) {
        int64_t later = at;

        for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
            const struct schedule_windows *w = windows_of(u, m);

            if (w && later != CALENDAR_NEVER)
                later = calendar_windows_next(w->items, w->count, later);
        }
        if (later == at || later == CALENDAR_NEVER)
            return later;
        at = later;
    }
    return CALENDAR_NEVER;
}

static int64_t opening(const struct unit *u)
{
    const struct schedule_windows *w = windows_of(u, (int)u->i);

    return u->count == 1 ? w->until : common_opening(u);
}

/* The parts that no delta makes shorter. */
static double least(const struct schedule_vm *vm)
{
    return vm->fixed_s + (vm->snapshot_cost_s > 0 ? vm->snapshot_cost_s : 0);
}

/* What the slowest of them needs, in ns: now, or right after a delta; 0 when nothing is known. */
static int64_t longest(const struct unit *u, bool now)
{
    double most = 0;

    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        double s = now ? u->t->vms[m].forecast.expected : least(&u->t->vms[m]);

        most = s > most ? s : most;
    }
    return most < 1e8 ? (int64_t)(most * 1e9) : (int64_t)1e17;
}

static bool too_short(struct unit *u, int64_t needs)
{
    if (u->end == CALENDAR_NEVER || u->end - u->t->wall >= needs)
        return false;
    refuse(u, (struct schedule_why){.reason = BECAUSE_WINDOW_SHORT, .when = u->end,
                                    .length = needs},
           u->end - u->t->wall);
    return true;
}

static bool window_is_open(struct unit *u)
{
    int64_t when;
    bool open = true;

    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        const struct schedule_windows *w = windows_of(u, m);

        open &= !w || w->open;
        if (w && w->open && w->until < u->end)
            u->end = w->until;
    }
    if (!open) {
        when = opening(u);
        return refuse(u, (struct schedule_why){.reason = when == CALENDAR_NEVER
                                                             ? BECAUSE_WINDOW_NEVER
                                                             : BECAUSE_WINDOW_OPENS,
                                               .when = when},
                      when == CALENDAR_NEVER ? CALENDAR_NEVER : when - u->t->wall);
    }
    return !too_short(u, longest(u, false));
}

/* What comes before it is up.  Within a group all go together. */
static bool predecessors_are_up(const struct unit *u)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        const struct schedule_vm *vm = &u->t->vms[m];

        if (vm->after_unknown) /* perhaps it has only not been made yet */
            return refuse_plain(u, BECAUSE_AFTER_UNKNOWN, m);
        for (size_t a = 0; a < vm->after_count; a++) {
            const struct schedule_vm *other = &u->t->vms[vm->after[a]];

            if (other->up || (vm->group >= 0 && other->group == vm->group))
                continue;
            return refuse_plain(u, other->class == SCHEDULE_GONE ? BECAUSE_AFTER_GONE
                                                                 : BECAUSE_AFTER,
                                (int)vm->after[a]);
        }
    }
    return true;
}

/* Everybody is at rest with a mirror.  A cutover would end a rehearsal. */
static bool all_are_there(const struct unit *u, bool *ret_busy)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        const struct schedule_vm *vm = &u->t->vms[m];

        if (vm->class == SCHEDULE_MIRRORED && vm->pass_end != SCHEDULE_NO_PASS && !vm->paused &&
            !vm->rehearsing)
            continue;
        *ret_busy |= vm->class == SCHEDULE_SYNCING && vm->pass_end != SCHEDULE_NO_PASS;
        return refuse_plain(u, BECAUSE_MEMBER, m);
    }
    return true;
}

/* A delta of VM m before the cutover.  urgent: that may well be the last one. */
static void delta_first(const struct unit *u, int m, enum schedule_reason reason, bool urgent)
{
    const struct schedule_vm *vm = &u->t->vms[m];
    struct schedule_decision *d = &u->out[m];

    d->action = SCHEDULE_SYNC;
    d->rank = schedule_sync_rank(vm, vm->pass_end) - (urgent ? URGENT_NS : 0);
    d->why = (struct schedule_why){.reason = reason, .other = m};
    d->memory.deltas += urgent;
}

static bool never_fits(const struct schedule_vm *vm)
{
    return least(vm) > vm->budget_s;
}

/* How much of the forecast is there only because time went by since the last pass. */
static double aged_s(const struct unit *u, const struct schedule_vm *vm)
{
    double age = (double)(u->t->mono - vm->pass_end) / 1e9, most;

    if (vm->dirty_bytes_s <= 0 || vm->rate_bytes_s <= 0 || age <= 0)
        return 0;
    most = vm->forecast.expected - least(vm);
    age *= vm->dirty_bytes_s / vm->rate_bytes_s;
    return age < most ? age : most > 0 ? most : 0;
}

enum fit { FIT_YES, FIT_DELTA, FIT_WAIT, FIT_INSTANT, FIT_GIVE_UP };

/* What to do about a forecast that stays above the budget. */
static enum fit over_budget(const struct unit *u, int m)
{
    const struct schedule_vm *vm = &u->t->vms[m];
    struct schedule_why why = {.reason = never_fits(vm) ? BECAUSE_NEVER_FITS : BECAUSE_OVER_WAITS,
                               .other = m};
    int64_t due = vm->pass_end + SCHEDULE_FLOOR_NS;

    if (vm->over == OVER_INSTANT)
        return FIT_INSTANT;
    if (vm->over == OVER_GIVE_UP)
        return FIT_GIVE_UP;
    /* It may get quieter. */
    if (due <= u->t->mono) {
        delta_first(u, m, why.reason, false);
        return FIT_DELTA;
    }
    why.when = u->t->wall + (due - u->t->mono);
    u->out[m].why = why;
    look_again(&u->out[m], due - u->t->mono);
    return FIT_WAIT;
}

static enum fit fit_budget(const struct unit *u, int m)
{
    const struct schedule_vm *vm = &u->t->vms[m];
    struct schedule_memory *memory = &u->out[m].memory;
    double aged;

    if (vm->forecast.expected < 0 || vm->forecast.high <= vm->budget_s)
        return FIT_YES;
    if (never_fits(vm))
        return over_budget(u, m);
    aged = aged_s(u, vm);
    if (vm->forecast.high - aged <= vm->budget_s) {
        delta_first(u, m, BECAUSE_ABOVE_BUDGET, true); /* it has just waited too long */
        return FIT_DELTA;
    }
    if (memory->deltas == 0 || vm->forecast.expected - aged < memory->best_s * IMPROVED) {
        memory->best_s = vm->forecast.expected - aged;
        memory->stuck = 0;
    } else if (memory->stuck < SCHEDULE_STUCK) {
        memory->stuck++;
    }
    if (memory->stuck < SCHEDULE_STUCK) {
        delta_first(u, m, BECAUSE_ABOVE_BUDGET, true);
        return FIT_DELTA;
    }
    return vm->forecast.expected <= vm->budget_s ? FIT_YES : over_budget(u, m);
}

/* Without a budget: one delta first, when that makes the downtime noticeably shorter. */
static enum fit fit_fresh(const struct unit *u, int m)
{
    const struct schedule_vm *vm = &u->t->vms[m];
    int64_t age = u->t->mono - vm->pass_end;

    if (vm->instant || vm->rhythm.kind == RHYTHM_MANUAL || vm->forecast.expected < 0 ||
        age < (u->out[m].memory.deltas > 0 ? schedule_adaptive_ns(vm) : FRESH_AGE_NS) ||
        vm->forecast.expected - least(vm) < FRESH_S)
        return FIT_YES;
    delta_first(u, m, BECAUSE_FRESH_DELTA, true);
    return FIT_DELTA;
}

static void cut_over(const struct unit *u, bool instant)
{
    unsigned priority = 0;

    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m))
        if (u->t->vms[m].priority > priority)
            priority = u->t->vms[m].priority;
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        struct schedule_decision *d = &u->out[m];

        d->action = instant ? SCHEDULE_INSTANT : SCHEDULE_CUTOVER;
        d->rank = -(int64_t)priority;
        d->why = (struct schedule_why){.reason = instant ? BECAUSE_OVER_INSTANT : BECAUSE_CUTOVER};
    }
}

static void give_up(const struct unit *u)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        u->out[m].action = SCHEDULE_GIVE_UP;
        u->out[m].why = (struct schedule_why){.reason = BECAUSE_GIVES_UP, .other = m};
    }
}

/* Everything else says yes: now it is a matter of how long it will take. */
static void by_forecast(struct unit *u, bool *ret_converging)
{
    bool all_fit = true, instant = false, gives_up = false;
    int which = -1;

    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m)) {
        const struct schedule_vm *vm = &u->t->vms[m];
        enum fit fit = vm->budget_s > 0 ? fit_budget(u, m) : fit_fresh(u, m);

        all_fit &= fit == FIT_YES || fit == FIT_INSTANT;
        instant |= fit == FIT_INSTANT;
        gives_up |= fit == FIT_GIVE_UP;
        if (fit == FIT_DELTA || fit == FIT_WAIT)
            which = m;
    }
    *ret_converging = !all_fit;
    if (gives_up) {
        give_up(u);
    } else if (all_fit) {
        if (instant || !too_short(u, longest(u, true)))
            cut_over(u, instant);
    } else {
        for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m))
            if (u->out[m].why.reason == BECAUSE_NOTHING)
                u->out[m].why = (struct schedule_why){.reason = BECAUSE_MEMBER, .other = which};
    }
}

static void forget(const struct unit *u)
{
    for (int m = unit_next(u->t, u->i, -1); m >= 0; m = unit_next(u->t, u->i, m))
        u->out[m].memory = (struct schedule_memory){0};
}

void schedule_cutover_want(const struct schedule_table *t, size_t i, struct schedule_decision *out,
                           bool *ret_converging)
{
    struct unit u = {.t = t, .i = i, .out = out, .end = CALENDAR_NEVER};

    *ret_converging = false;
    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m))
        u.count++;
    if (!asked_for(&u) || !time_has_come(&u) || !window_is_open(&u)) {
        forget(&u); /* the next opening begins anew */
        return;
    }
    if (!predecessors_are_up(&u) || !all_are_there(&u, ret_converging))
        return;
    if (t->mono < t->settled) {
        refuse(&u, (struct schedule_why){.reason = BECAUSE_CLOCK, .length = t->settled - t->mono},
               t->settled - t->mono);
        return;
    }
    by_forecast(&u, ret_converging);
}

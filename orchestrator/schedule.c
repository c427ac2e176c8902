/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/schedule-inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char *const action_names[SCHEDULE_ACTION_COUNT] = {
    [SCHEDULE_NOTHING] = "none",      [SCHEDULE_START] = "start",
    [SCHEDULE_SYNC] = "sync",         [SCHEDULE_CUTOVER] = "cutover",
    [SCHEDULE_INSTANT] = "instant cutover", [SCHEDULE_REHEARSE] = "rehearse",
    [SCHEDULE_COMMIT] = "commit",     [SCHEDULE_ROLLBACK] = "rollback",
    [SCHEDULE_GIVE_UP] = "give up",
};

const char *schedule_action_name(enum schedule_action action)
{
    return action_names[action];
}

void schedule_link(struct schedule_table *t)
{
    for (size_t g = 0; g < t->group_count; g++)
        t->groups[g].first = -1;
    t->rehearsing = 0;
    for (size_t i = t->count; i-- > 0;) {
        struct schedule_vm *vm = &t->vms[i];

        t->rehearsing += vm->rehearsing;
        vm->group_next = vm->group < 0 ? -1 : t->groups[vm->group].first;
        if (vm->group >= 0)
            t->groups[vm->group].first = (int)i;
    }
}

static void windows_look(struct schedule_windows *w, int64_t wall)
{
    if (w->count == 0 || (wall >= w->from && wall < w->until))
        return;
    w->open = calendar_windows_contain(w->items, w->count, wall);
    w->from = wall;
    w->until = w->open ? calendar_windows_end(w->items, w->count, wall)
                       : calendar_windows_next(w->items, w->count, wall);
}

void schedule_clock(struct schedule_table *t, int64_t wall, int64_t mono)
{
    t->wall = wall;
    t->mono = mono;
    for (size_t i = 0; i < t->windows_count; i++)
        windows_look(&t->windows[i], wall);
}

static void want_start(const struct schedule_table *t, const struct schedule_vm *vm,
                       struct schedule_decision *d)
{
    d->sync = (struct schedule_why){.reason = BECAUSE_STARTS, .when = vm->start_at};
    if (vm->start_at == CALENDAR_NEVER) {
        d->sync.reason = BECAUSE_BY_HAND;
    } else if (vm->start_at > t->wall) {
        d->sync.reason = BECAUSE_STARTS_AT;
        look_again(d, vm->start_at - t->wall);
    } else {
        d->action = SCHEDULE_START;
        d->rank = schedule_sync_rank(vm, t->mono - (t->wall - vm->start_at));
    }
}

static void want_end(const struct schedule_table *t, const struct schedule_vm *vm,
                     struct schedule_decision *d)
{
    bool commit = vm->end == END_COMMIT;

    d->why.reason = BECAUSE_DEADLINE_NONE;
    if (vm->deadline == CALENDAR_NEVER || vm->end == END_WAIT)
        return;
    if (vm->deadline <= t->mono) {
        d->action = commit ? SCHEDULE_COMMIT : SCHEDULE_ROLLBACK;
        d->why.reason = commit ? BECAUSE_COMMITS : BECAUSE_ROLLS_BACK;
        return;
    }
    d->why = (struct schedule_why){.reason = commit ? BECAUSE_DEADLINE_COMMIT
                                                    : BECAUSE_DEADLINE_ROLLBACK,
                                   .when = t->wall + (vm->deadline - t->mono),
                                   .length = vm->deadline - t->mono};
    look_again(d, vm->deadline - t->mono);
}

/* What depends on the VM alone. */
static void want_alone(const struct schedule_table *t, const struct schedule_vm *vm,
                       bool converging, struct schedule_decision *d)
{
    static const enum schedule_reason busy[SCHEDULE_CLASS_COUNT] = {
        [SCHEDULE_SYNCING] = BECAUSE_SYNCS, [SCHEDULE_CUTTING] = BECAUSE_CUTS,
        [SCHEDULE_DONE] = BECAUSE_DONE,     [SCHEDULE_GONE] = BECAUSE_GONE,
        [SCHEDULE_CUTOVER_FAILED] = BECAUSE_CUTOVER_FAILED};

    if (vm->class == SCHEDULE_WINDOW) {
        want_end(t, vm, d);
    } else if (busy[vm->class]) {
        d->sync.reason = busy[vm->class];
    } else if (vm->paused) {
        d->sync.reason = BECAUSE_PAUSED;
    } else if (vm->class == SCHEDULE_PLANNED) {
        want_start(t, vm, d);
    } else if (!converging || vm->class == SCHEDULE_SYNC_FAILED) {
        schedule_sync_want(t, vm, d); /* otherwise the group would never meet at rest */
    }
}

static bool before_cutover(enum schedule_class class)
{
    return class != SCHEDULE_CUTTING && class != SCHEDULE_WINDOW && class != SCHEDULE_DONE &&
           class != SCHEDULE_GONE;
}

void schedule_want(const struct schedule_table *t, size_t i, struct schedule_decision *out)
{
    bool converging = false, before = false;

    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m)) {
        out[m] = (struct schedule_decision){.again_ns = CALENDAR_NEVER,
                                            .memory = t->vms[m].memory};
        before |= before_cutover(t->vms[m].class);
    }
    if (before)
        schedule_cutover_want(t, i, out, &converging);
    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m)) {
        if (!before_cutover(t->vms[m].class))
            out[m].why.reason = BECAUSE_NOTHING;
        if (out[m].action == SCHEDULE_NOTHING)
            want_alone(t, &t->vms[m], converging, &out[m]);
    }
}

struct schedule_slots schedule_slots_new(const struct schedule_table *t)
{
    struct schedule_slots slots = {.hosts = mem_new(t->host_count + 1, sizeof(*slots.hosts)),
                                   .nodes = mem_new(t->node_count + 1, sizeof(*slots.nodes))};

    for (size_t i = 0; i < t->count; i++) {
        const struct schedule_vm *vm = &t->vms[i];

        slots.cutovers += vm->class == SCHEDULE_CUTTING;
        slots.rehearsals += vm->rehearsing;
        slots.syncs += vm->slot;
        if (vm->slot && vm->host >= 0)
            slots.hosts[vm->host]++;
        if (vm->slot && vm->node >= 0)
            slots.nodes[vm->node]++;
    }
    return slots;
}

void schedule_slots_free(struct schedule_slots *slots)
{
    free(slots->hosts);
    free(slots->nodes);
}

/* A group that is larger than what there is gets all of it. */
static bool room(unsigned used, unsigned need, unsigned most)
{
    return most == 0 || used == 0 || used + need <= most;
}

static bool place_has_room(const struct schedule_place *places, const unsigned *used, int place,
                           enum schedule_reason reason, struct schedule_why *ret_why)
{
    if (place < 0 || places[place].syncs == 0 || used[place] < places[place].syncs)
        return true;
    *ret_why = (struct schedule_why){.reason = reason, .used = used[place],
                                     .most = places[place].syncs, .other = place};
    return false;
}

static bool sync_fits(const struct schedule_table *t, const struct schedule_slots *s, size_t i,
                      struct schedule_why *ret_why)
{
    const struct schedule_vm *vm = &t->vms[i];

    if (t->syncs > 0 && s->syncs >= t->syncs) {
        *ret_why = (struct schedule_why){.reason = BECAUSE_PLACES, .used = s->syncs,
                                         .most = t->syncs};
        return false;
    }
    return place_has_room(t->hosts, s->hosts, vm->host, BECAUSE_HOST_PLACES, ret_why) &&
           place_has_room(t->nodes, s->nodes, vm->node, BECAUSE_NODE_PLACES, ret_why);
}

static void sync_take(const struct schedule_table *t, struct schedule_slots *s, int m)
{
    s->syncs++;
    if (t->vms[m].host >= 0)
        s->hosts[t->vms[m].host]++;
    if (t->vms[m].node >= 0)
        s->nodes[t->vms[m].node]++;
}

bool schedule_slots_take(const struct schedule_table *t, struct schedule_slots *s, size_t i,
                         const struct schedule_decision *want, struct schedule_why *ret_why)
{
    bool cutover = is_cutover(want->action);
    unsigned need = 0;

    if (want->action == SCHEDULE_REHEARSE) {
        if (!room(s->rehearsals, 1, t->rehearsals)) {
            *ret_why = (struct schedule_why){.reason = BECAUSE_ONE_REHEARSES};
            return false;
        }
        s->rehearsals++;
        return true;
    }
    if (!cutover && want->action != SCHEDULE_SYNC && want->action != SCHEDULE_START)
        return true;
    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m))
        need++;
    if (cutover && !room(s->cutovers, need, t->cutovers)) {
        *ret_why = (struct schedule_why){.reason = BECAUSE_CUTOVERS, .used = s->cutovers,
                                         .most = t->cutovers};
        return false;
    }
    if (!cutover && !sync_fits(t, s, i, ret_why))
        return false;
    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m))
        if (cutover || (size_t)m == i)
            sync_take(t, s, m);
    s->cutovers += cutover ? need : 0;
    return true;
}

int schedule_compare(const struct schedule_decision *a, size_t a_index,
                     const struct schedule_decision *b, size_t b_index)
{
    bool a_cuts = is_cutover(a->action), b_cuts = is_cutover(b->action);

    if (a_cuts != b_cuts)
        return a_cuts ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return (a_index > b_index) - (a_index < b_index);
}

/* One that wants a place. */
struct wish {
    const struct schedule_decision *d;
    size_t i;
};

static int compare_wishes(const void *a, const void *b)
{
    const struct wish *x = a, *y = b;

    return schedule_compare(x->d, x->i, y->d, y->i);
}

static bool needs_place(const struct schedule_decision *d)
{
    return is_cutover(d->action) || d->action == SCHEDULE_SYNC || d->action == SCHEDULE_START ||
           d->action == SCHEDULE_REHEARSE;
}

static void deny(const struct schedule_table *t, size_t i, const struct schedule_why *why,
                 unsigned position, struct schedule_decision *out)
{
    bool unit = is_cutover(out[i].action);

    for (int m = unit_next(t, i, -1); m >= 0; m = unit_next(t, i, m)) {
        if (!unit && (size_t)m != i)
            continue;
        out[m].action = SCHEDULE_NOTHING;
        out[m].position = position;
        out[m].memory = t->vms[m].memory;
        if (unit)
            out[m].why = *why;
        else
            out[m].sync = *why;
    }
}

/* Gives places to the wishes in their order. */
static void allot(const struct schedule_table *t, struct wish *wishes, size_t n,
                  struct schedule_decision *out)
{
    struct schedule_slots slots = schedule_slots_new(t);
    struct schedule_why why, held = {0};
    unsigned waiting = 0;

    for (size_t w = 0; w < n; w++) {
        size_t i = wishes[w].i;
        const struct schedule_decision *d = &out[i];
        bool cuts = is_cutover(d->action), is_held = cuts && held.reason != BECAUSE_NOTHING;

        if (!is_held && schedule_slots_take(t, &slots, i, d, &why))
            continue;
        if (is_held)
            why = held;
        why.before = waiting++;
        /* Small cutovers would never leave a group the places that it needs at once. */
        if (cuts && t->vms[i].group_next >= 0 && !is_held)
            held = (struct schedule_why){.reason = BECAUSE_HELD, .other = (int)i};
        deny(t, i, &why, waiting, out);
    }
    schedule_slots_free(&slots);
}

void schedule_decide(const struct schedule_table *t, struct schedule_decision *out)
{
    _cleanup_free_ struct wish *wishes = mem_new(t->count + 1, sizeof(*wishes));
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (unit_next(t, i, -1) == (int)i)
            schedule_want(t, i, out);
    for (size_t i = 0; i < t->count; i++) {
        bool with_first = is_cutover(out[i].action) && unit_next(t, i, -1) != (int)i;

        if (needs_place(&out[i]) && !with_first)
            wishes[n++] = (struct wish){&out[i], i};
    }
    qsort(wishes, n, sizeof(*wishes), compare_wishes);
    allot(t, wishes, n, out);
}

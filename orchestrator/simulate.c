/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/simulate-queue.h"

enum event { EVENT_LOOK, EVENT_SYNCED, EVENT_UP };

struct simulation {
    struct schedule_table *t;
    const struct simulate_vm *vms;
    const struct simulate_options *options;
    struct simulate_outcome *outcomes;
    struct schedule_decision *out;
    struct simulate_totals *totals;
    struct schedule_slots slots;
    struct queue events;   /* key: monotonic time */
    struct queue cutovers; /* key: rank; the first of each unit */
    struct queue *syncs;   /* key: rank; for each host, the last for those without */
    uint64_t *stamps;      /* an entry with another one is out of date */
    int64_t *looked;       /* monotonic: when a unit was looked at last, by its first VM */
    size_t remaining;      /* whose cutover is not by hand, and who are not up */
    uint32_t *later;       /* for each VM those that come after it … */
    size_t *later_from;    /* … from here to the next one's */
};

/* splitmix64 (S. Vigna, public domain algorithm): the same draw for the same VM and purpose. */
static double spread(const struct simulation *s, size_t i, unsigned purpose)
{
    uint64_t z = s->options->seed + i * UINT64_C(0x9e3779b97f4a7c15) + purpose;

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return 1 + s->options->spread * ((double)(z >> 11) * 0x1p-52 - 1);
}

static double copy_rate(const struct simulation *s, size_t i)
{
    double rate = s->vms[i].rate_bytes_s, share = s->options->total_bytes_s;

    if (share > 0 && s->t->syncs > 0)
        share /= s->t->syncs;
    return share > 0 && share < rate ? share : rate;
}

static double delta_bytes(const struct simulation *s, size_t i)
{
    const struct schedule_vm *vm = &s->t->vms[i];
    double bytes;

    if (vm->pass_end == SCHEDULE_NO_PASS)
        return (double)s->vms[i].bytes;
    bytes = vm->dirty_bytes_s * (double)(s->t->mono - vm->pass_begin) / 1e9;
    return bytes < (double)s->vms[i].bytes ? bytes : (double)s->vms[i].bytes;
}

static double pass_s(const struct simulation *s, size_t i)
{
    return s->t->vms[i].snapshot_cost_s + delta_bytes(s, i) / copy_rate(s, i);
}

static void forecast_make(struct simulation *s, size_t i)
{
    struct schedule_vm *vm = &s->t->vms[i];
    double off = s->options->spread, total = vm->fixed_s;

    if (!vm->instant)
        total += pass_s(s, i);
    vm->forecast = (struct schedule_range){total * (1 - off), total, total * (1 + off)};
}

/* More telling in the end than that the window is shut just then. */
static bool is_obstacle(enum schedule_reason reason)
{
    return reason == BECAUSE_NEVER_FITS || reason == BECAUSE_OVER_WAITS ||
           reason == BECAUSE_ABOVE_BUDGET || reason == BECAUSE_WINDOW_SHORT ||
           reason == BECAUSE_AFTER || reason == BECAUSE_MEMBER;
}

/* The unit of VM i wants something new. */
static void look(struct simulation *s, size_t i)
{
    struct schedule_table *t = s->t;
    int first = t->vms[i].group < 0 ? (int)i : t->groups[t->vms[i].group].first;

    s->totals->decisions++;
    s->looked[first] = t->mono;
    for (int m = first; m >= 0; m = t->vms[m].group_next)
        forecast_make(s, (size_t)m);
    schedule_want(t, (size_t)first, s->out);
    for (int m = first; m >= 0; m = t->vms[m].group_next) {
        struct schedule_decision *d = &s->out[m];
        struct queue_entry entry = {.key = d->rank, .index = (uint32_t)m, .stamp = ++s->stamps[m]};
        int host = t->vms[m].host < 0 ? (int)t->host_count : t->vms[m].host;

        if (is_obstacle(d->why.reason)) {
            s->outcomes[m].obstacle = d->why;
            s->outcomes[m].forecast = t->vms[m].forecast;
        }
        if (d->action == SCHEDULE_NOTHING || d->action == SCHEDULE_GIVE_UP)
            t->vms[m].memory = d->memory;
        if (d->action == SCHEDULE_GIVE_UP) {
            t->vms[m].gave_up = s->outcomes[m].gave_up = true;
            s->remaining--;
        }
        if (d->action == SCHEDULE_SYNC || d->action == SCHEDULE_START)
            queue_push(&s->syncs[host], entry);
        else if (m == first && (d->action == SCHEDULE_CUTOVER || d->action == SCHEDULE_INSTANT))
            queue_push(&s->cutovers, entry);
        if (d->again_ns < s->options->most_ns) { /* otherwise, perhaps, never: INT64_MAX */
            entry.kind = EVENT_LOOK;
            entry.key = t->mono + d->again_ns;
            queue_push(&s->events, entry);
        }
    }
}

static void sync_begin(struct simulation *s, size_t i)
{
    struct schedule_vm *vm = &s->t->vms[i];
    double seconds = pass_s(s, i) * spread(s, i, s->outcomes[i].passes + 10);
    int64_t length = (int64_t)(seconds * 1e9) + 1;

    s->outcomes[i].passes++;
    s->outcomes[i].copied_bytes += (uint64_t)delta_bytes(s, i);
    s->totals->passes++;
    s->totals->sync_busy_s += seconds;
    vm->class = SCHEDULE_SYNCING;
    vm->slot = true;
    vm->memory = s->out[i].memory;
    /* The point in time that is copied; it counts once the sync has come to its end. */
    vm->failed_at = s->t->mono;
    s->stamps[i]++;
    queue_push(&s->events, (struct queue_entry){.key = s->t->mono + length, .index = (uint32_t)i,
                                                .kind = EVENT_SYNCED, .stamp = s->stamps[i]});
}

static void sync_end(struct simulation *s, size_t i)
{
    struct schedule_vm *vm = &s->t->vms[i];

    if (vm->pass_end == SCHEDULE_NO_PASS)
        s->outcomes[i].mirrored_at = s->t->wall;
    vm->pass_begin = vm->failed_at;
    vm->pass_end = s->t->mono;
    vm->class = SCHEDULE_MIRRORED;
    vm->slot = false;
    s->slots.syncs--;
    if (vm->host >= 0)
        s->slots.hosts[vm->host]--;
    if (vm->node >= 0)
        s->slots.nodes[vm->node]--;
    look(s, i);
}

static void cutover_begin(struct simulation *s, size_t first)
{
    struct schedule_table *t = s->t;
    double longest = 0;

    for (int m = (int)first; m >= 0; m = t->vms[m].group_next) {
        const struct simulate_vm *v = &s->vms[m];
        struct simulate_outcome *o = &s->outcomes[m];
        int w = t->vms[m].windows;
        bool instant = t->vms[m].instant || s->out[m].action == SCHEDULE_INSTANT;

        o->instant = instant;
        o->cutover_at = t->wall;
        o->window_end = w < 0 ? CALENDAR_NEVER : t->windows[w].until;
        o->downtime_s = v->shutdown_s * spread(s, (size_t)m, 1) +
                        (instant ? 0 : pass_s(s, (size_t)m) * spread(s, (size_t)m, 2)) +
                        v->morph_s * spread(s, (size_t)m, 3) + v->flip_s +
                        v->start_s * spread(s, (size_t)m, 4);
        if (!instant)
            o->copied_bytes += (uint64_t)delta_bytes(s, (size_t)m);
        t->vms[m].class = SCHEDULE_CUTTING;
        if (o->downtime_s > longest)
            longest = o->downtime_s;
    }
    /* A group flips as one: the slowest says when. */
    for (int m = (int)first; m >= 0; m = t->vms[m].group_next) {
        s->outcomes[m].downtime_s = longest;
        s->stamps[m]++;
        queue_push(&s->events,
                   (struct queue_entry){.key = t->mono + (int64_t)(longest * 1e9) + 1,
                                        .index = (uint32_t)m, .kind = EVENT_UP,
                                        .stamp = s->stamps[m]});
    }
}

static void cutover_end(struct simulation *s, size_t i)
{
    struct schedule_vm *vm = &s->t->vms[i];

    vm->class = SCHEDULE_DONE;
    vm->up = true;
    s->outcomes[i].up_at = s->t->wall;
    s->remaining--;
    s->slots.cutovers--;
    s->slots.syncs--;
    if (vm->host >= 0)
        s->slots.hosts[vm->host]--;
    if (vm->node >= 0)
        s->slots.nodes[vm->node]--;
    for (size_t a = s->later_from[i]; a < s->later_from[i + 1]; a++)
        if (s->t->vms[s->later[a]].class == SCHEDULE_MIRRORED)
            look(s, s->later[a]);
}

static bool is_valid(const struct simulation *s, const struct queue_entry *e)
{
    return e && e->stamp == s->stamps[e->index];
}

static const struct queue_entry *first_valid(const struct simulation *s, struct queue *q)
{
    const struct queue_entry *e;

    while ((e = queue_first(q)) && !is_valid(s, e))
        queue_pop(q);
    return e;
}

/* What waited may want something else by now: only what it still wants is begun. */
static void begin_cutovers(struct simulation *s)
{
    const struct schedule_table *t = s->t;
    const struct queue_entry *e;
    struct schedule_why why;

    while ((t->cutovers == 0 || s->slots.cutovers < t->cutovers) &&
           (e = first_valid(s, &s->cutovers))) {
        size_t i = e->index;

        if (s->looked[i] != t->mono) {
            look(s, i);
            continue;
        }
        if (!schedule_slots_take(t, &s->slots, i, &s->out[i], &why))
            return; /* a group that waits for all of its places */
        queue_pop(&s->cutovers);
        cutover_begin(s, i);
    }
}

static struct queue *best_lane(struct simulation *s)
{
    const struct queue_entry *best = NULL;
    struct queue *lane = NULL;
    struct schedule_why why;

    if (s->t->syncs > 0 && s->slots.syncs >= s->t->syncs)
        return NULL;
    for (size_t h = 0; h <= s->t->host_count; h++) {
        const struct queue_entry *e = first_valid(s, &s->syncs[h]);
        struct schedule_slots *slots = &s->slots;

        if (!e || (best && (best->key < e->key ||
                            (best->key == e->key && best->index < e->index))))
            continue;
        if (h < s->t->host_count && s->t->hosts[h].syncs > 0 &&
            slots->hosts[h] >= s->t->hosts[h].syncs)
            continue;
        best = e;
        lane = &s->syncs[h];
    }
    if (best && !schedule_slots_take(s->t, &s->slots, best->index, &s->out[best->index], &why))
        return NULL; /* its node is full */
    return lane;
}

static void begin_syncs(struct simulation *s)
{
    struct queue *lane;

    while ((lane = best_lane(s))) {
        size_t i = queue_first(lane)->index;

        queue_pop(lane);
        sync_begin(s, i);
    }
}

static void happen(struct simulation *s, struct queue_entry e)
{
    if (e.kind == EVENT_LOOK) {
        if (is_valid(s, &e))
            look(s, e.index);
        return;
    }
    if (e.kind == EVENT_SYNCED)
        sync_end(s, e.index);
    else
        cutover_end(s, e.index);
}

/* Everything that happens at the next instant.  False: nothing happens any more. */
static bool step(struct simulation *s, int64_t mono_end)
{
    const struct queue_entry *e = queue_first(&s->events);
    int64_t at = e ? e->key : mono_end;

    if (at >= mono_end || s->remaining == 0)
        return false;
    schedule_clock(s->t, s->t->wall + (at - s->t->mono), at);
    while ((e = queue_first(&s->events)) && e->key == at) {
        struct queue_entry now = *e;

        queue_pop(&s->events);
        happen(s, now);
    }
    begin_cutovers(s);
    begin_syncs(s);
    return true;
}

static void relate(struct simulation *s)
{
    const struct schedule_table *t = s->t;
    size_t n = 0;

    s->later_from = mem_new(t->count + 2, sizeof(*s->later_from));
    for (size_t i = 0; i < t->count; i++) {
        n += t->vms[i].after_count;
        for (size_t a = 0; a < t->vms[i].after_count; a++)
            s->later_from[t->vms[i].after[a] + 2]++;
    }
    for (size_t i = 2; i < t->count + 2; i++)
        s->later_from[i] += s->later_from[i - 1];
    s->later = mem_new(n + 1, sizeof(*s->later));
    for (size_t i = 0; i < t->count; i++)
        for (size_t a = 0; a < t->vms[i].after_count; a++)
            s->later[s->later_from[t->vms[i].after[a] + 1]++] = (uint32_t)i;
}

static void begin(struct simulation *s)
{
    struct schedule_table *t = s->t;

    for (size_t i = 0; i < t->count; i++) {
        struct schedule_vm *vm = &t->vms[i];
        const struct simulate_vm *v = &s->vms[i];

        vm->class = SCHEDULE_PLANNED;
        vm->pass_begin = vm->pass_end = SCHEDULE_NO_PASS;
        vm->deadline = CALENDAR_NEVER;
        vm->rate_bytes_s = copy_rate(s, i);
        vm->snapshot_cost_s = vm->snapshot_cost_s > 0 ? vm->snapshot_cost_s : 0;
        vm->fixed_s = v->shutdown_s + v->morph_s + v->flip_s + v->start_s;
        vm->rehearse_every = 0;
        s->remaining += vm->cutover != CUTOVER_MANUAL;
        if (vm->start_at != CALENDAR_NEVER && vm->start_at < s->options->begin)
            vm->start_at = s->options->begin;
        s->outcomes[i] = (struct simulate_outcome){.mirrored_at = CALENDAR_NEVER,
                                                   .cutover_at = CALENDAR_NEVER,
                                                   .up_at = CALENDAR_NEVER,
                                                   .window_end = CALENDAR_NEVER};
    }
    schedule_link(t);
    schedule_clock(t, s->options->begin, 0);
    for (size_t i = 0; i < t->count; i++)
        if (t->vms[i].group < 0 || t->groups[t->vms[i].group].first == (int)i)
            look(s, i);
    begin_syncs(s);
}

void simulate_run(struct schedule_table *t, const struct simulate_vm *vms,
                  const struct simulate_options *options, struct simulate_outcome *outcomes,
                  struct schedule_decision *decisions, struct simulate_totals *ret_totals)
{
    struct simulation s = {.t = t, .vms = vms, .options = options, .outcomes = outcomes,
                           .out = decisions, .totals = ret_totals};

    *ret_totals = (struct simulate_totals){0};
    s.slots = schedule_slots_new(t);
    s.stamps = mem_new(t->count + 1, sizeof(*s.stamps));
    s.looked = mem_new(t->count + 1, sizeof(*s.looked));
    s.syncs = mem_new(t->host_count + 1, sizeof(*s.syncs));
    relate(&s);
    begin(&s);
    while (step(&s, options->most_ns))
        ;
    schedule_decide(t, decisions);
    ret_totals->end = t->wall;
    for (size_t i = 0; i < t->count; i++) {
        ret_totals->copied_bytes += outcomes[i].copied_bytes;
        if (outcomes[i].obstacle.reason == BECAUSE_NOTHING || t->vms[i].up ||
            t->vms[i].class == SCHEDULE_CUTTING || outcomes[i].gave_up)
            continue;
        decisions[i] = (struct schedule_decision){.why = outcomes[i].obstacle};
        t->vms[i].forecast = outcomes[i].forecast;
    }
    for (size_t h = 0; h <= t->host_count; h++)
        queue_free(&s.syncs[h]);
    free(s.syncs);
    queue_free(&s.cutovers);
    queue_free(&s.events);
    schedule_slots_free(&s.slots);
    free(s.stamps);
    free(s.looked);
    free(s.later);
    free(s.later_from);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds that live for two weeks under the schedule: places are never exceeded, what must be
 * up first is, groups go as one, windows hold, nobody starves.  A seed makes a world:
 * test-schedule-random SEED tells that one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/align.h"
#include "orchestrator/schedule.h"

#define S SCHEDULE_S
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define BEGIN (INT64_C(1795294800) * S)
#define MONO (100 * HOUR)
#define VMS 40
#define SEEDS 12
#define STARVED (60 * HOUR) /* 40 first copies of up to 70 minutes may be before it */

struct world {
    uint64_t random;
    uint64_t seed;
    struct schedule_vm vms[VMS];
    unsigned after[VMS][2];
    int64_t ends[VMS]; /* monotonic: what it is at work on; 0: nothing */
    int64_t asked[VMS];
    struct schedule_place hosts[3], nodes[2];
    struct calendar_window items[2];
    struct schedule_windows windows[2];
    struct schedule_group groups[VMS];
    struct schedule_table t;
    struct schedule_decision out[VMS], again[VMS];
};

#define MUST(w, condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("seed %llu, line %d: not so: %s\n", (unsigned long long)(w)->seed, __LINE__,    \
                   #condition);                                                                    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* splitmix64 (S. Vigna, public domain algorithm) */
static unsigned pick(struct world *w, unsigned below)
{
    uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ (z >> 31)) % below);
}

static void vm_make(struct world *w, int i)
{
    struct schedule_vm *vm = &w->vms[i];

    *vm = (struct schedule_vm){.name = "v", .class = SCHEDULE_PLANNED, .priority = pick(w, 101),
                               .group = -1, .host = (int)pick(w, 4) - 1, .node = (int)pick(w, 2),
                               .windows = (int)pick(w, 3) - 1, .start_at = BEGIN,
                               .pass_begin = SCHEDULE_NO_PASS, .pass_end = SCHEDULE_NO_PASS,
                               .dirty_bytes_s = 1e6, .rate_bytes_s = 1e8, .snapshot_cost_s = 5,
                               .fixed_s = 20, .cutover = CUTOVER_AUTO,
                               .rehearse_every = pick(w, 4) == 0 ? 5 : 0,
                               .deadline = CALENDAR_NEVER};
    vm->rhythm.kind = RHYTHM_ADAPTIVE;
    if (pick(w, 5) == 0)
        vm->cutover = CUTOVER_MANUAL;
    if (pick(w, 2) == 0) {
        vm->budget_s = 20 + pick(w, 30);
        vm->over = OVER_INSTANT;
    }
}

/* Groups of neighbours; what comes before is before the group: no circles. */
static void relations_make(struct world *w)
{
    for (int i = 0; i < VMS;) {
        int size = pick(w, 3) == 0 ? 2 + (int)pick(w, 3) : 1, first = i;
        bool manual = w->vms[i].cutover == CUTOVER_MANUAL;

        for (; i < first + size && i < VMS; i++) {
            w->vms[i].group = size > 1 ? (int)w->t.group_count : -1;
            w->vms[i].cutover = manual ? CUTOVER_MANUAL : CUTOVER_AUTO;
            w->vms[i].after = w->after[i];
            while (first > 0 && w->vms[i].after_count < 2 && pick(w, 3) == 0)
                w->after[i][w->vms[i].after_count++] = pick(w, (unsigned)first);
        }
        w->t.group_count += size > 1;
    }
}

static void world_make(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = w->random = seed;
    w->t = (struct schedule_table){.vms = w->vms, .count = VMS, .hosts = w->hosts, .host_count = 3,
                                   .nodes = w->nodes, .node_count = 2, .windows = w->windows,
                                   .windows_count = 2, .groups = w->groups, .syncs = 1 + pick(w, 6),
                                   .cutovers = pick(w, 4), .rehearsals = 1, .wall = BEGIN,
                                   .mono = MONO};
    w->hosts[0].syncs = 1 + pick(w, 2);
    w->nodes[1].syncs = pick(w, 4);
    w->hosts[0].name = w->hosts[1].name = w->hosts[2].name = w->nodes[0].name =
        w->nodes[1].name = "p";
    calendar_window_parse("20:00-04:00 UTC", &w->items[0], NULL);
    calendar_window_parse("fri-sun 22:00-06:00", &w->items[1], NULL);
    for (int i = 0; i < 2; i++)
        w->windows[i] = (struct schedule_windows){.items = &w->items[i], .count = 1};
    for (int i = 0; i < VMS; i++)
        vm_make(w, i);
    relations_make(w);
    schedule_link(&w->t);
}

static void forecasts_make(struct world *w)
{
    for (int i = 0; i < VMS; i++) {
        struct schedule_vm *vm = &w->vms[i];
        double age = vm->pass_end == SCHEDULE_NO_PASS ? 0
                                                      : (double)(w->t.mono - vm->pass_end) / 1e9;
        double s = vm->fixed_s + vm->snapshot_cost_s + age * vm->dirty_bytes_s / vm->rate_bytes_s;

        vm->forecast = (struct schedule_range){s, s, s * 1.2};
    }
}

/* Who cuts over has places of its own, and takes those of syncs from the syncs. */
static void places_hold(struct world *w)
{
    struct schedule_slots s = schedule_slots_new(&w->t);
    unsigned before = s.cutovers, began = 0;

    for (int i = 0; i < VMS; i++) {
        enum schedule_action a = w->out[i].action;

        s.rehearsals += a == SCHEDULE_REHEARSE;
        s.cutovers += a == SCHEDULE_CUTOVER || a == SCHEDULE_INSTANT;
        if (a != SCHEDULE_SYNC && a != SCHEDULE_START)
            continue;
        began++;
        s.syncs++;
        s.nodes[w->vms[i].node]++;
        MUST(w, !w->nodes[w->vms[i].node].syncs ||
                    s.nodes[w->vms[i].node] <= w->nodes[w->vms[i].node].syncs);
        if (w->vms[i].host < 0)
            continue;
        s.hosts[w->vms[i].host]++;
        MUST(w, !w->hosts[w->vms[i].host].syncs ||
                    s.hosts[w->vms[i].host] <= w->hosts[w->vms[i].host].syncs);
    }
    MUST(w, s.rehearsals <= 1);
    MUST(w, began == 0 || s.syncs <= w->t.syncs);
    /* Only a group may be larger than the limit, and then has it to itself. */
    MUST(w, w->t.cutovers == 0 || s.cutovers <= w->t.cutovers || s.cutovers == before ||
                before == 0);
    for (int i = 0, group = -2; i < VMS && w->t.cutovers && s.cutovers > w->t.cutovers; i++) {
        if (w->out[i].action != SCHEDULE_CUTOVER && w->out[i].action != SCHEDULE_INSTANT)
            continue;
        MUST(w, group == -2 || group == w->vms[i].group);
        group = w->vms[i].group;
    }
    schedule_slots_free(&s);
}

static void cutover_is_allowed(struct world *w, int i)
{
    const struct schedule_vm *vm = &w->vms[i];

    MUST(w, vm->class == SCHEDULE_MIRRORED && !vm->rehearsing && vm->cutover == CUTOVER_AUTO);
    MUST(w, vm->windows < 0 ||
                calendar_window_contains(&w->items[vm->windows], w->t.wall));
    for (size_t a = 0; a < vm->after_count; a++)
        MUST(w, w->vms[vm->after[a]].up);
    for (int m = 0; m < VMS && vm->group >= 0; m++)
        MUST(w, w->vms[m].group != vm->group || w->out[m].action == w->out[i].action);
}

static void begin(struct world *w, int i)
{
    struct schedule_vm *vm = &w->vms[i];
    const struct schedule_decision *d = &w->out[i];

    switch (d->action) {
    case SCHEDULE_START:
    case SCHEDULE_SYNC:
        MUST(w, vm->class != SCHEDULE_CUTTING && !vm->up);
        w->ends[i] = w->t.mono + (vm->class == SCHEDULE_PLANNED ? 10 + pick(w, 60) : 1 + pick(w, 5))
                                     * MINUTE;
        vm->class = SCHEDULE_SYNCING;
        vm->slot = true;
        break;
    case SCHEDULE_CUTOVER:
    case SCHEDULE_INSTANT:
        cutover_is_allowed(w, i);
        break;
    case SCHEDULE_REHEARSE:
        MUST(w, !vm->rehearsing);
        vm->rehearsing = true;
        w->asked[i] = w->t.mono + 4 * MINUTE;
        vm->syncs_since = 0;
        break;
    default:
        break;
    }
    vm->memory = d->memory;
}

static void begin_cutovers(struct world *w)
{
    for (int i = 0; i < VMS; i++)
        if (w->out[i].action == SCHEDULE_CUTOVER || w->out[i].action == SCHEDULE_INSTANT) {
            w->vms[i].class = SCHEDULE_CUTTING;
            w->vms[i].slot = true;
            w->ends[i] = w->t.mono + (1 + pick(w, 4)) * MINUTE;
        }
}

static void end(struct world *w, int i)
{
    struct schedule_vm *vm = &w->vms[i];

    w->ends[i] = 0;
    vm->slot = false;
    if (vm->class == SCHEDULE_CUTTING) {
        vm->class = SCHEDULE_DONE;
        vm->up = true;
    } else if (pick(w, 20) == 0 && vm->pass_end != SCHEDULE_NO_PASS) {
        vm->class = SCHEDULE_SYNC_FAILED;
        vm->failures++;
        vm->failed_at = w->t.mono;
    } else {
        vm->class = SCHEDULE_MIRRORED;
        vm->failures = 0;
        vm->pass_begin = w->t.mono - MINUTE;
        vm->pass_end = w->t.mono;
        vm->syncs_since++;
    }
}

static void step(struct world *w)
{
    for (int i = 0; i < VMS; i++) {
        if (w->ends[i] && w->ends[i] <= w->t.mono)
            end(w, i);
        if (w->vms[i].rehearsing && w->asked[i] <= w->t.mono)
            w->vms[i].rehearsing = false;
    }
    forecasts_make(w);
    schedule_link(&w->t);
    schedule_clock(&w->t, w->t.wall, w->t.mono);
    schedule_decide(&w->t, w->out);
    schedule_decide(&w->t, w->again);
    MUST(w, memcmp(w->out, w->again, sizeof(w->out)) == 0);
    places_hold(w);
    for (int i = 0; i < VMS; i++) {
        char text[SCHEDULE_TEXT];

        MUST(w, *schedule_text(&w->t, (size_t)i, &w->out[i], text));
        begin(w, i);
        if (w->vms[i].class == SCHEDULE_MIRRORED)
            MUST(w, w->t.mono - w->vms[i].pass_end < STARVED);
    }
    begin_cutovers(w);
}

/* In two weeks everything that does not come after something by hand is up. */
static bool must_be_up(const struct world *w, int i)
{
    for (int m = 0; m < VMS; m++) {
        if (m != i && (w->vms[i].group < 0 || w->vms[m].group != w->vms[i].group))
            continue;
        if (w->vms[m].cutover == CUTOVER_MANUAL)
            return false;
        for (size_t a = 0; a < w->vms[m].after_count; a++)
            if (!must_be_up(w, (int)w->vms[m].after[a]))
                return false;
    }
    return true;
}

static void live(struct world *w)
{
    while (w->t.wall < BEGIN + 14 * DAY) {
        step(w);
        w->t.wall += MINUTE;
        w->t.mono += MINUTE;
        if (pick(w, 2000) == 0) /* somebody sets the clock */
            w->t.wall += ((int64_t)pick(w, 7) - 3) * HOUR;
    }
    for (int i = 0; i < VMS; i++)
        if (must_be_up(w, i))
            MUST(w, w->vms[i].up);
}

int main(int argc, char **argv)
{
    struct world *w = malloc(sizeof(*w));
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;

    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    for (uint64_t seed = from; seed < from + (argc > 1 ? 1 : SEEDS); seed++) {
        world_make(w, seed);
        live(w);
    }
    free(w);
    return 0;
}

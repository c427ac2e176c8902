/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of the schedule by itself, on a table of a few VMs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "orchestrator/schedule.h"

#define S SCHEDULE_S
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define SATURDAY_21 (INT64_C(1795294800) * S) /* 2026-11-21T21:00:00Z */
#define MONO (1000 * HOUR)
#define VMS 6

/* Six mirrored VMs that were synced a minute ago and ask for nothing. */
struct world {
    struct schedule_vm vms[VMS];
    struct schedule_place hosts[2], nodes[1];
    struct calendar_window window_items[2];
    struct schedule_windows windows[2];
    struct schedule_group groups[1];
    struct schedule_table t;
    struct schedule_decision out[VMS];
    char text[SCHEDULE_TEXT];
};

static struct schedule_vm plain_vm(const char *name)
{
    return (struct schedule_vm){.name = name, .class = SCHEDULE_MIRRORED, .priority = 50,
                                .group = -1, .group_next = -1, .host = -1, .node = -1,
                                .windows = -1, .start_at = CALENDAR_NEVER,
                                .pass_begin = MONO - 2 * MINUTE, .pass_end = MONO - MINUTE,
                                .dirty_bytes_s = -1, .rate_bytes_s = -1, .snapshot_cost_s = -1,
                                .forecast = {-1, -1, -1}, .deadline = CALENDAR_NEVER};
}

static void window_set(struct world *w, int i, const char *text)
{
    assert_int_equal(calendar_window_parse(text, &w->window_items[i], NULL), 0);
    w->windows[i] = (struct schedule_windows){.items = &w->window_items[i], .count = 1};
}

static struct world *world_new(void)
{
    static const char *const names[VMS] = {"a", "b", "c", "d", "e", "f"};
    struct world *w = calloc(1, sizeof(*w));

    for (int i = 0; i < VMS; i++)
        w->vms[i] = plain_vm(names[i]);
    w->hosts[0].name = "host esx1";
    w->hosts[1].name = "host esx2";
    w->nodes[0].name = "node kvm1";
    w->groups[0].name = "shop";
    window_set(w, 0, "sat 22:00-24:00 UTC");
    window_set(w, 1, "sat 23:00-24:00 UTC");
    w->t = (struct schedule_table){.vms = w->vms, .count = VMS, .hosts = w->hosts, .host_count = 2,
                                   .nodes = w->nodes, .node_count = 1, .windows = w->windows,
                                   .windows_count = 2, .groups = w->groups, .group_count = 1,
                                   .wall = SATURDAY_21, .mono = MONO};
    return w;
}

static void decide(struct world *w)
{
    schedule_link(&w->t);
    schedule_clock(&w->t, w->t.wall, w->t.mono);
    schedule_decide(&w->t, w->out);
}

static void pass_time(struct world *w, int64_t ns)
{
    w->t.wall += ns;
    w->t.mono += ns;
}

static void says(struct world *w, int i, enum schedule_action action, const char *words)
{
    schedule_text(&w->t, (size_t)i, &w->out[i], w->text);
    if (w->out[i].action != action || !strstr(w->text, words))
        fail_msg("VM %s: %s, because: %s", w->vms[i].name,
                 schedule_action_name(w->out[i].action), w->text);
}

static void rhythm(struct schedule_vm *vm, const char *text)
{
    assert_int_equal(calendar_rhythm_parse(text, &vm->rhythm, NULL), 0);
}

/* Forecast so that high is half as much again. */
static void forecast(struct schedule_vm *vm, double fixed, double expected)
{
    vm->fixed_s = fixed;
    vm->forecast = (struct schedule_range){expected * 0.8, expected, expected * 1.5};
}

static void nothing_is_done_that_nobody_asked_for(void **state)
{
    struct world *w = *state;

    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "cutover by hand: slipway cutover a; syncs by hand");
    assert_int_equal(w->out[0].again_ns, CALENDAR_NEVER);
}

static void fixed_intervals_count_from_begin_to_begin(void **state)
{
    struct world *w = *state;

    rhythm(&w->vms[0], "15m");
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "next sync at Sat 2026-11-21 21:13 (every 15 min)");
    assert_int_equal(w->out[0].again_ns, 13 * MINUTE);
    pass_time(w, 13 * MINUTE);
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "sync now: due (every 15 min)");
    w->vms[0].pass_end = w->t.mono; /* it took longer: due, but not at once */
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "next sync at");
    assert_int_equal(w->out[0].again_ns, S);
}

static void cron_survives_a_clock_that_is_set_back(void **state)
{
    struct world *w = *state;

    rhythm(&w->vms[0], "cron: 0 * * * * UTC");
    w->t.wall += 30 * MINUTE;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "next sync at Sat 2026-11-21 22:00 (by cron)");
    w->t.wall -= DAY;
    decide(w);
    assert_int_equal(w->out[0].again_ns, 30 * MINUTE);
    pass_time(w, 30 * MINUTE);
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "by cron");
}

static void adaptive_syncs_follow_what_is_measured(void **state)
{
    struct schedule_vm vm = plain_vm("v");

    assert_int_equal(schedule_adaptive_ns(&vm), 5 * MINUTE); /* nothing is known: measure */
    vm.rate_bytes_s = 100e6;
    vm.snapshot_cost_s = 6;
    vm.dirty_bytes_s = 1e6; /* 12 s of copying are there after 1200 s */
    assert_int_equal(schedule_adaptive_ns(&vm), 20 * MINUTE);
    vm.dirty_bytes_s = 100e6;
    assert_int_equal(schedule_adaptive_ns(&vm), 5 * MINUTE);
    vm.dirty_bytes_s = 0;
    assert_int_equal(schedule_adaptive_ns(&vm), HOUR);
    vm.dirty_bytes_s = 1e6;
    vm.budget_s = 30; /* leaves 30 - 14 - 6 for the delta, half of that 5 s of copying */
    vm.fixed_s = 14;
    assert_int_equal(schedule_adaptive_ns(&vm), 500 * S);
    vm.pass_begin = vm.pass_end - 3 * MINUTE; /* a long pass: at rest four times as long */
    assert_int_equal(schedule_adaptive_ns(&vm), 12 * MINUTE);
}

static void failed_syncs_are_tried_again_later_and_later(void **state)
{
    struct world *w = *state;

    w->vms[0].class = SCHEDULE_SYNC_FAILED;
    w->vms[0].failures = 1;
    w->vms[0].failed_at = MONO;
    rhythm(&w->vms[0], "adaptive");
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "the sync failed (1 in a row): next try at Sat 2026-11-21 21:01");
    w->vms[0].failures = 3;
    decide(w);
    assert_int_equal(w->out[0].again_ns, 4 * MINUTE);
    w->vms[0].failures = 60;
    decide(w);
    assert_int_equal(w->out[0].again_ns, 64 * MINUTE);
    pass_time(w, 64 * MINUTE);
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "tries again");
    rhythm(&w->vms[0], "manual");
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "syncs by hand");
}

static void places_go_by_due_time_and_priority(void **state)
{
    struct world *w = *state;

    w->t.syncs = 2;
    for (int i = 0; i < 4; i++)
        rhythm(&w->vms[i], "1m");
    for (int i = 0; i < 4; i++)
        w->vms[i].pass_begin = MONO - 10 * MINUTE + i * S;
    w->vms[3].priority = 51; /* worth a minute */
    decide(w);
    says(w, 3, SCHEDULE_SYNC, "sync now");
    says(w, 0, SCHEDULE_SYNC, "sync now");
    says(w, 1, SCHEDULE_NOTHING, "waits: 2 of 2 syncs run; 0 are before it");
    says(w, 2, SCHEDULE_NOTHING, "waits: 2 of 2 syncs run; 1 is before it");
    assert_int_equal(w->out[2].position, 2);
}

static void hosts_and_nodes_have_places_of_their_own(void **state)
{
    struct world *w = *state;

    w->hosts[0].syncs = 1;
    for (int i = 0; i < 3; i++) {
        rhythm(&w->vms[i], "1m");
        w->vms[i].host = i == 2;
        w->vms[i].node = 0;
        w->vms[i].pass_begin = MONO - 10 * MINUTE + i * S;
    }
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "");
    says(w, 1, SCHEDULE_NOTHING, "1 of 1 syncs of host esx1 run");
    says(w, 2, SCHEDULE_SYNC, "");
    w->nodes[0].syncs = 1;
    w->vms[5].class = SCHEDULE_SYNCING;
    w->vms[5].slot = true;
    w->vms[5].node = 0;
    decide(w);
    says(w, 2, SCHEDULE_NOTHING, "1 of 1 syncs of node kvm1 run");
    says(w, 5, SCHEDULE_NOTHING, "a sync is at work");
    w->vms[5].queued = "host esx1: 1 of 1 syncs run";
    says(w, 5, SCHEDULE_NOTHING, "a sync waits for its turn: host esx1: 1 of 1 syncs run");
}

static void cutovers_wait_for_their_time(void **state)
{
    struct world *w = *state;

    w->vms[0].cutover = CUTOVER_AT;
    w->vms[0].cutover_at = SATURDAY_21 + HOUR;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "cutover at Sat 2026-11-21 22:00, as asked for");
    assert_int_equal(w->out[0].again_ns, HOUR);
    pass_time(w, HOUR);
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "cutover now");
    pass_time(w, SCHEDULE_LATE_NS + S);
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "no cutover by itself: its time, Sat 2026-11-21 22:00, is more");
}

static void cutovers_wait_for_a_window(void **state)
{
    struct world *w = *state;

    w->vms[0].cutover = CUTOVER_AUTO;
    w->vms[0].windows = 0;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "cutover at Sat 2026-11-21 22:00: the window opens then");
    assert_int_equal(w->out[0].again_ns, HOUR);
    pass_time(w, HOUR);
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "");
    forecast(&w->vms[0], 90, 100);
    pass_time(w, HOUR * 2 - 95 * S);
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "this one ends at Sun 2026-11-22 00:00, and it takes 2 min");
    w->t.wall = SATURDAY_21 + 3 * HOUR;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "cutover at Sat 2026-11-28 22:00");
}

static void a_clock_that_is_set_starts_no_cutover(void **state)
{
    struct world *w = *state;

    w->vms[0].cutover = CUTOVER_AUTO;
    w->vms[0].windows = 0;
    w->t.wall += DAY; /* over the window */
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "the window opens then");
    w->t.wall = SATURDAY_21 + 90 * MINUTE; /* into it */
    w->t.settled = w->t.mono + 2 * MINUTE;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "waits for 2 min: the clock was set");
    /* Back again, to before a cutover that was done: it is not repeated. */
    w->vms[0].class = SCHEDULE_WINDOW;
    w->vms[0].up = true;
    w->t.settled = 0;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "slipway commit a or slipway rollback a");
}

static void cutovers_wait_for_what_comes_before_them(void **state)
{
    static const unsigned a[] = {0};
    struct world *w = *state;

    w->vms[0].cutover = w->vms[1].cutover = CUTOVER_AUTO;
    w->vms[1].after = a;
    w->vms[1].after_count = 1;
    w->vms[1].priority = 100;
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "");
    says(w, 1, SCHEDULE_NOTHING, "cutover after a, which is not up on the node yet");
    w->vms[0].class = SCHEDULE_CUTTING;
    w->vms[0].up = true; /* it runs, its blocks are still coming */
    decide(w);
    says(w, 1, SCHEDULE_CUTOVER, "");
    w->vms[1].after_unknown = "zz";
    decide(w);
    says(w, 1, SCHEDULE_NOTHING, "cutover after zz, which is not known here");
    w->vms[1].after_unknown = NULL;
    w->vms[0].class = SCHEDULE_GONE;
    w->vms[0].up = false;
    decide(w);
    says(w, 1, SCHEDULE_NOTHING, "a, which must be up before it, was given up");
}

static void a_failed_cutover_is_left_to_a_person(void **state)
{
    struct world *w = *state;

    w->vms[0].cutover = CUTOVER_AUTO;
    w->vms[0].cutover_failed = true;
    rhythm(&w->vms[0], "1m");
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "the cutover of a failed and is not tried again by itself");
}

static void groups_go_as_one(void **state)
{
    struct world *w = *state;

    for (int i = 1; i < 4; i++) {
        w->vms[i].group = 0;
        w->vms[i].cutover = CUTOVER_AUTO;
    }
    w->vms[1].windows = 0;
    w->vms[2].windows = 1;
    decide(w);
    for (int i = 1; i < 4; i++)
        says(w, i, SCHEDULE_NOTHING, "cutover at Sat 2026-11-21 23:00: the window opens then");
    pass_time(w, 2 * HOUR);
    w->vms[3].class = SCHEDULE_SYNCING;
    decide(w);
    says(w, 1, SCHEDULE_NOTHING, "cutover waits for d, of its group, which syncs");
    w->vms[3].class = SCHEDULE_MIRRORED;
    decide(w);
    for (int i = 1; i < 4; i++)
        says(w, i, SCHEDULE_CUTOVER, "");
    w->vms[2].cutover = CUTOVER_MANUAL;
    decide(w);
    for (int i = 1; i < 4; i++)
        says(w, i, SCHEDULE_NOTHING, "cutover by hand: slipway cutover c");
}

static void a_group_gets_its_places_at_once(void **state)
{
    struct world *w = *state;

    w->t.cutovers = 3;
    w->t.syncs = 1;
    for (int i = 0; i < 3; i++) {
        w->vms[i].group = 0;
        w->vms[i].cutover = CUTOVER_AUTO;
    }
    w->vms[3].class = SCHEDULE_CUTTING;
    rhythm(&w->vms[4], "1m");
    w->vms[5].cutover = CUTOVER_AUTO;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "waits: 1 of 3 cutovers run; 0 are before it");
    says(w, 4, SCHEDULE_SYNC, "");
    says(w, 5, SCHEDULE_NOTHING, "waits for the group of a, which needs its places at once; 1 is");
    w->vms[3].class = SCHEDULE_DONE;
    decide(w);
    says(w, 2, SCHEDULE_CUTOVER, "");
    says(w, 5, SCHEDULE_NOTHING, "3 of 3 cutovers run");
    w->t.cutovers = 2; /* larger than everything: it gets everything */
    decide(w);
    says(w, 2, SCHEDULE_CUTOVER, "");
}

static void a_long_sync_keeps_no_cutover_waiting(void **state)
{
    struct world *w = *state;

    w->t.syncs = 1;
    w->vms[0].class = SCHEDULE_SYNCING;
    w->vms[0].slot = true;
    w->vms[1].cutover = CUTOVER_AUTO;
    rhythm(&w->vms[2], "1m");
    decide(w);
    says(w, 1, SCHEDULE_CUTOVER, "");
    says(w, 2, SCHEDULE_NOTHING, "waits: 2 of 1 syncs run");
}

/* A pass that ended just now. */
static void synced(struct world *w, int i, double expected)
{
    w->vms[i].memory = w->out[i].memory;
    pass_time(w, 10 * S);
    w->vms[i].pass_begin = w->t.mono - 10 * S;
    w->vms[i].pass_end = w->t.mono;
    forecast(&w->vms[i], 10, expected);
}

static void budget_vm(struct world *w, enum schedule_over over)
{
    w->vms[0].cutover = CUTOVER_AUTO;
    w->vms[0].budget_s = 30;
    w->vms[0].over = over;
    forecast(&w->vms[0], 10, 41);
}

static void deltas_are_made_until_the_budget_fits(void **state)
{
    struct world *w = *state;

    budget_vm(w, OVER_WAIT);
    decide(w);
    says(w, 0, SCHEDULE_SYNC,
         "forecast 41 s (33–62 s) is above its budget of 30 s: a shorter delta first");
    synced(w, 0, 26); /* high: 39 */
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "a shorter delta first");
    synced(w, 0, 19);
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "cutover now");
}

static void the_expected_value_does_when_nothing_helps(void **state)
{
    struct world *w = *state;
    int deltas = 0;

    budget_vm(w, OVER_GIVE_UP);
    for (decide(w); w->out[0].action == SCHEDULE_SYNC; decide(w), deltas++)
        synced(w, 0, 25);
    says(w, 0, SCHEDULE_CUTOVER, "");
    assert_int_equal(deltas, 1 + SCHEDULE_STUCK);
}

static void a_budget_that_never_fits_is_the_admins_choice(void **state)
{
    static const struct {
        enum schedule_over over;
        enum schedule_action action;
        const char *words;
    } cases[] = {{OVER_WAIT, SCHEDULE_NOTHING, "stays there: it waits until the VM writes less"},
                 {OVER_INSTANT, SCHEDULE_INSTANT, "instant cutover: above its budget of 30 s"},
                 {OVER_GIVE_UP, SCHEDULE_GIVE_UP, "stays above its budget of 30 s"}};
    struct world *w = *state;

    for (int i = 0; i < 3; i++) {
        w->vms[0] = plain_vm("a");
        budget_vm(w, cases[i].over);
        for (decide(w); w->out[0].action == SCHEDULE_SYNC; decide(w))
            synced(w, 0, 41);
        says(w, 0, cases[i].action, cases[i].words);
        w->vms[0].memory = (struct schedule_memory){0};
        forecast(&w->vms[0], 31, 41); /* no delta can help */
        decide(w);
        says(w, 0, cases[i].action, i == 0 ? "whatever the last delta" : cases[i].words);
    }
    w->vms[0].over = OVER_WAIT;
    w->vms[0].gave_up = true;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "stayed above its budget of 30 s; slipway cutover a does it");
}

static void who_waits_for_a_quieter_time_tries_now_and_then(void **state)
{
    struct world *w = *state;

    budget_vm(w, OVER_WAIT);
    for (decide(w); w->out[0].action == SCHEDULE_SYNC; decide(w))
        synced(w, 0, 41);
    assert_int_equal(w->out[0].again_ns, 5 * MINUTE);
    w->vms[0].memory = w->out[0].memory;
    pass_time(w, 5 * MINUTE);
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "waits until the VM writes less");
    synced(w, 0, 18);
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "");
}

static void a_forecast_that_only_grew_old_is_not_a_failure(void **state)
{
    struct world *w = *state;

    budget_vm(w, OVER_INSTANT);
    w->vms[0].dirty_bytes_s = 10e6;
    w->vms[0].rate_bytes_s = 100e6;
    w->vms[0].forecast.high = 45;
    w->vms[0].pass_end = MONO - 300 * S; /* 30 s of the 41 are these 300 s */
    for (int i = 0; i < 10; i++) {
        decide(w);
        says(w, 0, SCHEDULE_SYNC, "a shorter delta first");
        w->vms[0].memory = w->out[0].memory; /* each time it had to wait for a place again */
    }
}

static void without_a_budget_one_fresh_delta_comes_first(void **state)
{
    struct world *w = *state;

    w->vms[0].cutover = CUTOVER_AUTO;
    rhythm(&w->vms[0], "2h");
    forecast(&w->vms[0], 10, 60);
    decide(w);
    says(w, 0, SCHEDULE_SYNC, "a delta first makes it shorter");
    synced(w, 0, 40);
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "");
    w->vms[0].instant = true; /* waits for no delta */
    w->vms[0].memory = (struct schedule_memory){0};
    decide(w);
    says(w, 0, SCHEDULE_CUTOVER, "");
}

static void a_new_window_begins_anew(void **state)
{
    struct world *w = *state;

    budget_vm(w, OVER_WAIT);
    w->vms[0].windows = 0;
    w->vms[0].memory = (struct schedule_memory){5, SCHEDULE_STUCK, 41};
    decide(w);
    assert_int_equal(w->out[0].memory.deltas, 0);
}

static void rehearsals_come_after_each_nth_sync(void **state)
{
    struct world *w = *state;

    w->t.rehearsals = 1;
    for (int i = 0; i < 2; i++) {
        w->vms[i].rehearse_every = 3;
        w->vms[i].syncs_since = 3;
    }
    rhythm(&w->vms[1], "1m");
    decide(w);
    says(w, 0, SCHEDULE_REHEARSE, "rehearsal now: 3 syncs since the last one");
    says(w, 1, SCHEDULE_NOTHING, "rehearsal when another one has ended");
    w->vms[0].rehearsing = true;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "a rehearsal is at work");
    says(w, 1, SCHEDULE_SYNC, ""); /* goes on meanwhile */
    w->vms[0].cutover = CUTOVER_AUTO;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "cutover when the rehearsal has ended");
}

static void the_commit_window_ends_as_asked_for(void **state)
{
    struct world *w = *state;

    w->vms[0].class = SCHEDULE_WINDOW;
    w->vms[0].deadline = MONO + HOUR;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "committed at Sat 2026-11-21 22:00, in 1 h 00 min");
    pass_time(w, HOUR);
    w->t.wall -= DAY; /* the clock has no say in it */
    decide(w);
    says(w, 0, SCHEDULE_COMMIT, "its window is over: commit");
    w->vms[0].end = END_ROLLBACK;
    decide(w);
    says(w, 0, SCHEDULE_ROLLBACK, "its window is over: rollback");
    w->vms[0].end = END_WAIT;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "slipway commit a or slipway rollback a");
}

static void planned_ones_begin_when_asked_for(void **state)
{
    struct world *w = *state;

    w->vms[0].class = w->vms[1].class = SCHEDULE_PLANNED;
    w->vms[1].start_at = SATURDAY_21 + HOUR;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "not begun: slipway start a");
    says(w, 1, SCHEDULE_NOTHING, "begins at Sat 2026-11-21 22:00");
    pass_time(w, HOUR);
    decide(w);
    says(w, 1, SCHEDULE_START, "begins now");
}

static void paused_ones_rest(void **state)
{
    struct world *w = *state;

    rhythm(&w->vms[0], "1m");
    w->vms[0].cutover = CUTOVER_AUTO;
    w->vms[0].paused = true;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "paused: slipway resume a");
    w->vms[0].resumes = true;
    decide(w);
    says(w, 0, SCHEDULE_NOTHING, "it goes on when there is room again");
}

static void each_reason_has_words(void **state)
{
    struct world *w = *state;

    decide(w);
    for (int r = BECAUSE_NOTHING + 1; r < BECAUSE_COUNT; r++) {
        struct schedule_decision d = {.why = {.reason = r, .when = SATURDAY_21}};
        struct schedule_decision s = {.sync = {.reason = r, .when = SATURDAY_21}};

        w->vms[0].rehearsing = true;
        schedule_text(&w->t, 0, &d, w->text);
        assert_true(strlen(w->text) > 5);
        schedule_text(&w->t, 0, &s, w->text);
        assert_true(strlen(w->text) > 5);
    }
}

static int setup(void **state)
{
    setenv("TZ", "UTC", 1);
    tzset();
    *state = world_new();
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_done_that_nobody_asked_for),
        TEST(fixed_intervals_count_from_begin_to_begin),
        TEST(cron_survives_a_clock_that_is_set_back),
        TEST(adaptive_syncs_follow_what_is_measured),
        TEST(failed_syncs_are_tried_again_later_and_later),
        TEST(places_go_by_due_time_and_priority),
        TEST(hosts_and_nodes_have_places_of_their_own),
        TEST(cutovers_wait_for_their_time),
        TEST(cutovers_wait_for_a_window),
        TEST(a_clock_that_is_set_starts_no_cutover),
        TEST(cutovers_wait_for_what_comes_before_them),
        TEST(a_failed_cutover_is_left_to_a_person),
        TEST(groups_go_as_one),
        TEST(a_group_gets_its_places_at_once),
        TEST(a_long_sync_keeps_no_cutover_waiting),
        TEST(deltas_are_made_until_the_budget_fits),
        TEST(the_expected_value_does_when_nothing_helps),
        TEST(a_budget_that_never_fits_is_the_admins_choice),
        TEST(who_waits_for_a_quieter_time_tries_now_and_then),
        TEST(a_forecast_that_only_grew_old_is_not_a_failure),
        TEST(without_a_budget_one_fresh_delta_comes_first),
        TEST(a_new_window_begins_anew),
        TEST(rehearsals_come_after_each_nth_sync),
        TEST(the_commit_window_ends_as_asked_for),
        TEST(planned_ones_begin_when_asked_for),
        TEST(paused_ones_rest),
        TEST(each_reason_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

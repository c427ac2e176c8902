/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: a small case that was computed by hand, and a large one.
 * test-simulate N tells how long N VMs take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "orchestrator/simulate.h"
#include "orchestrator/simulate-queue.h"

#define S SCHEDULE_S
#define HOUR (3600 * S)
#define DAY (24 * HOUR)
#define SATURDAY_21 (INT64_C(1795294800) * S) /* 2026-11-21T21:00:00Z */
#define MB 1e6

struct lab {
    struct schedule_table t;
    struct simulate_vm *vms;
    struct simulate_outcome *outcomes;
    struct schedule_decision *decisions;
    struct simulate_totals totals;
    struct simulate_options options;
    struct calendar_window item;
    struct schedule_windows windows;
    struct schedule_group group;
    struct schedule_place hosts[20];
};

static struct lab *lab_new(size_t count)
{
    struct lab *lab = calloc(1, sizeof(*lab));

    calendar_window_parse("22:00-04:00 UTC", &lab->item, NULL);
    lab->windows = (struct schedule_windows){.items = &lab->item, .count = 1};
    lab->t = (struct schedule_table){.vms = calloc(count, sizeof(struct schedule_vm)),
                                     .count = count, .windows = &lab->windows, .windows_count = 1,
                                     .groups = &lab->group, .group_count = 1,
                                     .hosts = lab->hosts, .host_count = 20, .syncs = 1,
                                     .cutovers = 1};
    lab->vms = calloc(count, sizeof(*lab->vms));
    lab->outcomes = calloc(count, sizeof(*lab->outcomes));
    lab->decisions = calloc(count, sizeof(*lab->decisions));
    lab->options = (struct simulate_options){.begin = SATURDAY_21, .most_ns = 60 * DAY, .seed = 1};
    for (size_t i = 0; i < count; i++) {
        lab->t.vms[i] = (struct schedule_vm){.name = "v", .priority = 50, .group = -1, .host = -1,
                                             .node = -1, .windows = -1, .cutover = CUTOVER_AUTO,
                                             .dirty_bytes_s = 1 * MB, .snapshot_cost_s = 2};
        lab->vms[i] = (struct simulate_vm){.bytes = 10000 * (uint64_t)MB, .rate_bytes_s = 100 * MB,
                                           .shutdown_s = 10, .morph_s = 12, .flip_s = 1,
                                           .start_s = 7};
    }
    for (int h = 0; h < 20; h++)
        lab->hosts[h].name = "host";
    return lab;
}

static void lab_free(struct lab *lab)
{
    free(lab->t.vms);
    free(lab->vms);
    free(lab->outcomes);
    free(lab->decisions);
    free(lab);
}

static void lab_run(struct lab *lab)
{
    simulate_run(&lab->t, lab->vms, &lab->options, lab->outcomes, lab->decisions, &lab->totals);
}

static void assert_s(int64_t wall, double seconds)
{
    double is = (double)(wall - SATURDAY_21) / 1e9;

    if (is < seconds - 0.01 || is > seconds + 0.01)
        fail_msg("%.3f s instead of %.3f s", is, seconds);
}

/*
 * One sync and one cutover at a time.  b (priority 60) is first: 2 s + 10 GB at 100 MB/s = 102 s.  Its
 * delta then has 102 s × 1 MB/s = 102 MB: 2 + 1.02 s, with the other 30 s 33.02 s down, up after
 * 135.02 s.  So long its cutover holds the only place of a sync; a has its mirror 102 s later and is
 * up after another 33.02 s.  c is by hand.
 */
static void a_small_case_is_as_computed_by_hand(void **state)
{
    struct lab *lab = lab_new(3);

    lab->t.vms[1].priority = 60;
    lab->t.vms[2].cutover = CUTOVER_MANUAL;
    lab_run(lab);
    assert_s(lab->outcomes[1].mirrored_at, 102);
    assert_s(lab->outcomes[1].cutover_at, 102);
    assert_s(lab->outcomes[1].up_at, 135.02);
    assert_true(lab->outcomes[1].downtime_s > 33.01 && lab->outcomes[1].downtime_s < 33.03);
    assert_s(lab->outcomes[0].mirrored_at, 237.02);
    assert_s(lab->outcomes[0].up_at, 270.04);
    assert_int_equal(lab->outcomes[2].up_at, CALENDAR_NEVER);
    assert_int_equal(lab->outcomes[0].copied_bytes, 10102 * (uint64_t)MB);
    lab_free(lab);
}

static void windows_make_waves(void **state)
{
    struct lab *lab = lab_new(2);

    lab->t.vms[0].windows = lab->t.vms[1].windows = 0;
    lab->vms[1].bytes *= 400; /* 11 h 07 min: behind the window of the first night */
    lab->t.syncs = 2;
    lab_run(lab);
    assert_s(lab->outcomes[0].cutover_at, 3600);
    assert_s(lab->outcomes[1].cutover_at, 25 * 3600);
    assert_s(lab->outcomes[0].window_end, 7 * 3600);
    assert_s(lab->outcomes[1].window_end, 31 * 3600);
    lab_free(lab);
}

static void groups_and_predecessors_hold(void **state)
{
    static const unsigned first[] = {0};
    struct lab *lab = lab_new(4);

    for (int i = 1; i < 3; i++)
        lab->t.vms[i].group = 0;
    lab->t.vms[1].after = first;
    lab->t.vms[1].after_count = 1;
    lab->t.vms[2].priority = 100;
    lab->t.syncs = 4;
    lab->vms[0].bytes *= 10; /* the group has its mirrors long before */
    lab_run(lab);
    assert_true(lab->outcomes[1].cutover_at >= lab->outcomes[0].up_at);
    assert_int_equal(lab->outcomes[1].cutover_at, lab->outcomes[2].cutover_at);
    assert_true(lab->outcomes[1].up_at != CALENDAR_NEVER);
    assert_true(lab->outcomes[3].up_at != CALENDAR_NEVER);
    lab_free(lab);
}

static void what_never_fits_is_told(void **state)
{
    struct lab *lab = lab_new(2);
    char text[SCHEDULE_TEXT];

    lab->t.vms[0].budget_s = 20; /* 30 s are fixed */
    lab->t.vms[1].budget_s = 20;
    lab->t.vms[1].over = OVER_GIVE_UP;
    lab->options.most_ns = 2 * DAY;
    lab_run(lab);
    assert_int_equal(lab->outcomes[0].up_at, CALENDAR_NEVER);
    assert_non_null(strstr(schedule_text(&lab->t, 0, &lab->decisions[0], text), "whatever the"));
    assert_true(lab->outcomes[1].gave_up);
    lab_free(lab);
}

static struct lab *many(size_t count)
{
    struct lab *lab = lab_new(count);

    for (size_t i = 0; i < count; i++) {
        struct schedule_vm *vm = &lab->t.vms[i];

        vm->windows = 0;
        vm->host = (int)(i % 20);
        vm->priority = (unsigned)(i % 101);
        vm->rhythm.kind = RHYTHM_ADAPTIVE;
        vm->budget_s = 60;
        vm->over = i % 2 ? OVER_INSTANT : OVER_WAIT;
        vm->dirty_bytes_s = (double)(i % 7) * 0.2 * MB;
        lab->vms[i].bytes = (20 + i * 7919 % 180) * UINT64_C(1000000000);
    }
    for (int h = 0; h < 20; h++)
        lab->hosts[h].syncs = 8;
    lab->t.syncs = 64;
    lab->t.cutovers = 32;
    lab->options.spread = 0.2;
    return lab;
}

static void the_same_seed_is_the_same_future(void **state)
{
    struct lab *a = many(300), *b = many(300);

    lab_run(a);
    lab_run(b);
    assert_memory_equal(a->outcomes, b->outcomes, 300 * sizeof(*a->outcomes));
    assert_true(a->totals.decisions == b->totals.decisions);
    b->options.seed = 2;
    lab_run(b);
    assert_memory_not_equal(a->outcomes, b->outcomes, 300 * sizeof(*a->outcomes));
    lab_free(a);
    lab_free(b);
}

static void print_many(size_t count)
{
    struct lab *lab = many(count);
    uint64_t begin = clock_now_ns();
    size_t up = 0;

    lab_run(lab);
    for (size_t i = 0; i < count; i++)
        up += lab->outcomes[i].up_at != CALENDAR_NEVER;
    print_message("%zu VMs, %zu up after %.1f days, %llu syncs, %llu decisions: %.2f s\n", count,
                  up, (double)(lab->totals.end - SATURDAY_21) / (double)DAY,
                  (unsigned long long)lab->totals.passes,
                  (unsigned long long)lab->totals.decisions,
                  (double)(clock_now_ns() - begin) / 1e9);
    assert_int_equal(up, count);
    lab_free(lab);
}

static void ten_thousand_come_to_an_end(void **state)
{
    print_many(10000);
}

static void queues_give_the_least_first(void **state)
{
    struct queue q = {0};
    int64_t last = -1;

    for (uint32_t i = 0; i < 1000; i++)
        queue_push(&q, (struct queue_entry){.key = i * 7919 % 1000, .index = i});
    while (queue_first(&q)) {
        assert_true(queue_first(&q)->key > last);
        last = queue_first(&q)->key;
        queue_pop(&q);
    }
    assert_int_equal(last, 999);
    queue_free(&q);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_case_is_as_computed_by_hand),
        cmocka_unit_test(windows_make_waves),
        cmocka_unit_test(groups_and_predecessors_hold),
        cmocka_unit_test(what_never_fits_is_told),
        cmocka_unit_test(the_same_seed_is_the_same_future),
        cmocka_unit_test(ten_thousand_come_to_an_end),
        cmocka_unit_test(queues_give_the_least_first),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    if (argc > 1) {
        print_many(strtoul(argv[1], NULL, 10));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The hydrator over an owner and a source made for it: no files, no server, mostly no threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "tests/unit/hydrate-lab.h"

/* ---- the clock: stands still unless a test moves it ---- */

static uint64_t now_ns, tick_ns;

static uint64_t test_clock(void)
{
    return now_ns += tick_ns;
}

/* ---- the frame ---- */

struct hydrator *h;

static int enter(void **state)
{
    clock_source = test_clock;
    now_ns = 1000 * NS_PER_S;
    tick_ns = 0;
    map.missing = missing;
    for (unsigned i = 0; i < BLOCKS; i++) {
        missing[i] = MISSING_ALL;
        in_layer[i] = false;
        target[i] = 0xee;
    }
    hydrate_error = 0;
    hydrate_calls = zero_calls = local_calls = 0;
    memset(&source, 0, sizeof(source));
    source.size = SIZE;
    source.bad_block = -1;
    memset(&engine, 0, sizeof(engine));
    yield_init(&engine.yield);
    pthread_mutex_init(&engine.lock, NULL);
    pthread_cond_init(&engine.changed, NULL);
    return 0;
}

static int leave(void **state)
{
    if (h) {
        hydrator_stop(h);
        hydrator_free(steal_ptr(h));
    }
    assert_int_equal(source.open_now, 0);
    clock_source = NULL;
    return 0;
}

static void make_with(struct hydrator_options options)
{
    options.readers = &lab;
    options.uri = "lab:1";
    assert_int_equal(hydrator_new(&owner, &options, &h), 0);
}

static void make(void)
{
    make_with((struct hydrator_options){.connections = 1});
}

static void here_except(unsigned first, unsigned end)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        missing[i] = i >= first && i < end ? MISSING_ALL : 0;
}

static void steps(unsigned count)
{
    while (count-- > 0)
        hydrator_step(h, 0);
}

static void run_to_the_end(void)
{
    for (unsigned i = 0; i < 1000; i++)
        if (hydrator_step(h, i % h->link_count) == 0)
            return;
    fail_msg("it does not end");
}

static struct hydrator_status status(void)
{
    struct hydrator_status s;

    hydrator_get_status(h, &s);
    return s;
}

static void assert_all_right(void)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(target[i] == 0xee ? source_byte(i) : target[i], source_byte(i));
    assert_true(owner_is_complete(&owner));
}

/* ---- order ---- */

static void a_need_brings_its_blocks_only(void **state)
{
    make();
    assert_int_equal(hydrator_need(h, 20, 22), 0);
    assert_int_equal(source.requests, 1);
    assert_int_equal(source.order[0], 20);
    assert_int_equal(source.lengths[0], 3);
    assert_int_equal(target[21], source_byte(21));
    assert_int_equal(missing[23], MISSING_ALL);
    assert_int_equal(hydrator_need(h, 20, 22), 0);
    assert_int_equal(source.requests, 1);
}

static void the_sweep_brings_everything_once(void **state)
{
    make_with((struct hydrator_options){.connections = 2});
    run_to_the_end();
    assert_all_right();
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(source.fetched[i], 1);
    assert_int_equal(status().fetched_bytes, SIZE);
    assert_int_equal(status().missing_bytes, 0);
}

static void what_is_in_flight_is_not_asked_again(void **state)
{
    struct hydrate_need n = {.first = 0, .end = 4}, m = {.first = 2, .end = 6};

    make_with((struct hydrator_options){.connections = 2});
    source.hold = true;
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    hydrator_step(h, 0);
    assert_int_equal(hydrate_need_begin(h, &m), 1);
    hydrator_prefetch(h, 0, 7);
    hydrator_step(h, 1);
    hydrator_step(h, 0);
    source.hold = false;
    run_to_the_end();
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
    assert_int_equal(hydrate_need_end(h, &m, 0), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(source.fetched[i], 1);
}

static void demand_goes_before_prefetch_before_sweep(void **state)
{
    struct hydrate_need n = {.first = 50, .end = 51};

    make();
    source.hold = true;
    hydrator_prefetch(h, 40, 41);
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    hydrator_step(h, 0);
    assert_int_equal(source.order[0], 50);
    assert_int_equal(source.order[1], 40);
    assert_int_equal(source.order[2], 51); /* the sweep, from behind the demand */
    source.hold = false;
    steps(3);
    assert_true(n.done);
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
    assert_int_equal(status().demand_count, 1);
    run_to_the_end();
    assert_all_right();
}

static void the_sweep_wraps(void **state)
{
    make();
    missing[63] = 0;
    assert_int_equal(hydrator_need(h, 62, 62), 0);
    run_to_the_end();
    assert_int_equal(source.order[1], 0);
    assert_all_right();
}

static void a_sequential_reader_gets_more_and_more(void **state)
{
    unsigned requests;

    make();
    for (unsigned i = 0; i < BLOCKS; i++)
        if (missing[i])
            assert_int_equal(hydrator_need(h, i, i), 0);
    requests = source.requests;
    assert_in_range(requests, 5, 12); /* 1, 2, 4, 8, 16, ... */
    assert_int_equal(source.lengths[0], 1);
    assert_int_equal(source.lengths[1], 3);
    for (unsigned i = 0; i < requests; i++)
        assert_in_range(source.lengths[i], 1, 16);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(source.fetched[i], 1);
}

static void scattered_reads_are_not_extended(void **state)
{
    static const uint8_t at[] = {60, 3, 44, 20};

    make();
    h->streams[0].used_ns = 1; /* as if there had been others */
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
        assert_int_equal(hydrator_need(h, at[i], at[i]), 0);
        assert_int_equal(source.lengths[i], 1);
    }
}

static void a_guest_that_writes_over_it_ends_the_wait(void **state)
{
    struct hydrate_need n = {.first = 5, .end = 6};

    make();
    source.refuse = true;
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    missing[5] = 0;
    source.refuse = false;
    steps(1);
    assert_true(n.done);
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
    assert_int_equal(source.fetched[5], 0);
}

/* ---- layers and zeros ---- */

static void layers_serve_while_the_source_is_lost(void **state)
{
    make();
    source.refuse = true;
    in_layer[3] = in_layer[4] = true;
    hydrator_source_lost(h);
    assert_int_equal(hydrator_need(h, 3, 4), 0);
    assert_int_equal(local_calls, 1);
    assert_int_equal(hydrator_need(h, 3, 5), -EIO);
    assert_int_equal(status().local_bytes, 2 * BLOCK_SIZE);
}

static void the_sweep_folds_layers_without_a_source(void **state)
{
    make();
    source.refuse = true;
    for (unsigned i = 10; i < 40; i++)
        in_layer[i] = true;
    steps(10);
    for (unsigned i = 10; i < 40; i++)
        assert_int_equal(missing[i], 0);
    assert_int_equal(missing[9], MISSING_ALL);
    assert_int_equal(source.requests, 0);
    source.refuse = false;
    run_to_the_end();
    for (unsigned i = 10; i < 40; i++)
        assert_int_equal(source.fetched[i], 0);
}

static void known_zeros_are_not_read(void **state)
{
    source.allocation = true;
    make_with((struct hydrator_options){.connections = 1, .zero_map = true});
    run_to_the_end();
    assert_all_right();
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(source.fetched[i], i < ZERO_FIRST || i >= ZERO_END);
    assert_int_equal(status().zero_bytes, (ZERO_END - ZERO_FIRST) * BLOCK_SIZE);
    assert_int_equal(zero_calls, 1);
}

static void a_layer_counts_before_the_zeros_of_the_source(void **state)
{
    source.allocation = true;
    in_layer[9] = true;
    make_with((struct hydrator_options){.connections = 1, .zero_map = true});
    run_to_the_end();
    assert_int_equal(local_calls, 1);
    assert_int_equal(status().zero_bytes, (ZERO_END - ZERO_FIRST - 1) * BLOCK_SIZE);
}

static void zeros_that_were_read_are_given_without_data(void **state)
{
    make();
    here_except(0, 16);
    run_to_the_end();
    assert_int_equal(zero_calls, 1);
    assert_int_equal(hydrate_calls, 3);
    assert_all_right();
}

/* ---- what goes wrong ---- */

static void a_lost_source_fails_what_waits_and_comes_back(void **state)
{
    struct hydrate_need n = {.first = 7, .end = 8};

    make();
    source.hold = true;
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    steps(2);
    hydrator_source_lost(h);
    assert_true(n.done);
    assert_int_equal(hydrate_need_end(h, &n, 0), -EIO);
    assert_int_equal(status().state, SOURCE_LOST);
    assert_true(status().error[0]);
    assert_int_equal(hydrator_need(h, 7, 7), -EIO); /* at once */
    steps(3);                                       /* it connects, but that is not enough */
    assert_int_equal(source.open_now, 1);
    assert_int_equal(status().state, SOURCE_LOST);
    source.hold = false;
    steps(3);
    assert_int_equal(status().state, SOURCE_UP);
    assert_string_equal(status().error, "");
    assert_int_equal(hydrator_need(h, 7, 7), 0);
    run_to_the_end();
    assert_all_right();
}

static void a_connection_that_fails_is_made_anew(void **state)
{
    struct hydrate_need n = {.first = 7, .end = 8};

    make();
    source.hold = true;
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    steps(2);
    source.gone = true;
    assert_int_equal(hydrator_step(h, 0), -ECONNRESET);
    assert_int_equal(status().state, SOURCE_CONNECTING);
    assert_non_null(strstr(status().error, "the cable is cut"));
    assert_int_equal(hydrator_step(h, 0), -ECONNREFUSED);
    assert_non_null(strstr(status().error, "nobody listens"));
    assert_false(n.done);
    source.gone = source.hold = false;
    run_to_the_end();
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
    assert_int_equal(status().state, SOURCE_UP);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(source.fetched[i], 1);
    assert_all_right();
}

static void a_source_that_is_not_there_is_lost_in_the_end(void **state)
{
    make();
    source.refuse = true;
    assert_int_equal(hydrator_need(h, 1, 1), -EIO);
    assert_int_equal(status().state, SOURCE_LOST);
    assert_int_equal(status().demand_errors, 1);
}

static void a_silent_source_is_lost_after_the_bound(void **state)
{
    make_with((struct hydrator_options){.connections = 1, .wait_ns = NS_PER_S});
    source.hold = true;
    tick_ns = NS_PER_MS;
    assert_int_equal(hydrator_need(h, 1, 1), -EIO);
    assert_int_equal(status().state, SOURCE_LOST);
    hydrator_step(h, 0);
    assert_int_equal(source.opens, 2); /* a new connection, the old one is closed */
    assert_int_equal(source.open_now, 1);
}

static void a_source_of_another_size_is_refused(void **state)
{
    make();
    source.size = SIZE + 512;
    assert_int_equal(hydrator_step(h, 0), -EBADMSG);
    assert_non_null(strstr(status().error, "bytes, but disk sda has"));
    assert_int_equal(source.open_now, 0);
    source.size = SIZE;
    run_to_the_end();
    assert_string_equal(status().error, "");
}

static void a_block_the_source_cannot_read_holds_up_nothing_else(void **state)
{
    make();
    source.bad_block = 33;
    for (unsigned i = 0; i < 600; i++) {
        hydrator_step(h, 0);
        now_ns += 10 * NS_PER_MS;
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_int_equal(missing[i] != 0, i == 33);
    assert_in_range(source.fetched[33], 3, 12); /* with backoff */
    assert_non_null(strstr(status().setback, "reading the source of disk sda failed at offset"));
    assert_int_equal(status().state, SOURCE_UP);
    source.bad_block = -1;
    now_ns += 10 * NS_PER_S;
    run_to_the_end();
    assert_string_equal(status().setback, "");
}

static void a_full_target_fails_demand_and_rests_the_sweep(void **state)
{
    unsigned calls;

    make();
    hydrate_error = -ENOSPC;
    assert_int_equal(hydrator_need(h, 5, 5), -ENOSPC);
    steps(300);
    calls = hydrate_calls;
    steps(300); /* time stands still */
    assert_int_equal(hydrate_calls, calls);
    assert_in_range(calls, 1, 20);
    assert_non_null(strstr(status().setback, "make room"));
    assert_int_equal(status().state, SOURCE_UP);
    assert_int_equal(hydrator_need(h, 5, 5), -ENOSPC); /* demand tries, it may be its last chance */
    hydrate_error = 0;
    assert_int_equal(hydrator_need(h, 5, 5), 0);
    now_ns += 10 * NS_PER_S;
    run_to_the_end();
    assert_all_right();
    assert_string_equal(status().setback, "");
}

static void another_source_takes_over(void **state)
{
    struct hydrate_need n = {.first = 7, .end = 8};

    make();
    source.hold = true;
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    steps(2);
    assert_int_equal(hydrator_set_source(h, "lab:2"), 0);
    assert_int_equal(status().state, SOURCE_CONNECTING);
    source.hold = false;
    run_to_the_end();
    assert_string_equal(source.uri, "lab:2");
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
    assert_all_right();
}

/* Who looks after the source tells its place again and again until it is up. */
static void the_same_place_again_breaks_nothing(void **state)
{
    make();
    source.told = "lab:1";
    hydrator_step(h, 0);
    assert_false(source.cancelled);
    source.told = NULL;
    source.hold = true;
    steps(2);
    assert_int_equal(hydrator_set_source(h, "lab:1"), 0);
    assert_int_equal(status().state, SOURCE_UP);
    steps(2);
    source.hold = false;
    run_to_the_end();
    assert_int_equal(source.opens, 1);
    assert_all_right();
}

static void another_place_ends_the_way_to_the_old_one(void **state)
{
    make();
    source.told = "lab:2";
    hydrator_step(h, 0);
    assert_true(source.cancelled);
    source.told = NULL;
    run_to_the_end();
    assert_string_equal(source.uri, "lab:2");
    assert_all_right();
}

static void without_a_source_requests_wait_for_one(void **state)
{
    struct hydrator_options options = {.readers = &lab, .connections = 1};
    struct hydrate_need n = {.first = 7, .end = 8};

    assert_int_equal(hydrator_new(&owner, &options, &h), 0);
    assert_int_equal(status().state, SOURCE_NONE);
    assert_int_equal(hydrate_need_begin(h, &n), 1);
    assert_true(hydrator_step(h, 0) < 0);
    assert_int_equal(hydrator_set_source(h, "lab:1"), 0);
    run_to_the_end();
    assert_int_equal(hydrate_need_end(h, &n, 0), 0);
}

static void the_end_is_told_and_connections_close(void **state)
{
    make();
    here_except(5, 6);
    atomic_store(&h->news, false);
    run_to_the_end();
    assert_int_equal(source.open_now, 0);
    assert_true(h->finished);
    assert_int_equal(hydrator_need(h, 0, BLOCKS - 1), 0);
    hydrator_source_lost(h); /* nothing needs it any more */
    assert_int_equal(status().state, SOURCE_UP);
}

/* ---- pace ---- */

static void pace_follows_demand_and_has_a_floor(void **state)
{
    struct pace p;
    unsigned depth;

    pace_init(&p, 16);
    for (unsigned i = 0; i < 100; i++)
        pace_background_ended(&p, now_ns);
    assert_int_equal(pace_depth(&p), 16);
    pace_demand_ended(&p, now_ns, NS_PER_MS);
    assert_int_equal(pace_depth(&p), 16);
    for (unsigned i = 0; i < 100; i++) {
        now_ns += NS_PER_S / 4;
        pace_demand_ended(&p, now_ns, 50 * NS_PER_MS);
    }
    assert_int_equal(pace_depth(&p), 1);
    depth = pace_depth(&p);
    for (unsigned i = 0; i < 4; i++)
        pace_background_ended(&p, now_ns);
    assert_in_range(pace_depth(&p), depth + 1, depth + 4);
}

static void a_busy_guest_does_not_starve_the_sweep(void **state)
{
    make();
    yield_watch(&engine.yield);
    yield_begin(&engine.yield);
    for (unsigned i = 0; i < 50; i++)
        pace_demand_ended(&h->pace, now_ns += NS_PER_S, (1 + i) * 50 * NS_PER_MS);
    tick_ns = NS_PER_MS;
    run_to_the_end();
    assert_all_right();
}

static void the_background_keeps_to_limits_and_demand_does_not_wait(void **state)
{
    struct limit_table table = {.vm.bytes_s = {BLOCK_SIZE, 0}};

    engine.limits = limits_new();
    limits_set(engine.limits, &table);
    make();
    for (unsigned i = 0; i < 100; i++) {
        hydrator_step(h, 0);
        now_ns += 100 * NS_PER_MS;
    }
    assert_in_range(status().fetched_bytes / BLOCK_SIZE, 8, 12); /* in 10 s */
    assert_int_equal(source.lengths[0], 1);
    for (unsigned i = 16; i < BLOCKS; i += 5)
        assert_int_equal(hydrator_need(h, i, i), 0);
    hydrator_stop(h);
    hydrator_free(steal_ptr(h));
    limits_free(engine.limits);
}

/* ---- threads ---- */

struct waiter {
    pthread_t thread;
    uint64_t block;
    int result;
};

static void *wait_for_block(void *context)
{
    struct waiter *w = context;

    w->result = hydrator_need(h, w->block, w->block);
    return NULL;
}

static void begin_waiting(struct waiter *w, uint64_t block)
{
    w->block = block;
    assert_int_equal(pthread_create(&w->thread, NULL, wait_for_block, w), 0);
}

static void until_users(unsigned count)
{
    for (;;) {
        unsigned users;

        lock_take(&h->lock);
        users = h->users;
        lock_release(&h->lock);
        if (users == count)
            return;
        lock_pause();
    }
}

static void make_threads(uint64_t wait_ns)
{
    clock_source = NULL;
    make_with((struct hydrator_options){.connections = 2, .wait_ns = wait_ns, .zero_map = true});
    assert_int_equal(hydrator_start(h), 0);
}

static void threads_bring_what_many_wait_for(void **state)
{
    struct waiter w[16];

    source.allocation = true;
    make_threads(0);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
        begin_waiting(&w[i], (i * 29) % BLOCKS);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].result, 0);
        assert_int_equal(missing[w[i].block], 0);
    }
    while (!owner_is_complete(&owner))
        lock_pause();
    hydrator_stop(h);
    assert_all_right();
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_true(source.fetched[i] <= 1);
}

static void stopping_ends_waits(void **state)
{
    struct waiter w[3];

    source.hold = true;
    make_threads(0);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
        begin_waiting(&w[i], 9 * i);
    until_users(ARRAY_SIZE(w));
    hydrator_stop(h);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].result, -ESHUTDOWN);
    }
    assert_int_equal(hydrator_need(h, 60, 60), -ESHUTDOWN);
}

static void a_silent_source_is_lost_for_threads_and_comes_back(void **state)
{
    struct waiter w[3];
    int r;

    source.hold = true;
    make_threads(200 * NS_PER_MS);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
        begin_waiting(&w[i], 9 * i);
    for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
        pthread_join(w[i].thread, NULL);
        assert_int_equal(w[i].result, -EIO);
    }
    assert_int_equal(status().state, SOURCE_LOST);
    atomic_store(&source.hold, false);
    while ((r = hydrator_need(h, 63, 63)) == -EIO)
        lock_pause();
    assert_int_equal(r, 0);
    while (!owner_is_complete(&owner))
        lock_pause();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_need_brings_its_blocks_only),
        TEST(the_sweep_brings_everything_once),
        TEST(what_is_in_flight_is_not_asked_again),
        TEST(demand_goes_before_prefetch_before_sweep),
        TEST(the_sweep_wraps),
        TEST(a_sequential_reader_gets_more_and_more),
        TEST(scattered_reads_are_not_extended),
        TEST(a_guest_that_writes_over_it_ends_the_wait),
        TEST(layers_serve_while_the_source_is_lost),
        TEST(the_sweep_folds_layers_without_a_source),
        TEST(known_zeros_are_not_read),
        TEST(a_layer_counts_before_the_zeros_of_the_source),
        TEST(zeros_that_were_read_are_given_without_data),
        TEST(a_lost_source_fails_what_waits_and_comes_back),
        TEST(a_connection_that_fails_is_made_anew),
        TEST(a_source_that_is_not_there_is_lost_in_the_end),
        TEST(a_silent_source_is_lost_after_the_bound),
        TEST(a_source_of_another_size_is_refused),
        TEST(a_block_the_source_cannot_read_holds_up_nothing_else),
        TEST(a_full_target_fails_demand_and_rests_the_sweep),
        TEST(another_source_takes_over),
        TEST(the_same_place_again_breaks_nothing),
        TEST(another_place_ends_the_way_to_the_old_one),
        TEST(without_a_source_requests_wait_for_one),
        TEST(the_end_is_told_and_connections_close),
        TEST(pace_follows_demand_and_has_a_floor),
        TEST(a_busy_guest_does_not_starve_the_sweep),
        TEST(the_background_keeps_to_limits_and_demand_does_not_wait),
        TEST(threads_bring_what_many_wait_for),
        TEST(stopping_ends_waits),
        TEST(a_silent_source_is_lost_for_threads_and_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

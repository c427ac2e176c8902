/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "engine/limitfile.h"
#include "engine/meter.h"
#include "engine/verify.h"
#include "engine/yield.h"
#include "tests/model/fixture.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t now;      /* of the clock below */
static uint64_t tick_ns;  /* it moves that much each time it is read */

static uint64_t test_clock(void)
{
    now += tick_ns;
    return now;
}

static struct limits *limits;
static struct fixture *f;

static int enter(void **state)
{
    now = 100 * NS_PER_S;
    tick_ns = 0;
    clock_source = test_clock;
    limits = limits_new();
    f = fixture_new();
    return 0;
}

static int leave(void **state)
{
    fixture_free(f);
    limits_free(limits);
    clock_source = NULL;
    return 0;
}

static void set(struct limits *l, uint64_t vm_bytes, uint64_t disk_bytes)
{
    struct limit_table t = {.vm.bytes_s = {vm_bytes, vm_bytes},
                            .disks[0].bytes_s = {disk_bytes, disk_bytes}};

    limits_set(l, &t);
}

/* Bytes that go in `seconds` of requests of `size`, asked for as often as one likes. */
static uint64_t flow(unsigned disk, enum limit_side side, uint64_t size, unsigned seconds)
{
    uint64_t end = now + seconds * NS_PER_S, done = 0;

    while (now < end) {
        uint64_t wait = limit_take(limits, disk, side, size);

        done += wait ? 0 : size;
        now += wait;
    }
    return done;
}

static void without_limits_everything_goes(void **state)
{
    assert_int_equal(limit_take(NULL, 0, LIMIT_SOURCE, MIB), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(limit_take(limits, 0, LIMIT_TARGET, 1000 * MIB), 0);
    assert_int_equal(limit_chunk(limits, 0, LIMIT_TARGET, MIB), MIB);
    assert_int_equal(limit_chunk(NULL, 0, LIMIT_TARGET, MIB), MIB);
}

static void the_rate_is_kept_for_small_and_large_requests(void **state)
{
    static const uint64_t sizes[] = {4096, 65536, MIB, 32 * MIB};

    for (unsigned i = 0; i < 4; i++) {
        uint64_t done;

        set(limits, 0, 0);
        set(limits, 0, 10 * MIB);
        done = flow(0, LIMIT_SOURCE, sizes[i], 100);
        /* one request may be begun at the very end, and one is always let through */
        assert_in_range(done, 1000 * MIB - 65536, 1000 * MIB + 2 * sizes[i] + 65536);
    }
}

/* After a rest no more than 250 ms of the rate goes at once, and then one request. */
static void a_burst_is_small(void **state)
{
    uint64_t done = 0;

    set(limits, 0, 8 * MIB);
    now += 3600 * NS_PER_S;
    while (limit_take(limits, 0, LIMIT_TARGET, 65536) == 0)
        done += 65536;
    assert_in_range(done, 2 * MIB, 2 * MIB + 65536);
    assert_int_equal(limit_chunk(limits, 0, LIMIT_TARGET, 16 * MIB), 2 * MIB);
    set(limits, 0, 1000);
    assert_int_equal(limit_chunk(limits, 0, LIMIT_TARGET, MIB), BLOCK_SIZE);
}

static void disk_and_vm_are_both_kept(void **state)
{
    uint64_t done[2] = {0, 0}, end = now + 60 * NS_PER_S;

    set(limits, 10 * MIB, 3 * MIB);
    while (now < end) {
        for (unsigned d = 0; d < 2; d++)
            done[d] += limit_take(limits, d, LIMIT_SOURCE, 65536) ? 0 : 65536;
        now += NS_PER_MS;
    }
    assert_in_range(done[0], 179 * MIB, 182 * MIB);
    assert_in_range(done[0] + done[1], 598 * MIB, 604 * MIB);
    /* the other direction has buckets of its own */
    assert_in_range(flow(1, LIMIT_TARGET, 65536, 10), 99 * MIB, 103 * MIB);
}

static void requests_are_counted_too(void **state)
{
    struct limit_table t = {.vm.iops = {100, 0}};
    unsigned done = 0;
    uint64_t end;

    limits_set(limits, &t);
    end = now + 10 * NS_PER_S;
    while (now < end) {
        uint64_t wait = limit_take(limits, 1, LIMIT_SOURCE, 512);

        done += wait == 0;
        now += wait;
    }
    assert_in_range(done, 999, 1027);
    assert_int_equal(limit_take(limits, 1, LIMIT_TARGET, MIB), 0);
}

/* A large debt at a low rate is forgotten when the rate changes, and the wait is told in parts, so
 * that who waits notices. */
static void a_change_takes_effect_at_once(void **state)
{
    set(limits, 0, 1024);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 64 * MIB), 0);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1), LIMIT_WAIT_MAX_NS);
    set(limits, 0, 100 * MIB);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1), 0);
    assert_true(limit_take(limits, 0, LIMIT_SOURCE, MIB) < NS_PER_MS);
    set(limits, 0, 0);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1000 * MIB), 0);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1000 * MIB), 0);
}

static void numbers_at_the_edge_do_no_harm(void **state)
{
    set(limits, LIMIT_MAX, 1);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, UINT64_MAX), 0);
    now += 86401 * NS_PER_S;
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1), 0);
    now = 0;
    set(limits, 0, 5);
    assert_int_equal(limit_take(limits, 0, LIMIT_SOURCE, 1), 0);
}

/* ---- the file ---- */

static const struct limitfile_names names = {{"sda", "sdb"}, 2};

static int parse(const char *text, struct limit_table *table)
{
    _cleanup_error_ struct error *e = NULL;
    int r = limitfile_parse(text, strlen(text), "limits.json", &names, table, &e);

    if (r < 0)
        assert_non_null(strstr(error_text(e), "limits.json"));
    return r;
}

static void limits_survive_restarts(void **state)
{
    json_t *rates = json_pack("{s:i, s:i}", "source_bytes_s", 1000, "target_iops", 7);
    struct limit_table t;

    assert_int_equal(engine_limit(f->engine, NULL, rates, NULL), 0);
    json_object_set_new(rates, "source_bytes_s", json_integer(55));
    assert_int_equal(engine_limit(f->engine, engine_disk(f->engine, "sdb"), rates, NULL), 0);
    json_decref(rates);
    assert_int_equal(fixture_restart(f, NULL), 0);
    t = limits_get(f->engine->limits);
    assert_int_equal(t.vm.bytes_s[LIMIT_SOURCE], 1000);
    assert_int_equal(t.vm.iops[LIMIT_TARGET], 7);
    assert_int_equal(t.vm.iops[LIMIT_SOURCE], 0);
    assert_int_equal(t.disks[1].bytes_s[LIMIT_SOURCE], 55);
    assert_int_equal(t.disks[0].bytes_s[LIMIT_SOURCE], 0);
    sim_die(f->sim);
    engine_close(steal_ptr(f->engine));
    sim_power_loss(f->sim, SIM_LOSE_ALL);
    assert_int_equal(fixture_restart(f, NULL), 0);
    t = limits_get(f->engine->limits);
    assert_int_equal(t.disks[1].bytes_s[LIMIT_SOURCE], 55);
}

/* Whatever call of the replacement fails, and whatever a power loss then keeps: the old limits or
 * the new ones, here and after the start. */
static void a_failed_change_leaves_the_old_ones(void **state)
{
    for (unsigned at = 1; at < 12; at++)
        for (unsigned loss = 0; loss < _SIM_LOSS_MAX; loss++) {
            json_t *rates = json_pack("{s:i}", "source_bytes_s", (int)(100 + at));
            uint64_t before = limits_get(f->engine->limits).vm.bytes_s[LIMIT_SOURCE], after;
            int r;

            sim_set_fault(f->sim, SIM_CRASH, at);
            r = engine_limit(f->engine, NULL, rates, NULL);
            json_decref(rates);
            after = limits_get(f->engine->limits).vm.bytes_s[LIMIT_SOURCE];
            assert_int_equal(after, r == 0 ? 100 + at : before);
            sim_die(f->sim);
            engine_close(steal_ptr(f->engine));
            sim_power_loss(f->sim, (enum sim_loss)loss);
            sim_set_fault(f->sim, SIM_NO_FAULT, 0);
            assert_int_equal(fixture_restart(f, NULL), 0);
            after = limits_get(f->engine->limits).vm.bytes_s[LIMIT_SOURCE];
            assert_true(after == 100 + at || (r < 0 && after == before));
        }
}

static void a_damaged_file_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "{}", "{\"format\":1}", "{\"format\":2,\"vm\":{},\"disks\":{}}",
        "{\"format\":1,\"vm\":[],\"disks\":{}}", "{\"format\":1,\"vm\":{},\"disks\":[]}",
        "{\"format\":1,\"vm\":{\"source_bytes_s\":-1},\"disks\":{}}",
        "{\"format\":1,\"vm\":{\"source_bytes_s\":1.5},\"disks\":{}}",
        "{\"format\":1,\"vm\":{\"source_bytes_s\":1125899906842625},\"disks\":{}}",
        "{\"format\":1,\"vm\":{\"sources\":1},\"disks\":{}}",
        "{\"format\":1,\"vm\":{},\"disks\":{\"sdz\":{}}}",
        "{\"format\":1,\"vm\":{},\"disks\":{\"sda\":7}}",
        "{\"format\":1,\"vm\":{},\"vm\":{},\"disks\":{}}",
    };
    static const char good[] = "{\"format\":1,\"vm\":{},\"disks\":{}}";
    struct limit_table t;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(parse(bad[i], &t) < 0);
    assert_int_equal(parse("{\"format\":1,\"vm\":{\"source_iops\":1125899906842624},"
                           "\"disks\":{\"sdb\":{\"target_iops\":3}}}", &t), 0);
    assert_int_equal(t.disks[1].iops[LIMIT_TARGET], 3);
    sim_put(f->sim, FIXTURE_STORE "/limits.json", "{}", 2);
    assert_true(fixture_restart(f, NULL) < 0);
    sim_put(f->sim, FIXTURE_STORE "/limits.json", good, strlen(good));
    assert_int_equal(fixture_restart(f, NULL), 0);
}

/* ---- what keeps to them ---- */

static void limit_engine(const char *name, int value)
{
    json_t *rates = json_pack("{s:i}", name, value);

    assert_int_equal(engine_limit(f->engine, NULL, rates, NULL), 0);
    json_decref(rates);
}

/* Time on the clock that `bytes` take at `rate`, less the burst and the last request's debt. */
static void assert_took(uint64_t began, uint64_t bytes, uint64_t rate)
{
    uint64_t ideal = (uint64_t)((double)bytes / (double)rate * 1e9);
    uint64_t debt = (uint64_t)((double)PULL_SMALL * 8 / (double)rate * 1e9);

    assert_in_range(now - began, ideal > debt ? ideal - debt : 0, ideal + debt);
}

static void a_sync_keeps_to_the_source_rate(void **state)
{
    uint64_t began;

    limit_engine("source_bytes_s", 20000);
    tick_ns = 10 * NS_PER_MS;
    began = now;
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    assert_took(began, f->source->read_bytes, 20000);
    fixture_fold(f);
}

static void a_sync_keeps_to_the_target_rate(void **state)
{
    uint64_t began;

    limit_engine("target_bytes_s", 20000);
    tick_ns = 10 * NS_PER_MS;
    began = now;
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    assert_true(now - began > NS_PER_S);
}

static void a_change_on_the_way_lets_it_end(void **state)
{
    int point = (int)memsource_point(f->source);
    struct sync_source sources[2] = {{"sda", "mem:0/0", NULL}, {"sdb", "mem:0/1", NULL}};
    struct sync_request q = {.sources = sources, .source_count = 2, .snapshot = "p"};
    struct sync *s = calloc(1, sizeof(*s));
    struct puller *puller = NULL;
    struct limit_table t = {.vm.bytes_s = {1, 1}};

    assert_int_equal(point, 0);
    assert_int_equal(sync_open(s, f->engine, &q, NULL), 0);
    limits_set(f->engine->limits, &t);
    assert_int_equal(sync_prepare(s, NULL), 0);
    assert_int_equal(puller_new(&s->disks[0].pull, s->disks[0].reader, &puller), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(puller_step(puller), PULL_WAIT);
    assert_true(atomic_load(&s->disks[0].pull.read_bytes) <= BLOCK_SIZE);
    t.vm.bytes_s[LIMIT_SOURCE] = t.vm.bytes_s[LIMIT_TARGET] = 0;
    limits_set(f->engine->limits, &t);
    for (int i = 0, step = PULL_MORE; step != PULL_DONE; i++) {
        step = puller_step(puller);
        assert_true(step >= 0 && i < 1000);
        if (step == PULL_WAIT)
            assert_int_equal(puller_wait(puller), 0);
    }
    puller_free(puller);
    sync_close(s);
    free(s);
}

static void a_verify_keeps_to_the_source_rate(void **state)
{
    char uris[2][32] = {"mem:0/0", "mem:0/1"};
    struct sync_source sources[2] = {{"sda", uris[0], NULL}, {"sdb", uris[1], NULL}};
    struct verify_request q = {.sources = sources, .source_count = 2, .sample_percent = 100};
    struct verify verify = {0};
    json_t *result = NULL;
    uint64_t began;

    assert_int_equal(fixture_sync(f, -1, NULL), 0);
    limit_engine("source_iops", 10);
    tick_ns = 10 * NS_PER_MS;
    began = now;
    assert_int_equal(verify_run(&verify, f->engine, &q, NULL, NULL, &result, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
    json_decref(result);
    assert_true(now > began);
}

/* A fold that a limit keeps back says how long, and changes nothing meanwhile. */
static void a_fold_keeps_to_the_target_rate(void **state)
{
    struct fold fold;
    int point = fixture_sync(f, -1, NULL), more;
    uint64_t began, waits = 0;

    for (int i = 0; i < 6; i++)
        memsource_write(f->source, 50 + (uint64_t)i);
    assert_true(fixture_sync(f, point, NULL) > 0);
    limit_engine("target_bytes_s", 65536);
    began = now;
    assert_int_equal(fold_begin(&fold, f->engine, &f->engine->disks[0]), 0);
    while ((more = fold_step(&fold)) == 1) {
        now += fold.wait_ns;
        waits += fold.wait_ns > 0;
    }
    assert_int_equal(more, 0);
    assert_true(waits > 0 && now - began > NS_PER_S);
    assert_int_equal(fold_finish(&fold), 0);
    fold_end(&fold);
}

/* ---- yielding ---- */

static struct yield_sample busy(uint64_t mean_ns)
{
    now += YIELD_INTERVAL_NS;
    return (struct yield_sample){.now_ns = now, .in_flight = 1, .last_ns = now, .ended = 10,
                                 .sum_ns = 10 * mean_ns};
}

static unsigned decide(struct yield_policy *p, struct yield_sample s)
{
    return yield_decide(p, 8, &s);
}

static void alone_it_takes_everything(void **state)
{
    struct yield_policy p = {0};

    assert_int_equal(decide(&p, (struct yield_sample){.now_ns = now}), 8);
    assert_int_equal(decide(&p, (struct yield_sample){.now_ns = now, .last_ns = 1}), 8);
}

static void a_guest_brings_it_down_and_it_comes_back_slowly(void **state)
{
    struct yield_policy p = {0};
    unsigned depth;

    assert_int_equal(decide(&p, (struct yield_sample){.now_ns = now}), 8);
    assert_int_equal(decide(&p, busy(2 * NS_PER_MS)), 1);
    for (depth = 2; depth <= 6; depth++)
        assert_int_equal(decide(&p, busy(NS_PER_MS)), depth);
    assert_int_equal(decide(&p, busy(NS_PER_MS * 14 / 10)), 7); /* 40 % more is let pass */
    assert_int_equal(decide(&p, busy(NS_PER_MS * 16 / 10)), 3); /* 60 % more halves */
    assert_int_equal(decide(&p, busy(NS_PER_MS * 16 / 10)), 1);
    assert_int_equal(decide(&p, busy(NS_PER_MS)), 2);
}

static void a_guest_that_waits_for_everything_halves_it(void **state)
{
    struct yield_policy p = {0};
    struct yield_sample stuck = {.in_flight = 3};

    decide(&p, busy(NS_PER_MS));
    for (int i = 0; i < 8; i++)
        decide(&p, busy(NS_PER_MS));
    stuck.now_ns = now + YIELD_INTERVAL_NS;
    assert_int_equal(decide(&p, stuck), 4);
    assert_int_equal(decide(&p, stuck), 2);
    assert_int_equal(decide(&p, stuck), 1);
    assert_int_equal(decide(&p, stuck), 1);
}

/* A guest whose own requests get slower is not waited for until the end of days. */
static void a_changed_load_is_learned(void **state)
{
    struct yield_policy p = {0};
    unsigned i;

    for (i = 0; i < 10; i++)
        decide(&p, busy(NS_PER_MS));
    for (i = 0; i < 100 && p.depth < 8; i++)
        decide(&p, busy(5 * NS_PER_MS));
    assert_true(i < 100);
}

static void when_the_guest_rests_it_grows_fast(void **state)
{
    struct yield_policy p = {0};
    struct yield_sample idle = {.last_ns = now};

    decide(&p, busy(NS_PER_MS));
    idle.last_ns = now;
    idle.now_ns = now + YIELD_IDLE_NS - 1;
    assert_int_equal(decide(&p, idle), 2); /* not resting yet */
    idle.now_ns = now + YIELD_IDLE_NS;
    assert_int_equal(decide(&p, idle), 4);
    assert_int_equal(decide(&p, idle), 8);
}

static void only_watched_requests_are_timed(void **state)
{
    struct yield y;
    uint64_t a, b;

    yield_init(&y);
    tick_ns = NS_PER_MS;
    a = yield_begin(&y);
    assert_int_equal(a, 0);
    yield_watch(&y);
    yield_end(&y, a);
    assert_int_equal(atomic_load(&y.in_flight), 0);
    b = yield_begin(&y);
    assert_int_equal(atomic_load(&y.in_flight), 1);
    yield_unwatch(&y);
    yield_end(&y, b);
    assert_int_equal(atomic_load(&y.in_flight), 0);
    assert_int_equal(atomic_load(&y.sum_ns), NS_PER_MS);
    yield_done(&y);
}

/* ---- progress ---- */

static void rate_and_rest_follow_a_changed_limit(void **state)
{
    struct meter m;
    uint64_t bytes = 0;
    double rate = 0;

    meter_begin(&m, now, 0);
    for (int i = 0; i < 400; i++) {
        now += 250 * NS_PER_MS;
        bytes += 25 * MIB;
        rate = meter_rate(&m, now, bytes);
    }
    assert_in_range((uint64_t)(rate / 1e6), 104, 105);
    for (int i = 0; i < 60; i++) {
        now += 250 * NS_PER_MS;
        bytes += MIB / 4;
        rate = meter_rate(&m, now, bytes);
    }
    assert_in_range((uint64_t)(rate / 1e3), 1000, 1060);
}

/* One block in ten seconds: the rate is never told as nothing. */
static void a_slow_flow_has_a_rate(void **state)
{
    struct meter m;
    uint64_t bytes = 0;

    meter_begin(&m, now, 0);
    for (int i = 0; i < 4000; i++) {
        double rate;

        now += 250 * NS_PER_MS;
        bytes += i % 40 == 39 ? BLOCK_SIZE : 0;
        rate = meter_rate(&m, now, bytes);
        if (i > 400)
            assert_in_range((uint64_t)rate, 5900, 7000);
    }
    now += 3600 * NS_PER_S;
    assert_true(meter_rate(&m, now, bytes) < 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_limits_everything_goes),
        TEST(the_rate_is_kept_for_small_and_large_requests),
        TEST(a_burst_is_small),
        TEST(disk_and_vm_are_both_kept),
        TEST(requests_are_counted_too),
        TEST(a_change_takes_effect_at_once),
        TEST(numbers_at_the_edge_do_no_harm),
        TEST(limits_survive_restarts),
        TEST(a_failed_change_leaves_the_old_ones),
        TEST(a_damaged_file_is_refused),
        TEST(a_sync_keeps_to_the_source_rate),
        TEST(a_sync_keeps_to_the_target_rate),
        TEST(a_change_on_the_way_lets_it_end),
        TEST(a_verify_keeps_to_the_source_rate),
        TEST(a_fold_keeps_to_the_target_rate),
        TEST(alone_it_takes_everything),
        TEST(a_guest_brings_it_down_and_it_comes_back_slowly),
        TEST(a_guest_that_waits_for_everything_halves_it),
        TEST(a_changed_load_is_learned),
        TEST(when_the_guest_rests_it_grows_fast),
        TEST(only_watched_requests_are_timed),
        TEST(rate_and_rest_follow_a_changed_limit),
        TEST(a_slow_flow_has_a_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

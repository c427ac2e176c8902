/* SPDX-License-Identifier: Apache-2.0 */
/* Forecasts, by cases that were computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/forecast.h"
#include "orchestrator/journal.h"

#define S INT64_C(1000000000)
#define MB 1e6

static json_t *parse(const char *text)
{
    return json_loads(text, JSON_DECODE_ANY, NULL);
}

static struct forecast make(const char *passes, const char *transitions, const char *rehearsals,
                            const char *params, int64_t now_s)
{
    _cleanup_json_ json_t *p = parse(passes), *t = parse(transitions);
    _cleanup_json_ json_t *h = parse(rehearsals), *q = parse(params);
    struct forecast f;

    assert_true(p && t && h && q);
    forecast_make(p, t, h, q, now_s * S, &f);
    return f;
}

static void assert_range(struct forecast_range r, double low, double expected, double high)
{
    if (r.low < low - 1e-6 || r.low > low + 1e-6 || r.expected < expected - 1e-6 ||
        r.expected > expected + 1e-6 || r.high < high - 1e-6 || r.high > high + 1e-6)
        fail_msg("%g %g %g is not %g %g %g", r.low, r.expected, r.high, low, expected, high);
}

#define PASS(kind, gen, start, bytes, seconds)                                                     \
    "{\"kind\":\"" kind "\",\"generation\":" gen ",\"started_ns\":" start "000000000,"             \
    "\"seconds\":" seconds ",\"result\":[{\"disk\":\"vda\",\"bytes\":" bytes                       \
    ",\"zero_bytes\":0,\"changed_bytes\":" bytes "}],\"why_full\":null,\"ended\":1}"
#define STEP(from, to, at)                                                                         \
    "{\"from_state\":\"" from "\",\"to_state\":\"" to "\",\"wall_ns\":" at "000000000,"            \
    "\"mono_ns\":" at "000000000,\"boot_id\":\"b\"}"

/* 1000 MB in 100 s; then each 100 s 100 MB, which take 10 s. */
#define PASSES                                                                                     \
    PASS("initial", "0", "1000", "1000000000", "100.0")                                            \
    "," PASS("delta", "1", "1100", "100000000", "10.0") ","                                        \
    PASS("delta", "2", "1200", "100000000", "10.0")

static void nothing_is_known_at_first(void **state)
{
    struct forecast f = make("[]", "[]", "[]", "{}", 5);
    _cleanup_json_ json_t *j = forecast_json(&f);

    assert_true(f.at_least);
    assert_int_equal(f.passes, 0);
    assert_true(f.shutdown.expected < 0 && f.delta.expected < 0 && f.morph.expected < 0);
    assert_true(f.flip.expected < 0 && f.start.expected < 0 && f.dirty_bytes_s < 0);
    assert_range(f.total, 0, 0, 0);
    assert_int_equal(json_array_size(json_object_get(j, "unknown")), 5);
    assert_true(json_is_null(json_object_get(j, "delta")));
    assert_true(json_is_null(json_object_get(j, "rate_bytes_s")));
}

static void the_delta_grows_with_time(void **state)
{
    /* 1 MB/s get dirty, 10 MB/s are copied, nothing is fixed: 0.1 s more for each second. */
    struct forecast f = make("[" PASSES "]", "[]", "[]", "{}", 1250);

    assert_true(f.dirty_bytes_s == 1 * MB && f.rate_bytes_s == 10 * MB);
    assert_true(f.snapshot_cost_s == 0);
    assert_range(f.delta, 5, 5, 5);
    assert_range(f.total, 5, 5, 5);
    assert_true(f.at_least);
    forecast_grow(&f, 100);
    assert_range(f.delta, 15, 15, 15);
    assert_range(f.total, 15, 15, 15);
    forecast_grow(&f, -50); /* time does not go back */
    assert_range(f.delta, 15, 15, 15);
    /* All of the disks take 100 s; it is never more. */
    forecast_grow(&f, 1e6);
    assert_range(f.delta, 100, 100, 100);
}

static void fixed_cost_is_told_from_the_rate(void **state)
{
    /* seconds = 2 + bytes / (10 MB/s), exactly; intervals of 100 s: 1, 2 and 4 MB/s get dirty. */
    struct forecast f = make(
        "[" PASS("initial", "0", "1000", "9000000000", "5000.0") "," PASS("delta", "1", "6000",
        "0", "0.0") "," PASS("delta", "2", "6100", "100000000", "12.0") "," PASS("delta", "3",
        "6200", "200000000", "22.0") "," PASS("delta", "4", "6300", "400000000", "42.0") "]",
        "[]", "[]", "{}", 6300);

    assert_true(f.snapshot_cost_s > 1.999999 && f.snapshot_cost_s < 2.000001);
    assert_true(f.dirty_bytes_s == 2 * MB);
    assert_range(f.delta, 2, 2, 2);
    assert_range(f.growth, 0.1, 0.2, 4 / (9000 / 4998.0));
}

static void freezing_counts(void **state)
{
    struct forecast f = make(
        "[{\"kind\":\"initial\",\"generation\":0,\"started_ns\":0,\"freeze_s\":3.0,"
        "\"seconds\":10.0,\"result\":[{\"bytes\":100000000,\"changed_bytes\":100000000}]},"
        "{\"kind\":\"delta\",\"generation\":1,\"started_ns\":100000000000,\"freeze_s\":5.0,"
        "\"seconds\":2.0,\"result\":[{\"bytes\":10000000}]}]", "[]", "[]", "{}", 100);

    /* 10 MB/s; the small one took 1 s more than that: 3, 4, 5 of freezing and that one. */
    assert_range(f.delta, 4, 5, 6);
    assert_true(f.snapshot_cost_s == 5);
}

static void tries_tell_their_parts(void **state)
{
    struct forecast f = make(
        "[" PASSES "]",
        "[" STEP("mirrored", "stopping", "2000") "," STEP("stopping", "stopping", "2030") ","
        STEP("stopping", "final-sync", "2040") "," STEP("final-sync", "morphing", "2050") ","
        STEP("morphing", "flipping", "2062") "," STEP("flipping", "defining", "2063") ","
        STEP("defining", "failed", "2070") "," STEP("failed", "defining", "2100") ","
        STEP("defining", "starting", "2101") "," STEP("starting", "finishing", "2121") "]",
        "[]", "{}", 1200);

    assert_range(f.shutdown, 7.5, 10, 15); /* from when it was told */
    assert_range(f.morph, 9, 12, 18);
    assert_range(f.flip, 1.5, 2, 3); /* 1 + 1: the failed define does not count */
    assert_range(f.start, 15, 20, 30);
    assert_false(f.at_least);
    assert_range(f.total, 33, 44, 66);
}

static void a_try_that_went_back_tells_what_it_came_to(void **state)
{
    struct forecast f = make(
        "[]", "[" STEP("mirrored", "stopping", "10") "," STEP("stopping", "final-sync", "14") ","
        STEP("final-sync", "reverting", "90") "," STEP("reverting", "mirrored", "95") ","
        STEP("mirrored", "stopping", "100") "," STEP("stopping", "final-sync", "108") ","
        STEP("final-sync", "failed", "109") "]", "[]", "{}", 0);

    assert_range(f.shutdown, 4, 6, 8);
    assert_true(f.delta.expected < 0 && f.morph.expected < 0 && f.at_least);
}

static void rehearsals_stand_in(void **state)
{
    const char *rows = "[{\"result\":{\"morph_s\":30.0,\"boot_s\":50.0}},"
                       "{\"result\":{\"morph_s\":40.0,\"error\":\"x\"}},"
                       "{\"result\":{\"morph_s\":20.0,\"boot_s\":70}},{\"result\":null},{}]";
    struct forecast f = make("[]", "[]", rows, "{}", 0);

    assert_range(f.morph, 20, 30, 40);
    assert_range(f.start, 50, 60, 70);
    /* A real try is worth more. */
    f = make("[]", "[" STEP("final-sync", "morphing", "5") "," STEP("morphing", "flipping", "9")
             "]", rows, "{}", 0);
    assert_range(f.morph, 3, 4, 6);
}

static void what_is_not_done_takes_nothing(void **state)
{
    struct forecast f = make("[]", "[]", "[]", "{\"morph\":false,\"start\":false}", 0);

    assert_range(f.morph, 0, 0, 0);
    assert_range(f.start, 0, 0, 0);
}

static void gaps_between_passes_are_no_intervals(void **state)
{
    /* Between the first and the second row lie passes that are not there. */
    struct forecast f = make(
        "[{\"kind\":\"initial\",\"generation\":0,\"started_ns\":0,\"snapshot\":\"a\","
        "\"seconds\":100.0,\"result\":[{\"bytes\":1000000000}]},"
        "{\"kind\":\"delta\",\"generation\":8,\"started_ns\":900000000000,\"since\":\"y\","
        "\"snapshot\":\"z\",\"seconds\":10.0,\"result\":[{\"bytes\":100000000}]}]",
        "[]", "[]", "{}", 900);

    assert_true(f.dirty_bytes_s < 0 && f.delta.expected < 0);
    assert_true(f.rate_bytes_s == 10 * MB);
}

static void limited_passes_tell_no_rate(void **state)
{
#define LIMITED ",{\"kind\":\"delta\",\"generation\":3,\"started_ns\":1300000000000,"             \
                "\"seconds\":50.0,\"limited\":1,\"result\":[{\"bytes\":100000000}]}"
    struct forecast f = make("[" PASSES LIMITED "]", "[]", "[]", "{}", 1300);

    /* 100 MB in 50 s, because of a limit that a cutover does not keep to. */
    assert_true(f.rate_bytes_s == 10 * MB && f.dirty_bytes_s == 1 * MB);
    /* It is better than nothing. */
    f = make("[{\"kind\":\"initial\",\"generation\":0,\"started_ns\":1200000000000}" LIMITED "]",
             "[]", "[]", "{}", 1300);
    assert_true(f.rate_bytes_s == 2 * MB);
}

static void instant_does_not_grow(void **state)
{
    struct forecast f = make("[" PASSES "]", "[]", "[]", "{\"instant\":true}", 9000);

    assert_range(f.delta, 0, 0, 0);
    f = make("[" PASSES "]", "[" STEP("stopping", "instant-flip", "5") ","
             STEP("instant-flip", "morphing", "7") "]", "[]", "{\"instant\":true}", 9000);
    assert_range(f.delta, 1.5, 2, 3);
    forecast_grow(&f, 1000);
    assert_range(f.delta, 1.5, 2, 3);
}

static void comparing_everything_takes_as_long_again(void **state)
{
    struct forecast f = make(
        "[" PASSES ",{\"kind\":\"delta\",\"generation\":3,\"started_ns\":1300000000000,"
        "\"seconds\":80.0,\"result\":[{\"bytes\":1000000000}],\"why_full\":\"no bitmap\"}]",
        "[]", "[]", "{}", 2000);

    assert_range(f.delta, 60, 80, 120);
    assert_true(f.dirty_bytes_s == 1 * MB); /* its bytes are not what changed */
}

#define TWO_PASSES(boot)                                                                           \
    "[{\"kind\":\"initial\",\"generation\":0,\"started_ns\":9000000000000,"                       \
    "\"started_mono_ns\":100000000000,\"boot_id\":\"" boot "\",\"seconds\":100.0,"               \
    "\"result\":[{\"bytes\":1000000000,\"changed_bytes\":1000000000}]},"                         \
    "{\"kind\":\"delta\",\"generation\":1,\"started_ns\":5000000000000,"                         \
    "\"started_mono_ns\":200000000000,\"boot_id\":\"b\",\"seconds\":10.0,"                       \
    "\"result\":[{\"bytes\":100000000}]}]"

static void clock_that_was_set_does_no_harm(void **state)
{
    /* The second pass seems to begin before the first one; in one boot the other clock knows. */
    static const char same[] = TWO_PASSES("b"), other[] = TWO_PASSES("a");
    struct forecast f;

    f = make(same, "[]", "[]", "{}", 5000);
    assert_true(f.dirty_bytes_s == 1 * MB);
    /* Across boots only the wall clock is there, and says what cannot be. */
    f = make(other, "[]", "[]", "{}", 5000);
    assert_true(f.dirty_bytes_s < 0 && f.delta.expected < 0);
    /* Now is before the last pass: nothing has grown. */
    f = make(same, "[]", "[]", "{}", 10);
    assert_range(f.delta, 0, 0, 0);
}

static void now_follows_the_monotonic_clock(void **state)
{
    _cleanup_json_ json_t *passes = json_loads(
        "[{\"generation\":1,\"started_ns\":5000,\"started_mono_ns\":70,\"boot_id\":\"b\"},"
        "{\"generation\":null,\"started_ns\":6000,\"started_mono_ns\":80,\"boot_id\":\"b\"}]", 0,
        NULL);
    struct stamp now = {.wall_ns = 999999, .mono_ns = 100, .boot_id = "b"};

    assert_int_equal(forecast_now(passes, &now), 5030);
    strcpy(now.boot_id, "c");
    assert_int_equal(forecast_now(passes, &now), 999999);
    assert_int_equal(forecast_now(NULL, &now), 999999);
}

static void garbage_is_left_out(void **state)
{
    struct forecast f = make(
        "[{},null,5,{\"generation\":0},{\"generation\":1,\"kind\":7,\"started_ns\":\"x\","
        "\"seconds\":\"y\",\"result\":{}},"
        "{\"generation\":2,\"started_ns\":-9223372036854775808,\"seconds\":-5,"
        "\"result\":[{\"bytes\":-100},null,{\"bytes\":\"1\"}]},"
        "{\"generation\":3,\"started_ns\":9223372036854775807,\"seconds\":1e300,"
        "\"result\":[{\"bytes\":9223372036854775807}]},"
        "{\"generation\":4,\"started_ns\":1,\"seconds\":1e-300,\"result\":[{\"bytes\":1e300}]},"
        "{\"generation\":null,\"started_ns\":5,\"seconds\":1.0,\"result\":[{\"bytes\":5}]}]",
        "[{},null,{\"to_state\":5},{\"to_state\":\"morphing\",\"wall_ns\":10},"
        "{\"from_state\":\"morphing\",\"to_state\":\"flipping\"},"
        "{\"from_state\":\"flipping\",\"to_state\":\"defining\",\"wall_ns\":-5}]",
        "[null,{\"result\":{\"morph_s\":-3,\"boot_s\":\"x\"}}]", "null", INT64_C(9000000000));

    assert_true(f.morph.expected < 0 && f.flip.expected < 0 && f.start.expected < 0);
    assert_true(f.delta.expected < 0 || f.delta.expected < 1e15);
    assert_true(f.total.expected >= 0);
    forecast_make(NULL, NULL, NULL, NULL, 0, &f);
    assert_true(f.at_least);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_at_first),
        cmocka_unit_test(the_delta_grows_with_time),
        cmocka_unit_test(fixed_cost_is_told_from_the_rate),
        cmocka_unit_test(freezing_counts),
        cmocka_unit_test(tries_tell_their_parts),
        cmocka_unit_test(a_try_that_went_back_tells_what_it_came_to),
        cmocka_unit_test(rehearsals_stand_in),
        cmocka_unit_test(what_is_not_done_takes_nothing),
        cmocka_unit_test(gaps_between_passes_are_no_intervals),
        cmocka_unit_test(limited_passes_tell_no_rate),
        cmocka_unit_test(instant_does_not_grow),
        cmocka_unit_test(comparing_everything_takes_as_long_again),
        cmocka_unit_test(clock_that_was_set_does_no_harm),
        cmocka_unit_test(now_follows_the_monotonic_clock),
        cmocka_unit_test(garbage_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Windows, cron lines and dates, also where local time jumps.  The zone is that of Berlin in 2026:
 * forwards on 29 March at 02:00, back on 25 October at 03:00. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "orchestrator/calendar.h"

#define S INT64_C(1000000000)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static void zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static int64_t at(const char *rfc3339)
{
    int64_t ns = -1;

    assert_int_equal(calendar_time_parse(rfc3339, &ns, NULL), 0);
    return ns;
}

static void assert_at(int64_t ns, const char *rfc3339)
{
    char text[CALENDAR_TEXT], wanted[CALENDAR_TEXT];

    calendar_time_text(ns, text);
    assert_string_equal(text, calendar_time_text(at(rfc3339), wanted));
}

static struct calendar_window window(const char *text)
{
    struct calendar_window w = {0};
    struct error *err = NULL;

    if (calendar_window_parse(text, &w, &err) < 0)
        fail_msg("%s", error_text(err));
    return w;
}

static int64_t cron_after(const char *line, const char *rfc3339)
{
    struct calendar_cron cron;
    struct error *err = NULL;

    if (calendar_cron_parse(line, &cron, &err) < 0)
        fail_msg("%s", error_text(err));
    return calendar_cron_next(&cron, at(rfc3339));
}

static void dates_are_read(void **state)
{
    assert_int_equal(at("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(at("2026-11-21T23:00:00+01:00"), at("2026-11-21T22:00:00Z"));
    assert_int_equal(at("2026-11-21t22:00:00.25z"), at("2026-11-21T22:00:00Z") + S / 4);
    assert_int_equal(at("2026-11-21 22:00:00-00:30"), at("2026-11-21T22:30:00Z"));
    assert_int_equal(at("2024-02-29T00:00:00Z"), at("2024-02-28T00:00:00Z") + DAY);
    assert_int_equal(at("2000-03-01T00:00:00Z") / S, 951868800);
    assert_int_equal(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
}

static void wrong_dates_are_refused(void **state)
{
    static const char *const wrong[] = {
        "", "now", "2026-11-21", "2026-11-21T22:00Z", "2026-11-21T22:00:00", "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2026-00-01T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-11-21T24:00:00Z", "2026-11-21T22:60:00Z", "2026-11-21T22:00:61Z",
        "2026-11-21T22:00:00.Z", "2026-11-21T22:00:00+1:00", "2026-11-21T22:00:00+24:00",
        "2026-11-21T22:00:00Zx", "02026-11-21T22:00:00Z", "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z", "-026-11-21T22:00:00Z"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        _cleanup_error_ struct error *err = NULL;
        int64_t ns = 7;

        if (calendar_time_parse(wrong[i], &ns, &err) != -EINVAL)
            fail_msg("'%s' was taken", wrong[i]);
        assert_int_equal(ns, 7);
        assert_non_null(strstr(error_text(err), "2026-11-21T22:00:00Z"));
    }
}

static void lengths_are_read(void **state)
{
    int64_t ns = 0;
    struct error *err = NULL;

    assert_int_equal(calendar_interval_parse("90s", &ns, NULL), 0);
    assert_int_equal(ns, 90 * S);
    assert_int_equal(calendar_interval_parse("15m", &ns, NULL), 0);
    assert_int_equal(ns, 15 * 60 * S);
    assert_int_equal(calendar_interval_parse("366d", &ns, NULL), 0);
    assert_int_equal(ns, 366 * DAY);
    assert_int_equal(calendar_interval_parse("367d", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("0s", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("99999999999999999999s", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("2", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("2hours", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("-2h", &ns, NULL), -EINVAL);
    assert_int_equal(calendar_interval_parse("1.5h", &ns, &err), -EINVAL);
    assert_non_null(strstr(error_text(err), "'1.5h'"));
    error_free(err);
}

static void windows_are_read(void **state)
{
    struct calendar_window w = window("mon-fri 22:00-05:00");

    assert_int_equal(w.days, 0x1f);
    assert_int_equal(w.begin_min, 22 * 60);
    assert_int_equal(w.end_min, 5 * 60);
    assert_false(w.utc);
    w = window("sat,sun 00:00-24:00 UTC");
    assert_int_equal(w.days, 0x60);
    assert_int_equal(w.end_min, 24 * 60);
    assert_true(w.utc);
    assert_int_equal(window("Fri-Mon,WED 1:05-2:00").days, 0x75);
    assert_int_equal(window("  01:00-02:30  ").days, 0x7f);
}

static void wrong_windows_are_refused(void **state)
{
    static const char *const wrong[] = {
        "", "mon", "22:00", "22:00-", "mon 22:00-25:00", "mon 24:00-05:00", "mon 22:60-23:00",
        "mon22:00-05:00", "mon- 22:00-05:00", "mon, 22:00-05:00", "xyz 22:00-05:00",
        "mon 22:00-05:00 CET", "mon 22:00-05:00UTCx", "mon 22:00-22:00", "mon 24:00-24:00",
        "mon 022:00-05:00", "mon 22:00 - 05:00", "mon 22:00-24:01"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct calendar_window w = {.days = 99};

        if (calendar_window_parse(wrong[i], &w, NULL) != -EINVAL)
            fail_msg("'%s' was taken", wrong[i]);
        assert_int_equal(w.days, 99);
    }
}

static void a_window_over_midnight_belongs_to_the_day_it_begins_on(void **state)
{
    struct calendar_window w = window("fri 22:00-05:00");

    zone(BERLIN);
    assert_true(calendar_window_contains(&w, at("2026-11-20T22:00:00+01:00"))); /* a Friday */
    assert_true(calendar_window_contains(&w, at("2026-11-21T04:59:59+01:00")));
    assert_false(calendar_window_contains(&w, at("2026-11-21T05:00:00+01:00")));
    assert_false(calendar_window_contains(&w, at("2026-11-21T22:30:00+01:00")));
    assert_false(calendar_window_contains(&w, at("2026-11-20T04:00:00+01:00")));
    assert_at(calendar_window_next(&w, at("2026-11-21T05:00:00+01:00")),
              "2026-11-27T22:00:00+01:00");
    assert_int_equal(calendar_window_next(&w, at("2026-11-21T01:23:45+01:00")),
                     at("2026-11-21T01:23:45+01:00"));
}

static void whole_days_meet(void **state)
{
    struct calendar_window w = window("sat,sun 00:00-24:00 UTC");

    assert_at(calendar_window_next(&w, at("2026-11-20T12:00:00Z")), "2026-11-21T00:00:00Z");
    assert_at(calendar_windows_end(&w, 1, at("2026-11-21T12:00:00Z")), "2026-11-23T00:00:00Z");
    assert_false(calendar_window_contains(&w, at("2026-11-23T00:00:00Z")));
    w = window("00:00-24:00 UTC");
    assert_int_equal(calendar_windows_end(&w, 1, at("2026-11-21T12:00:00Z")), CALENDAR_NEVER);
}

static void several_windows_are_one(void **state)
{
    struct calendar_window w[] = {window("mon 22:00-24:00 UTC"), window("tue 00:00-02:00 UTC"),
                                  window("thu 01:00-02:00 UTC")};

    assert_at(calendar_windows_end(w, 3, at("2026-11-16T23:00:00Z")), "2026-11-17T02:00:00Z");
    assert_at(calendar_windows_next(w, 3, at("2026-11-17T02:00:00Z")), "2026-11-19T01:00:00Z");
    assert_false(calendar_windows_contain(w, 3, at("2026-11-17T02:00:00Z")));
    assert_int_equal(calendar_windows_end(w, 3, at("2026-11-17T02:00:00Z")),
                     at("2026-11-17T02:00:00Z"));
    assert_true(calendar_windows_contain(NULL, 0, 5));
    assert_int_equal(calendar_windows_next(NULL, 0, 5), 5);
    assert_int_equal(calendar_windows_end(NULL, 0, 5), CALENDAR_NEVER);
}

static void windows_follow_the_jumps_of_local_time(void **state)
{
    struct calendar_window w = window("sat 22:00-05:00");
    int64_t before;

    zone(BERLIN);
    /* One hour less in spring, one more in autumn. */
    assert_at(calendar_windows_end(&w, 1, at("2026-03-28T21:00:00Z")), "2026-03-29T03:00:00Z");
    assert_at(calendar_windows_end(&w, 1, at("2026-10-24T20:00:00Z")), "2026-10-25T04:00:00Z");
    /* 02:30 does not exist on 29 March: it is 03:00 in summer time. */
    w = window("sun 02:30-04:00");
    assert_at(calendar_window_next(&w, at("2026-03-28T12:00:00Z")), "2026-03-29T01:00:00Z");
    w = window("sun 01:00-02:30");
    assert_at(calendar_windows_end(&w, 1, at("2026-03-29T00:30:00Z")), "2026-03-29T01:00:00Z");
    /* A window that the jump swallows comes a week later. */
    w = window("sun 02:10-02:50");
    before = at("2026-03-29T00:00:00Z");
    assert_at(calendar_window_next(&w, before), "2026-04-05T00:10:00Z");
    /* 02:30 comes twice on 25 October: the window ends at the first. */
    w = window("sun 01:00-02:30");
    assert_at(calendar_windows_end(&w, 1, at("2026-10-24T23:30:00Z")), "2026-10-25T00:30:00Z");
    assert_false(calendar_window_contains(&w, at("2026-10-25T01:15:00Z")));
}

static void windows_agree_with_a_walk_through_the_year(void **state)
{
    static const char *const texts[] = {"mon-fri 22:00-05:00", "sun 01:30-02:30", "02:00-03:00",
                                        "sat,sun 00:00-24:00", "wed 12:00-11:00 UTC"};

    zone(BERLIN);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct calendar_window w = window(texts[i]);
        int64_t t = at("2026-01-01T00:00:00Z"), end = t + 400 * DAY;

        for (int64_t expected = -1; t < end; t += HOUR / 4) {
            int64_t next = calendar_window_next(&w, t);

            assert_true(next >= t);
            assert_true(calendar_window_contains(&w, next));
            assert_int_equal(next == t, calendar_window_contains(&w, t));
            assert_false(next > t && calendar_window_contains(&w, next - 1));
            if (expected > t)
                assert_int_equal(next, expected);
            expected = next;
        }
    }
}

static void cron_lines_come_when_they_say(void **state)
{
    zone(BERLIN);
    assert_at(cron_after("*/15 * * * * UTC", "2026-11-21T22:00:00Z"), "2026-11-21T22:15:00Z");
    assert_at(cron_after("*/15 * * * * UTC", "2026-11-21T22:59:59Z"), "2026-11-21T23:00:00Z");
    assert_at(cron_after("0 22 * * *", "2026-11-21T21:00:00Z"), "2026-11-22T21:00:00Z");
    assert_at(cron_after("30 1 * jan,Mar-may mon-fri", "2026-11-21T22:00:00Z"),
              "2027-01-01T00:30:00Z");
    assert_at(cron_after("5/20 3 * * * UTC", "2026-11-21T03:05:00Z"), "2026-11-21T03:25:00Z");
    assert_at(cron_after("0 0 29 2 * UTC", "2026-11-21T22:00:00Z"), "2028-02-29T00:00:00Z");
    assert_at(cron_after("0 0 * * 7 UTC", "2026-11-21T22:00:00Z"), "2026-11-22T00:00:00Z");
    assert_at(cron_after("0 0 * * 0 UTC", "2026-11-21T22:00:00Z"), "2026-11-22T00:00:00Z");
    /* Both days given: either. */
    assert_at(cron_after("0 0 25 * mon UTC", "2026-11-21T22:00:00Z"), "2026-11-23T00:00:00Z");
    assert_at(cron_after("0 0 25 * mon UTC", "2026-11-23T22:00:00Z"), "2026-11-25T00:00:00Z");
}

static void cron_lines_follow_the_jumps_of_local_time(void **state)
{
    zone(BERLIN);
    /* 02:30 is missing on 29 March, and done at 03:00. */
    assert_at(cron_after("30 2 * * *", "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
    assert_at(cron_after("30 2 * * *", "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00Z");
    /* 02:30 comes twice on 25 October, and is done once … */
    assert_at(cron_after("30 2 * * *", "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
    assert_at(cron_after("30 2 * * *", "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
    /* … unless every hour is meant. */
    assert_at(cron_after("30 * * * *", "2026-10-25T00:30:00Z"), "2026-10-25T01:30:00Z");
    assert_at(cron_after("30 * * * *", "2026-10-25T01:30:00Z"), "2026-10-25T02:30:00Z");
    assert_at(cron_after("30 * * * *", "2026-03-29T00:30:00Z"), "2026-03-29T01:00:00Z");
}

static void wrong_cron_lines_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"", "minute"}, {"* * * *", "day of week"}, {"60 * * * *", "minute"},
        {"* 24 * * *", "hour"},
        {"* * 0 * *", "day of month"}, {"* * * 13 *", "month"}, {"* * * * 8", "day of week"},
        {"*/0 * * * *", "minute"}, {"5-1 * * * *", "minute"}, {"1, * * * *", "minute"},
        {"1x * * * *", "minute"}, {"* * * foo *", "month"}, {"* * * * * *", "five fields"},
        {"0 0 30 2 *", "never comes"}, {"0 0 31 feb,4 *", "never comes"}, {"@daily", "minute"},
        {"*/100 * * * *", "minute"}, {"1-2-3 * * * *", "minute"}};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct calendar_cron cron;

        if (calendar_cron_parse(wrong[i][0], &cron, &err) != -EINVAL)
            fail_msg("'%s' was taken", wrong[i][0]);
        if (!strstr(error_text(err), wrong[i][1]))
            fail_msg("'%s' is missing in: %s", wrong[i][1], error_text(err));
    }
}

static void rhythms_are_read(void **state)
{
    struct calendar_rhythm rhythm;
    _cleanup_error_ struct error *err = NULL;

    assert_int_equal(calendar_rhythm_parse("manual", &rhythm, NULL), 0);
    assert_int_equal(rhythm.kind, RHYTHM_MANUAL);
    assert_int_equal(calendar_rhythm_parse("adaptive", &rhythm, NULL), 0);
    assert_int_equal(rhythm.kind, RHYTHM_ADAPTIVE);
    assert_int_equal(calendar_rhythm_parse("2h", &rhythm, NULL), 0);
    assert_int_equal(rhythm.kind, RHYTHM_FIXED);
    assert_int_equal(rhythm.interval_ns, 2 * HOUR);
    assert_int_equal(calendar_rhythm_parse("cron: 0 */4 * * *", &rhythm, NULL), 0);
    assert_int_equal(rhythm.kind, RHYTHM_CRON);
    assert_int_equal(calendar_rhythm_parse("often", &rhythm, &err), -EINVAL);
    assert_non_null(strstr(error_text(err), "\"adaptive\", \"manual\""));
}

static void texts_are_for_people(void **state)
{
    char buf[CALENDAR_TEXT];

    zone(BERLIN);
    assert_string_equal(calendar_text(at("2026-11-21T21:00:00Z"), buf), "Sat 2026-11-21 22:00");
    assert_string_equal(calendar_text(CALENDAR_NEVER, buf), "never");
    assert_string_equal(calendar_length_text(45 * S, buf), "45 s");
    assert_string_equal(calendar_length_text(12 * 60 * S, buf), "12 min");
    assert_string_equal(calendar_length_text(3 * HOUR + 5 * 60 * S, buf), "3 h 05 min");
    assert_string_equal(calendar_length_text(52 * HOUR, buf), "2 d 4 h");
}

static void the_end_of_time_is_no_trap(void **state)
{
    struct calendar_window w = window("mon 00:00-24:00");
    struct calendar_cron cron;

    assert_int_equal(calendar_cron_parse("* * * * *", &cron, NULL), 0);
    assert_int_equal(calendar_window_next(&w, CALENDAR_NEVER - 1), CALENDAR_NEVER);
    assert_false(calendar_window_contains(&w, CALENDAR_NEVER - 1));
    assert_int_equal(calendar_cron_next(&cron, CALENDAR_NEVER - 1), CALENDAR_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(wrong_dates_are_refused),
        cmocka_unit_test(lengths_are_read),
        cmocka_unit_test(windows_are_read),
        cmocka_unit_test(wrong_windows_are_refused),
        cmocka_unit_test(a_window_over_midnight_belongs_to_the_day_it_begins_on),
        cmocka_unit_test(whole_days_meet),
        cmocka_unit_test(several_windows_are_one),
        cmocka_unit_test(windows_follow_the_jumps_of_local_time),
        cmocka_unit_test(windows_agree_with_a_walk_through_the_year),
        cmocka_unit_test(cron_lines_come_when_they_say),
        cmocka_unit_test(cron_lines_follow_the_jumps_of_local_time),
        cmocka_unit_test(wrong_cron_lines_are_refused),
        cmocka_unit_test(rhythms_are_read),
        cmocka_unit_test(texts_are_for_people),
        cmocka_unit_test(the_end_of_time_is_no_trap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

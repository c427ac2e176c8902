/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/calendar-inside.h"

#include <string.h>

/* How far ahead a begin is looked for: a window that a jump of the clock swallows comes again a week
 * later. */
#define DAYS_AHEAD 15
#define ALL_DAYS 0x7f

/* "mon", "mon-fri", joined by commas; ranges may go over Sunday. */
static bool take_days(const char **p, uint8_t *ret_days)
{
    uint8_t days = 0;

    do {
        int from = take_name(p, week_day_names, 7), to = from;

        if (from < 0)
            return false;
        if (**p == '-') {
            (*p)++;
            to = take_name(p, week_day_names, 7);
        }
        if (to < 0)
            return false;
        for (int day = from;; day = (day + 1) % 7) {
            days |= (uint8_t)(1u << day);
            if (day == to)
                break;
        }
    } while (**p == ',' && (*p)++);
    *ret_days = days;
    return true;
}

static bool take_minute(const char **p, uint16_t *ret_minute)
{
    unsigned hour, minute;

    if (!take_number(p, 2, &hour) || **p != ':')
        return false;
    (*p)++;
    if (!take_number(p, 2, &minute) || minute > 59 || hour * 60 + minute > DAY_MINUTES)
        return false;
    *ret_minute = (uint16_t)(hour * 60 + minute);
    return true;
}

int calendar_window_parse(const char *text, struct calendar_window *ret, struct error **err)
{
    struct calendar_window w = {.days = ALL_DAYS};
    const char *p = text;
    bool good = true;

    take_spaces(&p);
    if (*p && !strchr("0123456789", *p)) {
        good = take_days(&p, &w.days) && (*p == ' ' || *p == '\t');
        take_spaces(&p);
    }
    good = good && take_minute(&p, &w.begin_min) && *p == '-';
    if (good) {
        p++;
        good = take_minute(&p, &w.end_min);
        w.utc = take_utc(&p);
        take_spaces(&p);
    }
    if (!good || *p || w.begin_min == DAY_MINUTES)
        return error_set(err, EINVAL, "'%.60s' is not a window: write days and times, such as "
                         "\"mon-fri 22:00-05:00\", \"sat,sun 00:00-24:00 UTC\" or \"01:00-02:30\"",
                         text);
    if (w.begin_min == w.end_min)
        return error_set(err, EINVAL, "the window '%.60s' has no length: write 00:00-24:00 for a "
                         "whole day", text);
    *ret = w;
    return 0;
}

/* The window as it begins on that day.  False: it does not, or is empty. */
static bool window_on(const struct calendar_window *w, int64_t day, int64_t *ret_begin,
                      int64_t *ret_end)
{
    if (!(w->days & (1u << day_week_day(day))))
        return false;
    *ret_begin = day_time(day, w->begin_min, w->utc, NULL);
    *ret_end = day_time(day + (w->end_min <= w->begin_min), w->end_min, w->utc, NULL);
    return *ret_begin < *ret_end;
}

/* The latest end of this window's days that contain wall_ns; wall_ns: none does. */
static int64_t window_end(const struct calendar_window *w, int64_t wall_ns)
{
    int64_t today = day_of(wall_ns, w->utc), begin, end, latest = wall_ns;

    for (int64_t day = today - 2; day <= today + 1; day++)
        if (window_on(w, day, &begin, &end) && begin <= wall_ns && end > latest)
            latest = end;
    return latest;
}

bool calendar_window_contains(const struct calendar_window *w, int64_t wall_ns)
{
    return wall_ns < CALENDAR_LAST && window_end(w, wall_ns) > wall_ns;
}

int64_t calendar_window_next(const struct calendar_window *w, int64_t wall_ns)
{
    int64_t today = day_of(wall_ns, w->utc), begin, end;

    if (calendar_window_contains(w, wall_ns))
        return wall_ns;
    for (int64_t day = today - 1; wall_ns < CALENDAR_LAST && day <= today + DAYS_AHEAD; day++)
        if (window_on(w, day, &begin, &end) && begin > wall_ns)
            return begin;
    return CALENDAR_NEVER;
}

bool calendar_windows_contain(const struct calendar_window *w, size_t count, int64_t wall_ns)
{
    for (size_t i = 0; i < count; i++)
        if (calendar_window_contains(&w[i], wall_ns))
            return true;
    return count == 0;
}

int64_t calendar_windows_next(const struct calendar_window *w, size_t count, int64_t wall_ns)
{
    int64_t first = count ? CALENDAR_NEVER : wall_ns;

    for (size_t i = 0; i < count; i++) {
        int64_t next = calendar_window_next(&w[i], wall_ns);

        if (next < first)
            first = next;
    }
    return first;
}

int64_t calendar_windows_end(const struct calendar_window *w, size_t count, int64_t wall_ns)
{
    int64_t end = wall_ns;

    if (count == 0)
        return CALENDAR_NEVER;
    if (wall_ns >= CALENDAR_LAST)
        return wall_ns;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            int64_t later = window_end(&w[i], end);

            more |= later > end;
            end = later;
        }
        if (end - wall_ns > DAYS_AHEAD * DAY_S * CALENDAR_S)
            return CALENDAR_NEVER; /* more than a week without a gap: there is none */
    }
    return end;
}

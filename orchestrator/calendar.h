/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as admins write them: windows of a week, cron lines, dates, lengths of time.
 *
 * All instants are wall clock nanoseconds since 1970 (UTC).  What has no zone of its own is local
 * time of the process (TZ, /etc/localtime).  Where local time jumps:
 *   - forwards: a time of day that does not exist is the first instant after the jump;
 *   - backwards: a time of day that exists twice is the first of the two.  A window thus ends at the
 *     first one: it is never longer than written.  A cron line for every hour also counts the second.
 *
 * Behind the year 2199 nothing begins any more.  Pure but for the zone; any thread.
 * Errors are EINVAL and a sentence with the text and what is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"

#define CALENDAR_NEVER INT64_MAX

/* "mon-fri 22:00-05:00", "sat,sun 00:00-24:00 UTC", "01:00-02:30" (each day).  An end that is not
 * after the begin lies on the next day; the days are those on which the window begins. */
struct calendar_window {
    uint8_t days;         /* bit 0: Monday … bit 6: Sunday */
    uint16_t begin_min;   /* minutes after midnight, 0..1439 */
    uint16_t end_min;     /* 0..1440 */
    bool utc;
};

int calendar_window_parse(const char *text, struct calendar_window *ret, struct error **err);
bool calendar_window_contains(const struct calendar_window *w, int64_t wall_ns);

/* When it begins next; wall_ns itself when inside. */
int64_t calendar_window_next(const struct calendar_window *w, int64_t wall_ns);

/* The same for several windows together: inside one of them is inside; none at all (count 0) is
 * always inside. */
bool calendar_windows_contain(const struct calendar_window *w, size_t count, int64_t wall_ns);
int64_t calendar_windows_next(const struct calendar_window *w, size_t count, int64_t wall_ns);

/* When the windows that wall_ns lies in are over, those that follow without a gap included;
 * CALENDAR_NEVER when they cover everything, wall_ns itself when outside. */
int64_t calendar_windows_end(const struct calendar_window *w, size_t count, int64_t wall_ns);

/* "90s" "15m" "2h" "1d": 1 s to 366 d. */
int calendar_interval_parse(const char *text, int64_t *ret_ns, struct error **err);

/* The five fields of crontab(5): minute, hour, day of month, month, day of week; "*", numbers, names
 * (jan, mon), ranges, steps and lists; "UTC" may follow.  When days of month and days of week are
 * both given, either will do. */
struct calendar_cron {
    uint64_t minutes;
    uint32_t hours, month_days; /* month_days: bits 1..31 */
    uint16_t months;            /* bits 1..12 */
    uint8_t week_days;          /* as in struct calendar_window */
    bool any_month_day, any_week_day, utc;
};

/* text is without the leading "cron:".  A line that never comes (30 February) is refused. */
int calendar_cron_parse(const char *text, struct calendar_cron *ret, struct error **err);

/* The first time after wall_ns. */
int64_t calendar_cron_next(const struct calendar_cron *cron, int64_t wall_ns);

/* RFC 3339, "2026-11-21T22:00:00Z", "2026-11-21T23:00:00.5+01:00"; the years 1970 to 2199.  The
 * zone must be there. */
int calendar_time_parse(const char *rfc3339, int64_t *ret_wall_ns, struct error **err);

/* How often a migration is synced: what `sync_interval` of a migration holds. */
enum calendar_rhythm_kind {
    RHYTHM_MANUAL,   /* "manual": only when asked for */
    RHYTHM_ADAPTIVE, /* "adaptive" */
    RHYTHM_FIXED,    /* "15m" */
    RHYTHM_CRON      /* "cron: 0 4 * * *" */
};

struct calendar_rhythm {
    enum calendar_rhythm_kind kind;
    int64_t interval_ns;       /* RHYTHM_FIXED */
    struct calendar_cron cron; /* RHYTHM_CRON */
};

int calendar_rhythm_parse(const char *text, struct calendar_rhythm *ret, struct error **err);

#define CALENDAR_TEXT 40

/* For people, local time: "Sat 2026-11-21 22:00"; "never".  Returns buf. */
char *calendar_text(int64_t wall_ns, char buf[CALENDAR_TEXT]);

/* For programs: "2026-11-21T22:00:00Z".  Returns buf. */
char *calendar_time_text(int64_t wall_ns, char buf[CALENDAR_TEXT]);

/* For people: "45 s", "12 min", "3 h 05 min", "2 d 4 h".  Returns buf. */
char *calendar_length_text(int64_t ns, char buf[CALENDAR_TEXT]);

/* SPDX-License-Identifier: Apache-2.0 */
/* Days and times of day, for the calendar*.c files alone.  A day is a number of days since
 * 1970-01-01 of some local calendar. */
#pragma once

#include "orchestrator/calendar.h"

#define CALENDAR_S INT64_C(1000000000)
#define DAY_S INT64_C(86400)
#define DAY_MINUTES 1440
#define CALENDAR_LAST (INT64_C(7258118400) * CALENDAR_S) /* the year 2200 */

/* As in H. Hinnant, "chrono-compatible low-level date algorithms": proleptic Gregorian. */
int64_t day_from_date(int64_t year, unsigned month, unsigned day);
void day_to_date(int64_t day, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

/* 0: Monday. */
unsigned day_week_day(int64_t day);

/* The day that wall_ns lies on, by UTC or local time. */
int64_t day_of(int64_t wall_ns, bool utc);

/* The instant of a time of day (see calendar.h about jumps), in ns.  With ret_second: the second one
 * where there are two, otherwise the same. */
int64_t day_time(int64_t day, unsigned minute, bool utc, int64_t *ret_second);

/* A number of at most `digits` digits; moves *p behind it.  False: none, or a longer one. */
bool take_number(const char **p, unsigned digits, unsigned *ret);

/* The index of the name *p begins with (three letters, either case), or -1; moves *p behind it. */
int take_name(const char **p, const char *const *names, int count);

extern const char *const week_day_names[7];

/* Moves over " UTC" at the end; true when it was there. */
bool take_utc(const char **p);
void take_spaces(const char **p);

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/calendar-inside.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/str.h"

const char *const week_day_names[7] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

int64_t day_from_date(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void day_to_date(int64_t day, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;

    *ret_day = (unsigned)(of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (unsigned)(m < 10 ? m + 3 : m - 9);
    *ret_year = y + era * 400 + (*ret_month <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

unsigned day_week_day(int64_t day)
{
    return (unsigned)(((day + 3) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

/* Seconds that local time is ahead of UTC at an instant. */
static int64_t offset_at(int64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;

    return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

int64_t day_of(int64_t wall_ns, bool utc)
{
    int64_t s = floor_div(wall_ns, CALENDAR_S);

    return floor_div(s + (utc ? 0 : offset_at(s)), DAY_S);
}

/* The first second at or after `from` whose offset is not `offset`; there is one until `to`. */
static int64_t jump_after(int64_t from, int64_t to, int64_t offset)
{
    while (from < to) {
        int64_t middle = from + (to - from) / 2;

        if (offset_at(middle) == offset)
            from = middle + 1;
        else
            to = middle;
    }
    return to;
}

int64_t day_time(int64_t day, unsigned minute, bool utc, int64_t *ret_second)
{
    int64_t s = day * DAY_S + (int64_t)minute * 60, before, after, first, second;

    before = utc ? 0 : offset_at(s - DAY_S);
    after = utc ? 0 : offset_at(s + DAY_S);
    first = s - before;
    second = s - after;
    if (before != after) {
        bool was = offset_at(first) == before, is = offset_at(second) == after;

        if (!was && !is)
            first = second = jump_after(s - DAY_S, s + DAY_S, before);
        else if (!was)
            first = second;
        else if (!is)
            second = first;
    }
    if (ret_second)
        *ret_second = (first < second ? second : first) * CALENDAR_S;
    return (first < second ? first : second) * CALENDAR_S;
}

bool take_number(const char **p, unsigned digits, unsigned *ret)
{
    unsigned n = 0, value = 0;

    for (; isdigit((unsigned char)(*p)[n]); n++) {
        if (n == digits)
            return false;
        value = value * 10 + (unsigned)((*p)[n] - '0');
    }
    *p += n;
    *ret = value;
    return n > 0;
}

int take_name(const char **p, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strncasecmp(*p, names[i], 3) == 0) {
            *p += 3;
            return i;
        }
    return -1;
}

void take_spaces(const char **p)
{
    while (**p == ' ' || **p == '\t')
        (*p)++;
}

bool take_utc(const char **p)
{
    const char *at = *p;

    take_spaces(&at);
    if (at == *p || strncasecmp(at, "UTC", 3) != 0)
        return false;
    *p = at + 3;
    return true;
}

int calendar_interval_parse(const char *text, int64_t *ret_ns, struct error **err)
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, DAY_S};
    const char *p = text, *unit;
    unsigned n;

    if (take_number(&p, 8, &n) && *p && (unit = strchr(units, *p)) && !p[1]) {
        int64_t s = n * seconds[unit - units];

        if (s >= 1 && s <= 366 * DAY_S) {
            *ret_ns = s * CALENDAR_S;
            return 0;
        }
    }
    return error_set(err, EINVAL, "'%.60s' is not a length of time: write a number and s, m, h or "
                     "d, such as \"90s\" or \"2h\", from 1s to 366d", text);
}

int calendar_rhythm_parse(const char *text, struct calendar_rhythm *ret, struct error **err)
{
    struct calendar_rhythm rhythm = {0};
    int r;

    if (strcmp(text, "manual") == 0) {
        rhythm.kind = RHYTHM_MANUAL;
    } else if (strcmp(text, "adaptive") == 0) {
        rhythm.kind = RHYTHM_ADAPTIVE;
    } else if (str_starts(text, "cron:")) {
        rhythm.kind = RHYTHM_CRON;
        r = calendar_cron_parse(text + strlen("cron:"), &rhythm.cron, err);
        if (r < 0)
            return r;
    } else {
        rhythm.kind = RHYTHM_FIXED;
        if (calendar_interval_parse(text, &rhythm.interval_ns, NULL) < 0)
            return error_set(err, EINVAL, "'%.60s' does not say how often to sync: write "
                             "\"adaptive\", \"manual\", a length of time from 1s to 366d such as "
                             "\"15m\", or \"cron: MINUTE HOUR DAY MONTH WEEKDAY\"", text);
    }
    *ret = rhythm;
    return 0;
}

static bool take_char(const char **p, const char *allowed)
{
    if (!**p || !strchr(allowed, **p))
        return false;
    (*p)++;
    return true;
}

/* Exactly so many digits. */
static bool take_digits(const char **p, unsigned digits, unsigned *ret)
{
    const char *begin = *p;

    return take_number(p, digits, ret) && *p == begin + digits;
}

static bool take_date(const char **p, int64_t *ret_day)
{
    unsigned year, month, day, real_month, real_day;
    int64_t real_year;

    if (!take_digits(p, 4, &year) || !take_char(p, "-") || !take_digits(p, 2, &month) ||
        !take_char(p, "-") || !take_digits(p, 2, &day))
        return false;
    if (year < 1970 || year > 2199 || month < 1 || month > 12 || day < 1)
        return false;
    *ret_day = day_from_date(year, month, day);
    day_to_date(*ret_day, &real_year, &real_month, &real_day);
    return real_day == day && real_month == month; /* no 30 February */
}

/* HH:MM:SS[.fraction] as ns. */
static bool take_time(const char **p, int64_t *ret_ns)
{
    unsigned hour, minute, second;
    int64_t ns = 0;

    if (!take_digits(p, 2, &hour) || !take_char(p, ":") || !take_digits(p, 2, &minute) ||
        !take_char(p, ":") || !take_digits(p, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second */
        return false;
    if (take_char(p, ".")) {
        int64_t unit = CALENDAR_S;

        if (!isdigit((unsigned char)**p))
            return false;
        for (; isdigit((unsigned char)**p); (*p)++) {
            unit /= 10;
            ns += (**p - '0') * unit;
        }
    }
    *ret_ns = ((int64_t)hour * 3600 + minute * 60 + second) * CALENDAR_S + ns;
    return true;
}

static bool take_zone(const char **p, int64_t *ret_s)
{
    bool west = **p == '-';
    unsigned hour, minute;

    if (take_char(p, "Zz")) {
        *ret_s = 0;
        return true;
    }
    if (!take_char(p, "+-") || !take_digits(p, 2, &hour) || !take_char(p, ":") ||
        !take_digits(p, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ret_s = ((int64_t)hour * 3600 + minute * 60) * (west ? -1 : 1);
    return true;
}

int calendar_time_parse(const char *rfc3339, int64_t *ret_wall_ns, struct error **err)
{
    const char *p = rfc3339;
    int64_t day, ns, zone_s;

    if (!take_date(&p, &day) || !take_char(&p, "Tt ") || !take_time(&p, &ns) ||
        !take_zone(&p, &zone_s) || *p)
        return error_set(err, EINVAL, "'%.60s' is not a time: write it as 2026-11-21T22:00:00Z or "
                         "2026-11-21T23:00:00+01:00 (the years 1970 to 2199)", rfc3339);
    *ret_wall_ns = (day * DAY_S - zone_s) * CALENDAR_S + ns;
    return 0;
}

char *calendar_text(int64_t wall_ns, char buf[CALENDAR_TEXT])
{
    time_t t = (time_t)floor_div(wall_ns, CALENDAR_S);
    struct tm tm;

    if (wall_ns == CALENDAR_NEVER || !localtime_r(&t, &tm) ||
        !strftime(buf, CALENDAR_TEXT, "%a %Y-%m-%d %H:%M", &tm))
        snprintf(buf, CALENDAR_TEXT, "never");
    return buf;
}

char *calendar_time_text(int64_t wall_ns, char buf[CALENDAR_TEXT])
{
    time_t t = (time_t)floor_div(wall_ns, CALENDAR_S);
    struct tm tm;

    if (wall_ns == CALENDAR_NEVER || !gmtime_r(&t, &tm) ||
        !strftime(buf, CALENDAR_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(buf, CALENDAR_TEXT, "never");
    return buf;
}

char *calendar_length_text(int64_t ns, char buf[CALENDAR_TEXT])
{
    long long s = (ns + CALENDAR_S / 2) / CALENDAR_S;

    if (ns == CALENDAR_NEVER)
        snprintf(buf, CALENDAR_TEXT, "for ever");
    else if (s < 90)
        snprintf(buf, CALENDAR_TEXT, "%lld s", s);
    else if (s < 3600)
        snprintf(buf, CALENDAR_TEXT, "%lld min", (s + 30) / 60);
    else if (s < 48 * 3600)
        snprintf(buf, CALENDAR_TEXT, "%lld h %02lld min", s / 3600, s % 3600 / 60);
    else
        snprintf(buf, CALENDAR_TEXT, "%lld d %lld h", s / DAY_S, s % DAY_S / 3600);
    return buf;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/calendar-inside.h"

/* 29 February on a given day of the week comes once in 28 years, or in 40 across 2100. */
#define DAYS_MAX (366 * 41)
#define HOURS_ALL 0xffffffu

static const char *const month_names[12] = {"jan", "feb", "mar", "apr", "may", "jun",
                                            "jul", "aug", "sep", "oct", "nov", "dec"};

struct cron_field {
    const char *what;
    unsigned min, max;
    const char *const *names;
    int name_count;
    unsigned first_name; /* the number of names[0] */
};

enum { MINUTE, HOUR, MONTH_DAY, MONTH, WEEK_DAY, FIELD_COUNT };

static const struct cron_field fields[FIELD_COUNT] = {
    [MINUTE] = {"minute", 0, 59, NULL, 0, 0},
    [HOUR] = {"hour", 0, 23, NULL, 0, 0},
    [MONTH_DAY] = {"day of month", 1, 31, NULL, 0, 0},
    [MONTH] = {"month", 1, 12, month_names, 12, 1},
    [WEEK_DAY] = {"day of week", 0, 7, week_day_names, 7, 1}, /* 0 and 7: Sunday */
};

static bool take_value(const char **p, const struct cron_field *f, unsigned *ret)
{
    int name = take_name(p, f->names, f->name_count);

    if (name >= 0) {
        *ret = (unsigned)name + f->first_name;
        return true;
    }
    return take_number(p, 2, ret) && *ret >= f->min && *ret <= f->max;
}

/* One of the parts between commas: "*", "5", "1-5", each with "/STEP". */
static bool take_part(const char **p, const struct cron_field *f, uint64_t *bits, bool *star)
{
    unsigned from = f->min, to = f->max, step = 1;
    bool range = true;

    if (**p == '*') {
        (*p)++;
        *star = true;
    } else {
        if (!take_value(p, f, &from))
            return false;
        range = **p == '-';
        to = from;
        if (range) {
            (*p)++;
            if (!take_value(p, f, &to) || to < from)
                return false;
        }
    }
    if (**p == '/') {
        (*p)++;
        if (!range)
            to = f->max; /* "5/10": from 5 on */
        if (!take_number(p, 2, &step) || step == 0)
            return false;
    }
    for (unsigned value = from; value <= to; value += step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static bool take_field(const char **p, const struct cron_field *f, uint64_t *ret_bits,
                       bool *ret_star)
{
    *ret_bits = 0;
    *ret_star = false;
    take_spaces(p);
    for (;;) {
        if (!take_part(p, f, ret_bits, ret_star))
            return false;
        if (**p != ',')
            return **p == ' ' || **p == '\t' || **p == '\0';
        (*p)++;
    }
}

/* Some month has one of the days. */
static bool comes(const struct calendar_cron *cron)
{
    static const unsigned lengths[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (cron->any_month_day || !cron->any_week_day)
        return true;
    for (unsigned month = 1; month <= 12; month++)
        if ((cron->months & (1u << month)) &&
            (cron->month_days & ((UINT64_C(2) << lengths[month - 1]) - 1)))
            return true;
    return false;
}

int calendar_cron_parse(const char *text, struct calendar_cron *ret, struct error **err)
{
    struct calendar_cron cron = {0};
    uint64_t bits[FIELD_COUNT];
    bool star[FIELD_COUNT];
    const char *p = text;

    for (int i = 0; i < FIELD_COUNT; i++)
        if (!take_field(&p, &fields[i], &bits[i], &star[i]))
            return error_set(err, EINVAL, "'%.60s' is not a cron line: its %s must be numbers from "
                             "%u to %u%s, \"*\", ranges, steps or lists of them (MINUTE HOUR DAY "
                             "MONTH WEEKDAY)", text, fields[i].what, fields[i].min, fields[i].max,
                             fields[i].names ? ", names of three letters" : "");
    cron.utc = take_utc(&p);
    take_spaces(&p);
    if (*p)
        return error_set(err, EINVAL, "'%.60s' is not a cron line: after its five fields (MINUTE "
                         "HOUR DAY MONTH WEEKDAY) only \"UTC\" may follow", text);
    cron.minutes = bits[MINUTE];
    cron.hours = (uint32_t)bits[HOUR];
    cron.month_days = (uint32_t)bits[MONTH_DAY];
    cron.months = (uint16_t)bits[MONTH];
    /* From Sunday = 0 or 7 to Monday = bit 0. */
    cron.week_days = (uint8_t)((bits[WEEK_DAY] >> 1) | ((bits[WEEK_DAY] & 1) << 6)) & 0x7f;
    cron.any_month_day = star[MONTH_DAY];
    cron.any_week_day = star[WEEK_DAY];
    if (!comes(&cron))
        return error_set(err, EINVAL, "the cron line '%.60s' never comes: no such month has that "
                         "day", text);
    *ret = cron;
    return 0;
}

static bool day_fits(const struct calendar_cron *cron, int64_t day)
{
    bool month_day, week_day;
    unsigned month, number;
    int64_t year;

    day_to_date(day, &year, &month, &number);
    if (!(cron->months & (1u << month)))
        return false;
    month_day = cron->month_days & (UINT32_C(1) << number);
    week_day = cron->week_days & (1u << day_week_day(day));
    /* As in crontab(5): two restrictions are alternatives. */
    if (cron->any_month_day || cron->any_week_day)
        return month_day && week_day;
    return month_day || week_day;
}

/* The first time of that day after wall_ns, or CALENDAR_NEVER. */
static int64_t first_on(const struct calendar_cron *cron, int64_t day, int64_t wall_ns)
{
    bool plain = cron->utc || day_time(day + 1, 0, false, NULL) - day_time(day, 0, false, NULL) ==
                                  DAY_S * CALENDAR_S;
    int64_t midnight = day_time(day, 0, cron->utc, NULL), first = CALENDAR_NEVER;

    for (unsigned minute = 0; minute < DAY_MINUTES; minute++) {
        int64_t at, second;

        if (!(cron->hours & (1u << minute / 60)) ||
            !(cron->minutes & (UINT64_C(1) << minute % 60)))
            continue;
        at = second = midnight + (int64_t)minute * 60 * CALENDAR_S;
        if (!plain)
            at = day_time(day, minute, false, &second);
        if (at <= wall_ns && cron->hours == HOURS_ALL)
            at = second;
        if (at > wall_ns && at < first)
            first = at;
        if (plain && first != CALENDAR_NEVER)
            break;
    }
    return first;
}

int64_t calendar_cron_next(const struct calendar_cron *cron, int64_t wall_ns)
{
    int64_t today = day_of(wall_ns, cron->utc);

    for (int64_t day = today; wall_ns < CALENDAR_LAST && day <= today + DAYS_MAX; day++) {
        int64_t at = day_fits(cron, day) ? first_on(cron, day, wall_ns) : CALENDAR_NEVER;

        if (at != CALENDAR_NEVER)
            return at;
    }
    return CALENDAR_NEVER;
}

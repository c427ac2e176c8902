/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/forecast.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "orchestrator/fields.h"
#include "orchestrator/journal.h"

#define WIDEN_LOW 0.75
#define WIDEN_HIGH 1.5
#define SECONDS_MAX (365 * 86400.0) /* more is no measurement */

static const struct forecast_range unknown = {-1, -1, -1};

/* The last measurements of one thing. */
struct samples {
    double v[FORECAST_SAMPLES];
    unsigned n;
};

static void sample_add(struct samples *s, double value)
{
    if (!(value >= 0 && value <= 1e15))
        return;
    if (s->n == FORECAST_SAMPLES) {
        memmove(s->v, s->v + 1, sizeof(s->v) - sizeof(s->v[0]));
        s->n--;
    }
    s->v[s->n++] = value;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct forecast_range samples_range(const struct samples *s)
{
    double v[FORECAST_SAMPLES];

    if (s->n == 0)
        return unknown;
    if (s->n == 1)
        return (struct forecast_range){WIDEN_LOW * s->v[0], s->v[0], WIDEN_HIGH * s->v[0]};
    memcpy(v, s->v, sizeof(v));
    qsort(v, s->n, sizeof(v[0]), compare_doubles);
    return (struct forecast_range){v[0], (v[(s->n - 1) / 2] + v[s->n / 2]) / 2, v[s->n - 1]};
}

static bool is_known(const struct forecast_range *r)
{
    return r->expected >= 0;
}

static struct forecast_range constant(double value)
{
    return (struct forecast_range){value, value, value};
}

/* Both known: their sum; one: that one. */
static struct forecast_range range_sum(struct forecast_range a, struct forecast_range b)
{
    if (!is_known(&a) || !is_known(&b))
        return is_known(&a) ? a : b;
    return (struct forecast_range){a.low + b.low, a.expected + b.expected, a.high + b.high};
}

/* Seconds from one stamped row to another; < 0 when they cannot be told. */
static double rows_apart(const json_t *a, const json_t *b, const char *wall, const char *mono)
{
    const char *boot_a = field_string(a, "boot_id", ""), *boot_b = field_string(b, "boot_id", "");
    bool same = *boot_a && strcmp(boot_a, boot_b) == 0;
    const json_t *from = json_object_get(a, same ? mono : wall);
    const json_t *to = json_object_get(b, same ? mono : wall);
    double seconds;

    if (!json_is_integer(from) || !json_is_integer(to))
        return -1;
    seconds = (double)json_integer_value(to) - (double)json_integer_value(from);
    seconds /= (double)NS_PER_S;
    return seconds <= SECONDS_MAX ? seconds : -1;
}

/* ---- what earlier tries of the cutover took ---- */

struct tries {
    struct samples stopping, final_sync, instant_flip, morphing, flipping, defining, starting;
};

static bool ended_badly(const char *to)
{
    static const char *const bad[] = {"failed", "reverting", "cancelling", "rolling-back"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (strcmp(to, bad[i]) == 0)
            return true;
    return false;
}

static struct samples *samples_of(struct tries *t, const char *state)
{
    const struct {
        const char *state;
        struct samples *samples;
    } map[] = {{"stopping", &t->stopping},         {"final-sync", &t->final_sync},
               {"instant-flip", &t->instant_flip}, {"morphing", &t->morphing},
               {"flipping", &t->flipping},         {"defining", &t->defining},
               {"starting", &t->starting}};

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (strcmp(map[i].state, state) == 0)
            return map[i].samples;
    return NULL;
}

static void tries_take(const json_t *transitions, struct tries *t)
{
    size_t n = json_array_size(transitions);

    for (size_t i = 0; i + 1 < n; i++) {
        const json_t *row = json_array_get(transitions, i);
        const json_t *next = json_array_get(transitions, i + 1);
        const char *state = field_string(row, "to_state", "");
        const char *to = field_string(next, "to_state", "");
        struct samples *samples = samples_of(t, state);

        /* Told to stop: what was before did not cost downtime. */
        if (!samples || strcmp(state, to) == 0 || ended_badly(to) ||
            strcmp(state, field_string(next, "from_state", "")) != 0)
            continue;
        sample_add(samples, rows_apart(row, next, "wall_ns", "mono_ns"));
    }
}

static struct samples rehearsed(const json_t *rehearsals, const char *field)
{
    struct samples s = {0};

    /* Latest first: the last samples are to be the latest. */
    for (size_t i = json_array_size(rehearsals); i > 0; i--) {
        const json_t *result = json_object_get(json_array_get(rehearsals, i - 1), "result");
        const json_t *value = json_object_get(result, field);

        if (json_is_number(value))
            sample_add(&s, json_number_value(value));
    }
    return s;
}

static struct forecast_range tried_or_rehearsed(const struct samples *tries,
                                                const json_t *rehearsals, const char *field)
{
    struct samples s = tries->n ? *tries : rehearsed(rehearsals, field);

    return samples_range(&s);
}

/* ---- what the passes tell ---- */

struct pass {
    const json_t *row;
    double bytes, seconds; /* seconds <= 0: was not measured */
    double size;           /* of an initial one: the bytes of all disks */
    bool initial, full;    /* full: everything was compared */
    bool slow;             /* limited, as a cutover is not; its rate says nothing */
};

struct measured {
    struct samples rate;    /* bytes per second, without the fixed cost */
    struct samples dirty;   /* bytes per second between two passes */
    struct samples freeze;  /* seconds until a pass may copy */
    struct samples compare; /* seconds of passes that compared everything */
    double copy_fixed;      /* seconds of copying nothing; < 0: not known */
    double size;            /* bytes of the disks; 0: not known */
};

static double result_sum(const json_t *row, const char *field)
{
    const json_t *disks = json_object_get(row, "result");
    double sum = 0;

    for (size_t i = 0; i < json_array_size(disks); i++) {
        double v = json_number_value(json_object_get(json_array_get(disks, i), field));

        sum += v > 0 ? v : 0;
    }
    return sum;
}

/* False: it was not committed, nothing can be learned from it. */
static bool pass_read(const json_t *row, struct pass *p)
{
    const char *kind = field_string(row, "kind", "");
    double seconds = json_number_value(json_object_get(row, "seconds"));

    if (!json_is_integer(json_object_get(row, "generation")))
        return false;
    *p = (struct pass){.row = row, .initial = strcmp(kind, "initial") == 0};
    p->full = !p->initial && json_is_string(json_object_get(row, "why_full"));
    p->slow = field_integer(row, "limited", 0) != 0;
    p->bytes = result_sum(row, "bytes");
    p->size = p->initial ? result_sum(row, "changed_bytes") : 0;
    if (seconds > 0 && seconds <= SECONDS_MAX && json_is_array(json_object_get(row, "result")))
        p->seconds = seconds;
    return true;
}

/* Where there are others, passes that were slowed down tell nothing of the rate. */
static void mark_slow(struct pass *passes, size_t count)
{
    bool others = false;

    for (size_t i = 0; i < count; i++)
        others |= passes[i].seconds > 0 && passes[i].bytes > 0 && !passes[i].slow;
    for (size_t i = 0; i < count; i++)
        passes[i].slow &= others;
}

/* False: nothing of its time can be told from its bytes. */
static bool tells_rate(const struct pass *p)
{
    return p->seconds > 0 && !p->full && !p->slow;
}

/* seconds = fixed + bytes / rate, by least squares over passes that compared nothing.  False: they
 * are too few, too alike, or make no sense. */
static bool fit_line(const struct pass *passes, size_t count, bool with_initial, double *ret_fixed,
                     double *ret_rate)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, min = DBL_MAX, max = 0, slope, fixed;

    for (size_t i = 0; i < count; i++) {
        const struct pass *p = &passes[i];

        if (!tells_rate(p) || (p->initial && !with_initial))
            continue;
        n++;
        sx += p->bytes;
        sy += p->seconds;
        sxx += p->bytes * p->bytes;
        sxy += p->bytes * p->seconds;
        min = MIN(min, p->bytes);
        max = MAX(max, p->bytes);
    }
    if (n < 3 || max < 2 * min || max <= 0)
        return false;
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    fixed = (sy - slope * sx) / n;
    if (!(slope > 0) || fixed < 0)
        return false;
    *ret_fixed = fixed;
    *ret_rate = 1 / slope;
    return true;
}

/* The rate of the largest pass; what the smallest took beyond that is fixed.  Of one pass alone it
 * cannot be told. */
static bool fit_ends(const struct pass *passes, size_t count, double *ret_fixed, double *ret_rate)
{
    const struct pass *largest = NULL, *smallest = NULL;

    for (size_t i = 0; i < count; i++) {
        const struct pass *p = &passes[i];

        if (!tells_rate(p))
            continue;
        if (p->bytes > 0 && (!largest || p->bytes > largest->bytes))
            largest = p;
        if (!smallest || p->bytes <= smallest->bytes)
            smallest = p;
    }
    if (!largest)
        return false;
    *ret_rate = largest->bytes / largest->seconds;
    *ret_fixed = largest == smallest
                     ? -1 : MAX(0, smallest->seconds - smallest->bytes / *ret_rate);
    return true;
}

/* How fast single passes were, the fixed cost taken off: gives the spread. */
static void rates_take(const struct pass *passes, size_t count, double rate, struct measured *m)
{
    for (size_t i = 0; i < count; i++) {
        const struct pass *p = &passes[i];
        double fixed = MAX(0, m->copy_fixed), copying = p->seconds - fixed;

        /* Where the fixed cost is most of it the rest says nothing. */
        if (tells_rate(p) && p->bytes > 0 && copying > fixed)
            sample_add(&m->rate, p->bytes / copying);
    }
    if (m->rate.n == 0)
        sample_add(&m->rate, rate);
}

/* False: passes between the two are not in the list. */
static bool follows(const struct pass *p, const struct pass *before)
{
    const char *since = field_string(p->row, "since", NULL);
    const char *snapshot = field_string(before->row, "snapshot", NULL);

    return !since || !snapshot || strcmp(since, snapshot) == 0;
}

static void measure(const struct pass *passes, size_t count, struct measured *m)
{
    double rate = 0;

    m->copy_fixed = -1;
    if (fit_line(passes, count, false, &m->copy_fixed, &rate) ||
        fit_line(passes, count, true, &m->copy_fixed, &rate) ||
        fit_ends(passes, count, &m->copy_fixed, &rate))
        rates_take(passes, count, rate, m);
    for (size_t i = 0; i < count; i++) {
        const struct pass *p = &passes[i];
        const json_t *freeze = json_object_get(p->row, "freeze_s");
        double apart;

        if (p->size > 0)
            m->size = p->size;
        if (json_is_number(freeze))
            sample_add(&m->freeze, json_number_value(freeze));
        if (p->full && p->seconds > 0)
            sample_add(&m->compare, p->seconds);
        if (i == 0 || p->initial || p->full || p->seconds <= 0 || !follows(p, &passes[i - 1]))
            continue;
        apart = rows_apart(passes[i - 1].row, p->row, "started_ns", "started_mono_ns");
        if (apart > 0)
            sample_add(&m->dirty, p->bytes / apart);
    }
}

/* Seconds of copying `bytes`: the least with the best of rates and so on. */
static struct forecast_range copying(struct forecast_range bytes, struct forecast_range rate)
{
    return (struct forecast_range){bytes.low / rate.high, bytes.expected / rate.expected,
                                   bytes.high / rate.low};
}

/* What a pass costs that copies nothing: the freeze, and what the engine does around the copying.
 * Passes that were journalled before the freeze was measured tell the second alone. */
static struct forecast_range fixed_cost(const struct measured *m)
{
    struct forecast_range freeze = samples_range(&m->freeze);

    return range_sum(freeze, m->copy_fixed >= 0 ? constant(m->copy_fixed) : unknown);
}

static void delta_set(struct forecast *f, const struct measured *m, bool full, double since_s)
{
    struct forecast_range dirty = samples_range(&m->dirty), rate = samples_range(&m->rate);
    struct forecast_range fixed = fixed_cost(m);

    f->dirty_bytes_s = dirty.expected;
    f->rate_bytes_s = rate.expected;
    f->snapshot_cost_s = fixed.expected;
    f->growth = constant(0);
    f->delta_most = unknown;
    if (full) {
        f->delta = range_sum(samples_range(&m->compare), samples_range(&m->freeze));
        return;
    }
    f->delta = unknown;
    if (!is_known(&dirty) || !is_known(&rate) || rate.low <= 0)
        return;
    f->growth = copying(dirty, rate);
    f->delta = is_known(&fixed) ? fixed : constant(0);
    if (m->size > 0)
        f->delta_most = range_sum(f->delta, copying(constant(m->size), rate));
    forecast_grow(f, since_s);
}

/* ---- the whole ---- */

static void total_set(struct forecast *f)
{
    const struct forecast_range *parts[] = {&f->shutdown, &f->delta, &f->morph, &f->flip,
                                            &f->start};

    f->total = constant(0);
    f->at_least = false;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (is_known(parts[i]))
            f->total = range_sum(f->total, *parts[i]);
        else
            f->at_least = true;
    }
}

static double grown(double value, double growth, double seconds, double most, bool bound)
{
    value += growth * seconds;
    return bound && value > most ? most : value;
}

void forecast_grow(struct forecast *f, double seconds)
{
    bool bound = is_known(&f->delta_most);

    if (is_known(&f->delta) && seconds > 0)
        f->delta = (struct forecast_range){
            grown(f->delta.low, f->growth.low, seconds, f->delta_most.low, bound),
            grown(f->delta.expected, f->growth.expected, seconds, f->delta_most.expected, bound),
            grown(f->delta.high, f->growth.high, seconds, f->delta_most.high, bound)};
    total_set(f);
}

/* The committed ones; *ret_count of them, freed by the caller. */
static struct pass *passes_read(const json_t *rows, size_t *ret_count)
{
    size_t n = json_array_size(rows), count = 0;
    struct pass *passes = calloc(n + 1, sizeof(*passes));

    if (!passes)
        abort();
    for (size_t i = 0; i < n; i++)
        if (pass_read(json_array_get(rows, i), &passes[count]))
            count++;
    *ret_count = count;
    return passes;
}

static double since_last(const struct pass *passes, size_t count, int64_t now_ns)
{
    int64_t began = count ? field_integer(passes[count - 1].row, "started_ns", now_ns) : now_ns;
    double seconds = ((double)now_ns - (double)began) / (double)NS_PER_S;

    return seconds > 0 && seconds <= SECONDS_MAX ? seconds : 0;
}

int64_t forecast_now(const json_t *passes, const struct stamp *now)
{
    for (size_t i = json_array_size(passes); i > 0; i--) {
        const json_t *row = json_array_get(passes, i - 1);
        int64_t mono = field_integer(row, "started_mono_ns", -1), apart, ret;

        if (!json_is_integer(json_object_get(row, "generation")))
            continue;
        if (mono < 0 || !now->boot_id[0] ||
            strcmp(field_string(row, "boot_id", ""), now->boot_id) != 0 ||
            __builtin_sub_overflow(now->mono_ns, mono, &apart) ||
            __builtin_add_overflow(field_integer(row, "started_ns", 0), apart, &ret))
            break;
        return ret;
    }
    return now->wall_ns;
}

void forecast_make(const json_t *passes, const json_t *transitions, const json_t *rehearsals,
                   const json_t *params, int64_t now_ns, struct forecast *ret)
{
    struct forecast f = {0};
    struct measured m = {0};
    struct tries t = {0};
    size_t count;
    struct pass *list = passes_read(passes, &count);

    mark_slow(list, count);
    tries_take(transitions, &t);
    measure(list, count, &m);
    f.passes = (unsigned)count;
    f.shutdown = samples_range(&t.stopping);
    delta_set(&f, &m, count && list[count - 1].full, since_last(list, count, now_ns));
    if (field_bool(params, "instant", false)) {
        f.delta = t.instant_flip.n ? samples_range(&t.instant_flip) : fixed_cost(&m);
        f.growth = constant(0);
    }
    f.morph = field_bool(params, "morph", true)
                  ? tried_or_rehearsed(&t.morphing, rehearsals, "morph_s") : constant(0);
    f.flip = t.flipping.n ? range_sum(samples_range(&t.flipping), samples_range(&t.defining))
                          : unknown;
    f.start = field_bool(params, "start", true)
                  ? tried_or_rehearsed(&t.starting, rehearsals, "boot_s") : constant(0);
    total_set(&f);
    free(list);
    *ret = f;
}

static json_t *range_json(const struct forecast_range *r)
{
    if (!is_known(r))
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "low_s", r->low, "expected_s", r->expected, "high_s",
                     r->high);
}

static json_t *number_json(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

json_t *forecast_json(const struct forecast *f)
{
    const struct {
        const char *name;
        const struct forecast_range *range;
    } parts[] = {{"shutdown", &f->shutdown}, {"delta", &f->delta}, {"morph", &f->morph},
                 {"flip", &f->flip},         {"start", &f->start}};
    json_t *j = json_object(), *missing = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        json_object_set_new(j, parts[i].name, range_json(parts[i].range));
        if (!is_known(parts[i].range))
            json_array_append_new(missing, json_string(parts[i].name));
    }
    json_object_set_new(j, "total", range_json(&f->total));
    json_object_set_new(j, "at_least", json_boolean(f->at_least));
    json_object_set_new(j, "unknown", missing);
    json_object_set_new(j, "dirty_bytes_s", number_json(f->dirty_bytes_s));
    json_object_set_new(j, "rate_bytes_s", number_json(f->rate_bytes_s));
    json_object_set_new(j, "snapshot_cost_s", number_json(f->snapshot_cost_s));
    json_object_set_new(j, "passes", json_integer(f->passes));
    return j;
}

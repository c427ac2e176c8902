/* SPDX-License-Identifier: Apache-2.0 */
/* What a simulation came to. */
#include "orchestrator/simulate-plan.h"

#include <stdlib.h>

#include "base/str.h"

#define DAY_NS (86400 * SCHEDULE_S)

static json_t *time_json(int64_t wall)
{
    char text[CALENDAR_TEXT];

    return wall == CALENDAR_NEVER ? json_null() : json_string(calendar_time_text(wall, text));
}

/* The VMs that went, in the order of their waves. */
struct wave_vm {
    int64_t end, cutover_at;
    size_t i;
};

static int compare_waves(const void *a, const void *b)
{
    const struct wave_vm *x = a, *y = b;

    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    if (x->cutover_at != y->cutover_at)
        return x->cutover_at < y->cutover_at ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* A wave is a window, or a day (UTC) for those that have none. */
static int64_t wave_end(const struct simulate_outcome *o)
{
    if (o->window_end != CALENDAR_NEVER)
        return o->window_end;
    return (o->cutover_at / DAY_NS + 1) * DAY_NS;
}

static json_t *wave_json(const struct schedule_table *t, const struct simulate_outcome *outcomes,
                         const struct wave_vm *vms, size_t count)
{
    json_t *names = json_array();
    size_t worst = vms[0].i;
    int64_t up = 0;

    for (size_t n = 0; n < count; n++) {
        const struct simulate_outcome *o = &outcomes[vms[n].i];

        json_array_append_new(names, json_string(t->vms[vms[n].i].name));
        if (o->downtime_s > outcomes[worst].downtime_s)
            worst = vms[n].i;
        if (o->up_at > up)
            up = o->up_at;
    }
    return json_pack("{s:o, s:o, s:o, s:I, s:o, s:f, s:s}", "end", time_json(vms[0].end), "begin",
                     time_json(vms[0].cutover_at), "up", time_json(up), "vms", (json_int_t)count,
                     "names", names, "worst_downtime_s", outcomes[worst].downtime_s, "worst",
                     t->vms[worst].name);
}

static json_t *waves_json(const struct schedule_table *t, const struct simulate_outcome *outcomes)
{
    _cleanup_free_ struct wave_vm *vms = mem_new(t->count + 1, sizeof(*vms));
    json_t *waves = json_array();
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (outcomes[i].up_at != CALENDAR_NEVER)
            vms[n++] = (struct wave_vm){wave_end(&outcomes[i]), outcomes[i].cutover_at, i};
    qsort(vms, n, sizeof(*vms), compare_waves);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && vms[to].end == vms[from].end; to++)
            ;
        json_array_append_new(waves, wave_json(t, outcomes, vms + from, to - from));
    }
    return waves;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static json_t *downtime_json(const struct schedule_table *t,
                             const struct simulate_outcome *outcomes)
{
    _cleanup_free_ double *seconds = mem_new(t->count + 1, sizeof(*seconds));
    size_t n = 0, worst = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (outcomes[i].up_at == CALENDAR_NEVER)
            continue;
        if (n == 0 || outcomes[i].downtime_s > outcomes[worst].downtime_s)
            worst = i;
        seconds[n++] = outcomes[i].downtime_s;
    }
    if (n == 0)
        return json_null();
    qsort(seconds, n, sizeof(*seconds), compare_doubles);
    return json_pack("{s:f, s:f, s:s}", "median_s", seconds[n / 2], "most_s", seconds[n - 1],
                     "whose", t->vms[worst].name);
}

static json_t *over_json(const struct schedule_table *t, const struct simulate_outcome *outcomes)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->count; i++)
        if (outcomes[i].up_at != CALENDAR_NEVER && t->vms[i].budget_s > 0 &&
            outcomes[i].downtime_s > t->vms[i].budget_s)
            json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:b}", "name", t->vms[i].name,
                                                  "downtime_s", outcomes[i].downtime_s, "budget_s",
                                                  t->vms[i].budget_s, "instant",
                                                  outcomes[i].instant));
    return list;
}

static json_t *left_json(const struct schedule_table *t, const struct simulate_outcome *outcomes,
                         const struct schedule_decision *decisions)
{
    json_t *list = json_array();
    char text[SCHEDULE_TEXT];

    for (size_t i = 0; i < t->count; i++)
        if (outcomes[i].up_at == CALENDAR_NEVER && t->vms[i].cutover != CUTOVER_MANUAL)
            json_array_append_new(list,
                                  json_pack("{s:s, s:s}", "name", t->vms[i].name, "reason",
                                            schedule_text(t, i, &decisions[i], text)));
    return list;
}

json_t *simulate_report(const struct schedule_table *t, const struct simulate_options *options,
                        const struct simulate_outcome *outcomes,
                        const struct schedule_decision *decisions,
                        const struct simulate_totals *totals)
{
    double places = (double)(totals->end - options->begin) / 1e9 * t->syncs;
    int64_t finish = 0;
    size_t up = 0, by_hand = 0;

    for (size_t i = 0; i < t->count; i++) {
        by_hand += t->vms[i].cutover == CUTOVER_MANUAL;
        up += outcomes[i].up_at != CALENDAR_NEVER;
        if (outcomes[i].up_at != CALENDAR_NEVER && outcomes[i].up_at > finish)
            finish = outcomes[i].up_at;
    }
    return json_pack("{s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:I, s:I}",
                     "begin", time_json(options->begin), "finish",
                     time_json(up > 0 && up + by_hand == t->count ? finish : CALENDAR_NEVER), "vms",
                     (json_int_t)t->count, "up", (json_int_t)up, "by_hand", (json_int_t)by_hand,
                     "waves", waves_json(t, outcomes), "downtime", downtime_json(t, outcomes),
                     "over_budget", over_json(t, outcomes), "left",
                     left_json(t, outcomes, decisions), "syncs", (json_int_t)totals->passes,
                     "copied_bytes", (json_int_t)totals->copied_bytes, "busy",
                     places > 0 ? totals->sync_busy_s / places : 0.0, "decisions",
                     (json_int_t)totals->decisions, "seed", (json_int_t)options->seed);
}

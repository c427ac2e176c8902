/* SPDX-License-Identifier: Apache-2.0 */
/* From slipwayd's jobs to a table of schedule.h. */
#include "orchestrator/scheduler-inside.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor-inside.h"
#include "orchestrator/logkind.h"
#include "orchestrator/rehearsal-inside.h"

#define CLOCK_SET_NS (60 * SCHEDULE_S)   /* more than this is no adjustment */
#define SETTLE_NS (120 * SCHEDULE_S)

static void look_done(struct look *look)
{
    free(look->name);
    free(look->source);
    free(look->queued);
    json_decref(look->params);
    json_decref(look->facts);
}

static bool rehearses_locked(const struct job *job)
{
    const struct rehearsal *h = job->rehearsal;

    return h && h->active && strcmp(h->state, "kept") != 0;
}

static int compare_looks(const void *a, const void *b)
{
    return strcmp(((const struct look *)a)->name, ((const struct look *)b)->name);
}

/* FNV-1a (Fowler, Noll, Vo), by words. */
static void mix(uint64_t *sum, uint64_t value)
{
    *sum = (*sum ^ value) * UINT64_C(1099511628211);
}

uint64_t scheduler_sum_locked(const struct daemon *d)
{
    uint64_t sum = UINT64_C(14695981039346656037);

    for (const struct job *job = d->jobs; job; job = job->next) {
        mix(&sum, (uint64_t)(uintptr_t)job);
        mix(&sum, (uint64_t)(uintptr_t)job->params);
        mix(&sum, (uint64_t)(uintptr_t)job->facts);
        mix(&sum, (uint64_t)job->forecast_mono_ns);
        mix(&sum, (uint64_t)job->state * 4 + job->active * 2 + rehearses_locked(job));
    }
    return sum;
}

/* The tighter of two entries; -1: none limits syncs. */
static int tighter(const struct govern_entries *places, int a, size_t b)
{
    unsigned syncs = places->list[b].amount.syncs;

    return syncs > 0 && (a < 0 || syncs < places->list[a].amount.syncs) ? (int)b : a;
}

/* The limits of the governor that a sync of this job is under: of where it comes from and of where it
 * goes to the tightest each.  Those it does not name here make it wait in the governor's queue. */
static void places_find_locked(struct scheduler *s, struct job *job, struct look *look)
{
    const struct governor *g = s->daemon->governor;
    size_t found[GOVERN_PLACE_LIMITS], n;

    look->source_place = look->node_place = -1;
    if (!job->place.source)
        return; /* found out by its first sync */
    n = govern_entries_add(&s->places, &job->place, g->limits, g->limit_count, s->now.wall_ns,
                           found);
    for (size_t i = 0; i < n; i++) {
        enum govern_scope scope = govern_limit_scope(s->places.list[found[i]].limit);
        unsigned syncs = s->places.list[found[i]].amount.syncs;

        if (scope == GOVERN_ALL && syncs > 0 && syncs < s->places.list[0].amount.syncs)
            s->places.list[0].amount.syncs = syncs;
        else if (scope == GOVERN_NODE)
            look->node_place = tighter(&s->places, look->node_place, found[i]);
        else if (scope != GOVERN_ALL)
            look->source_place = tighter(&s->places, look->source_place, found[i]);
    }
}

/* Limits may be gone when the lock is: their names are taken now. */
static void places_list_locked(struct scheduler *s)
{
    s->place_list = mem_new(s->places.count, sizeof(*s->place_list));
    for (size_t i = 0; i < s->places.count; i++)
        s->place_list[i] = (struct schedule_place){.name = govern_entry_text(&s->places.list[i]),
                                                   .syncs = s->places.list[i].amount.syncs};
}

static struct look *looks_take(struct scheduler *s, size_t *ret_count)
{
    struct daemon *d = s->daemon;
    struct look *looks;
    size_t n = 0;

    LOCK_FOR_SCOPE(&d->lock);
    s->sum = scheduler_sum_locked(d);
    s->places = (struct govern_entries){.list = mem_new(1, sizeof(*s->places.list)), .count = 1};
    s->places.list[0].key = str_dup("");
    s->places.list[0].amount.syncs = d->options->max_syncs;
    for (const struct job *job = d->jobs; job; job = job->next)
        n++;
    looks = mem_new(n + 1, sizeof(*looks));
    *ret_count = n;
    for (struct job *job = d->jobs; job; job = job->next) {
        struct look *look = &looks[--n];

        *look = (struct look){.name = str_dup(job->name), .source = str_dup(job->source),
                              .params = json_incref(job->params), .facts = json_incref(job->facts),
                              .state = job->state, .failed_state = job->failed_state,
                              .active = job->active, .instant = job_instant(job),
                              .rehearsing = rehearses_locked(job),
                              .news = job->forecast_mono_ns};
        look->forecasted = forecast_get_locked(job, &look->forecast);
        if (strcmp(job->progress.phase, "queued") == 0)
            look->queued = str_dup(job->progress.because);
        places_find_locked(s, job, look);
    }
    places_list_locked(s);
    qsort(looks, *ret_count, sizeof(*looks), compare_looks);
    return looks;
}

/* Both are sorted by name: what is known of those that are still there. */
static void watches_match(struct scheduler *s, const struct look *looks, size_t count)
{
    struct watch *watches = mem_new(count + 1, sizeof(*watches));
    size_t old = 0;

    for (size_t i = 0; i < count; i++) {
        while (old < s->count && strcmp(s->watches[old].name, looks[i].name) < 0)
            watch_done(&s->watches[old++]);
        if (old < s->count && strcmp(s->watches[old].name, looks[i].name) == 0)
            watches[i] = s->watches[old++];
        else
            watches[i].name = str_dup(looks[i].name);
    }
    while (old < s->count)
        watch_done(&s->watches[old++]);
    free(s->watches);
    s->watches = watches;
    for (size_t i = 0; i < count; i++)
        watch_update(s->daemon, &s->watches[i], &looks[i]);
}

static void table_free(struct scheduler *s)
{
    for (size_t i = 0; s->looks && i < s->count; i++)
        look_done(&s->looks[i]);
    free(s->looks);
    free(s->table.vms);
    free(s->table.windows);
    free(s->table.groups);
    for (size_t i = 0; i < s->places.count; i++)
        free((char *)(uintptr_t)s->place_list[i].name);
    free(s->place_list);
    s->place_list = NULL;
    govern_entries_done(&s->places);
    s->places = (struct govern_entries){0};
    free(s->after);
    free(s->decisions);
    s->looks = NULL;
    s->after = NULL;
    s->decisions = NULL;
    s->table = (struct schedule_table){0};
}

void scheduler_forget_locked(struct scheduler *s)
{
    table_free(s);
    for (size_t i = 0; i < s->count; i++)
        watch_done(&s->watches[i]);
    free(s->watches);
    s->watches = NULL;
    s->count = 0;
}

/* The number of `name` among names, added when it is new. */
static int number_of(json_t *names, const char *name)
{
    const json_t *known = json_object_get(names, name);

    if (!known) {
        json_object_set_new(names, name, json_integer((json_int_t)json_object_size(names)));
        return (int)json_object_size(names) - 1;
    }
    return (int)json_integer_value(known);
}

/* Names become indexes.  A group is that of its plan: two plans may use one name. */
static void table_relate(struct scheduler *s)
{
    _cleanup_json_ json_t *groups = json_object(), *names = json_object();
    struct schedule_table *t = &s->table;
    size_t after = 0, a;
    json_t *other;

    for (size_t i = 0; i < t->count; i++) {
        number_of(names, s->looks[i].name);
        after += json_array_size(json_object_get(s->looks[i].params, "after"));
    }
    s->after = mem_new(after + 1, sizeof(*s->after));
    after = 0;
    for (size_t i = 0; i < t->count; i++) {
        const char *group = field_string(s->looks[i].params, "group", NULL);
        struct schedule_vm *vm = &t->vms[i];

        vm->host = s->looks[i].source_place;
        vm->node = s->looks[i].node_place;
        vm->group = -1;
        if (group) {
            _cleanup_free_ char *key =
                str_format("%s/%s", field_string(s->looks[i].params, "plan", ""), group);

            vm->group = number_of(groups, key);
            t->groups[vm->group].name = group;
        }
        vm->windows = s->watches[i].windows.count ? (int)i : -1;
        t->windows[i] = s->watches[i].windows;
        vm->after = s->after + after;
        json_array_foreach(json_object_get(s->looks[i].params, "after"), a, other) {
            const json_t *known = json_object_get(names, json_string_value(other));

            if (!known)
                vm->after_unknown = json_string_value(other); /* of params, which look holds */
            else
                s->after[after + vm->after_count++] = (unsigned)json_integer_value(known);
        }
        after += vm->after_count;
    }
    t->group_count = json_object_size(groups);
}

/* The wall clock against the monotonic one: when somebody set it, windows that open at once are not
 * believed for a while. */
static void clock_check(struct scheduler *s)
{
    int64_t offset = s->now.wall_ns - s->now.mono_ns, jump = offset - s->clock_offset;
    char text[CALENDAR_TEXT];

    if (s->clock_offset != 0 && (jump > CLOCK_SET_NS || jump < -CLOCK_SET_NS)) {
        log_about(LOG_LEVEL_WARNING, LOG_KIND_CLOCK, NULL, NULL,
                  "the clock was set by %s%s: no cutover begins by itself for %lld s",
                  jump < 0 ? "-" : "", calendar_length_text(jump < 0 ? -jump : jump, text),
                  (long long)(SETTLE_NS / SCHEDULE_S));
        s->settled = s->now.mono_ns + SETTLE_NS;
    }
    s->clock_offset = offset;
}

void scheduler_look_locked(struct scheduler *s)
{
    struct schedule_table *t = &s->table;
    struct look *looks;
    size_t count;

    table_free(s);
    stamp_now(&s->now);
    looks = looks_take(s, &count);
    clock_check(s);
    watches_match(s, looks, count);
    s->looks = looks;
    s->count = count;
    *t = (struct schedule_table){.vms = mem_new(count + 1, sizeof(*t->vms)), .count = count,
                                 .windows = mem_new(count + 1, sizeof(*t->windows)),
                                 .windows_count = count,
                                 .groups = mem_new(count + 1, sizeof(*t->groups)),
                                 .hosts = s->place_list, .host_count = s->places.count,
                                 .nodes = s->place_list, .node_count = s->places.count,
                                 .syncs = s->place_list[0].syncs,
                                 .cutovers = s->daemon->options->max_syncs, .rehearsals = 1,
                                 .settled = s->settled};
    for (size_t i = 0; i < count; i++)
        watch_vm(&s->watches[i], &looks[i], &s->now, &t->vms[i]);
    table_relate(s);
    schedule_link(t);
    schedule_clock(t, s->now.wall_ns, s->now.mono_ns);
    for (size_t i = 0; i < count; i++)
        s->watches[i].windows = t->windows[i];
    s->decisions = mem_new(count + 1, sizeof(*s->decisions));
    schedule_decide(t, s->decisions);
}

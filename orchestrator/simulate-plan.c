/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/simulate-plan.h"

#include <string.h>
#include <time.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/schedule-wish.h"

#define DAYS_DEFAULT 60
#define SYNCS_DEFAULT 2

/* A table with everything that it points to. */
struct scene {
    struct schedule_table t;
    struct simulate_vm *vms;
    struct schedule_wish *wishes;
    struct simulate_outcome *outcomes;
    struct schedule_decision *decisions;
    const char **names; /* of VMs, as the source has them */
    unsigned *after;
    double *values;
    json_t *assumptions;
};

static void scene_done(struct scene *s)
{
    for (size_t i = 0; i < s->t.count; i++)
        schedule_wish_done(&s->wishes[i]);
    free(s->t.vms);
    free(s->t.hosts);
    free(s->t.groups);
    free(s->t.windows);
    free(s->vms);
    free(s->wishes);
    free(s->outcomes);
    free(s->decisions);
    free(s->names);
    free(s->after);
    free(s->values);
    json_decref(s->assumptions);
}

static void scene_room(struct scene *s, size_t count)
{
    s->t.count = count;
    s->t.vms = mem_new(count + 1, sizeof(*s->t.vms));
    s->t.hosts = mem_new(count + 1, sizeof(*s->t.hosts));
    s->t.groups = mem_new(count + 1, sizeof(*s->t.groups));
    s->t.windows = mem_new(count + 1, sizeof(*s->t.windows));
    s->vms = mem_new(count + 1, sizeof(*s->vms));
    s->wishes = mem_new(count + 1, sizeof(*s->wishes));
    s->outcomes = mem_new(count + 1, sizeof(*s->outcomes));
    s->decisions = mem_new(count + 1, sizeof(*s->decisions));
    s->names = mem_new(count + 1, sizeof(*s->names));
    s->values = mem_new(count + 1, QUANTITY_COUNT * sizeof(*s->values));
}

/* The number of `key` among the keys, added when it is new. */
static int number_of(json_t *keys, const char *key, bool *ret_new)
{
    const json_t *known = json_object_get(keys, key);

    *ret_new = !known;
    if (known)
        return (int)json_integer_value(known);
    json_object_set_new(keys, key, json_integer((json_int_t)json_object_size(keys)));
    return (int)json_object_size(keys) - 1;
}

/* The bytes of the first sync: what is used where that is told, else the disks. */
static uint64_t bytes_of(const json_t *description, size_t *whole)
{
    int64_t bytes = field_integer(description, "used_bytes", -1), sum = 0;
    json_t *disk;
    size_t i;

    if (bytes >= 0)
        return (uint64_t)bytes;
    (*whole)++;
    json_array_foreach(json_object_get(description, "disks"), i, disk) {
        bytes = field_integer(disk, "size_bytes", 0);
        if (bytes > 0 && bytes < INT64_C(1) << 60)
            sum += bytes;
    }
    return (uint64_t)sum;
}

/* Many VMs have the same windows: they share what is found out about them. */
static int windows_of(struct scene *s, size_t i, const json_t *body, json_t *keys)
{
    _cleanup_free_ char *key = json_dumps(json_object_get(body, "windows"), JSON_ENCODE_ANY);
    bool is_new;
    int w;

    if (s->wishes[i].window_count == 0 || !key)
        return -1;
    w = number_of(keys, key, &is_new);
    if (is_new)
        s->t.windows[w] = (struct schedule_windows){.items = s->wishes[i].windows,
                                                    .count = s->wishes[i].window_count};
    return w;
}

static void after_resolve(struct scene *s, const json_t *migrations, const json_t *names)
{
    size_t total = 0, i, a;
    json_t *migration, *other;

    json_array_foreach((json_t *)(uintptr_t)migrations, i, migration)
        total += json_array_size(json_object_get(json_object_get(migration, "body"), "after"));
    s->after = mem_new(total + 1, sizeof(*s->after));
    total = 0;
    json_array_foreach((json_t *)(uintptr_t)migrations, i, migration) {
        struct schedule_vm *vm = &s->t.vms[i];

        vm->after = s->after + total;
        json_array_foreach(json_object_get(json_object_get(migration, "body"), "after"), a, other) {
            const json_t *known = json_object_get(names, json_string_value(other));

            if (known) /* others are taken to be up */
                s->after[total + vm->after_count++] = (unsigned)json_integer_value(known);
        }
        total += vm->after_count;
    }
}

static void scene_vm(struct scene *s, size_t i, const json_t *body, const json_t *description,
                     size_t *whole)
{
    const double *v = &s->values[i * QUANTITY_COUNT];
    struct schedule_vm *vm = &s->t.vms[i];

    schedule_wish_read(body, "adaptive", &s->wishes[i]);
    schedule_wish_apply(&s->wishes[i], vm);
    vm->name = field_string(body, "name", s->names[i]);
    vm->instant = s->wishes[i].instant;
    vm->dirty_bytes_s = v[QUANTITY_DIRTY];
    vm->snapshot_cost_s = v[QUANTITY_SNAPSHOT];
    s->vms[i] = (struct simulate_vm){.bytes = bytes_of(description, whole),
                                     .rate_bytes_s = v[QUANTITY_RATE] > 1 ? v[QUANTITY_RATE] : 1,
                                     .shutdown_s = v[QUANTITY_SHUTDOWN],
                                     .morph_s = field_bool(body, "morph", true) ? v[QUANTITY_MORPH]
                                                                                : 0,
                                     .flip_s = v[QUANTITY_FLIP],
                                     .start_s = v[QUANTITY_START]};
}

static void scene_make(struct scene *s, const json_t *migrations, const json_t *descriptions,
                       const json_t *measured, const json_t *options)
{
    _cleanup_json_ json_t *hosts = json_object(), *groups = json_object(), *names = json_object();
    _cleanup_json_ json_t *windows = json_object();
    size_t i, whole = 0;
    json_t *migration;
    bool is_new;

    scene_room(s, json_array_size(migrations));
    json_array_foreach((json_t *)(uintptr_t)migrations, i, migration)
        s->names[i] = field_string(migration, "vm", "?");
    simulate_measure(s->t.count, s->names, descriptions, measured, options, s->values,
                     &s->assumptions);
    json_array_foreach((json_t *)(uintptr_t)migrations, i, migration) {
        const json_t *body = json_object_get(migration, "body");
        const json_t *description = json_object_get(descriptions, s->names[i]);
        const char *group = field_string(body, "group", NULL);
        struct schedule_vm *vm = &s->t.vms[i];

        scene_vm(s, i, body, description, &whole);
        vm->host = number_of(hosts, field_string(description, "host", "source"), &is_new);
        s->t.hosts[vm->host].name = field_string(description, "host", "source");
        vm->node = -1;
        vm->group = group ? number_of(groups, group, &is_new) : -1;
        if (group)
            s->t.groups[vm->group].name = group;
        vm->windows = windows_of(s, i, body, windows);
        number_of(names, vm->name, &is_new);
    }
    if (whole > 0)
        json_array_append_new(s->assumptions,
                              json_pack("{s:s, s:f, s:s, s:s, s:I}", "what",
                                        "share of the disks that is in use", "value", 1.0, "unit",
                                        "of their size", "from", "assumed", "vms",
                                        (json_int_t)whole));
    after_resolve(s, migrations, names);
    s->t.host_count = json_object_size(hosts);
    s->t.group_count = json_object_size(groups);
    s->t.windows_count = json_object_size(windows);
}

static int limit_of(const json_t *options, const char *field, int64_t fallback, int64_t most,
                    int64_t *ret, struct error **err)
{
    *ret = field_integer(options, field, fallback);
    if (*ret < 1 || *ret > most)
        return error_set(err, EINVAL, "%s must lie between 1 and %lld", field, (long long)most);
    return 0;
}

static int options_read(const json_t *options, struct schedule_table *t,
                        struct simulate_options *ret, struct error **err)
{
    static const struct field fields[] = {
        {"begin", FIELD_STRING, false},       {"syncs", FIELD_INTEGER, false},
        {"cutovers", FIELD_INTEGER, false},   {"rate_bytes_s", FIELD_INTEGER, false},
        {"total_bytes_s", FIELD_INTEGER, false}, {"dirty_bytes_s", FIELD_INTEGER, false},
        {"spread_percent", FIELD_INTEGER, false}, {"seed", FIELD_INTEGER, false},
        {"days", FIELD_INTEGER, false},       {NULL}};
    const char *begin = field_string(options, "begin", NULL);
    int64_t spread = field_integer(options, "spread_percent", 20);
    int64_t syncs = 0, cutovers = 0, days = 0;
    int r = options ? fields_check(options, fields, "a simulation", err) : 0;

    if (r == 0)
        r = limit_of(options, "syncs", SYNCS_DEFAULT, 10000, &syncs, err);
    if (r == 0)
        r = limit_of(options, "cutovers", syncs, 10000, &cutovers, err);
    if (r == 0)
        r = limit_of(options, "days", DAYS_DEFAULT, 3650, &days, err);
    if (r == 0 && (spread < 0 || spread > 90))
        r = error_set(err, EINVAL, "spread_percent must lie between 0 and 90");
    ret->begin = (int64_t)time(NULL) * SCHEDULE_S;
    if (r == 0 && begin)
        r = calendar_time_parse(begin, &ret->begin, err);
    if (r < 0)
        return r;
    t->syncs = (unsigned)syncs;
    t->cutovers = (unsigned)cutovers;
    ret->most_ns = days * 86400 * SCHEDULE_S;
    ret->spread = (double)spread / 100;
    ret->seed = (uint64_t)field_integer(options, "seed", 1);
    ret->total_bytes_s = (double)field_integer(options, "total_bytes_s", 0);
    return 0;
}

int simulate_plan(const json_t *migrations, const json_t *descriptions, const json_t *measured,
                  const json_t *options, json_t **ret_report, struct error **err)
{
    struct simulate_totals totals;
    struct simulate_options o = {0};
    struct scene s = {0};
    json_t *report;
    int r = options_read(options, &s.t, &o, err);

    if (r < 0)
        return r;
    scene_make(&s, migrations, descriptions, measured, options);
    simulate_run(&s.t, s.vms, &o, s.outcomes, s.decisions, &totals);
    report = simulate_report(&s.t, &o, s.outcomes, s.decisions, &totals);
    json_object_set(report, "assumptions", s.assumptions);
    scene_done(&s);
    *ret_report = report;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a migration, computed from the stamps of its transitions and its passes. */
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"

/* Seconds from stamp a to b: exact within one boot, by the wall clock across boots. */
static double stamps_apart(const json_t *a, const json_t *b)
{
    bool same = strcmp(field_string(a, "boot_id", "a"), field_string(b, "boot_id", "b")) == 0;
    const char *clock = same ? "mono_ns" : "wall_ns";

    return (double)(field_integer(b, clock, 0) - field_integer(a, clock, 0)) / (double)NS_PER_S;
}

static int state_of(const json_t *transition)
{
    return job_state_from_name(field_string(transition, "to_state", NULL));
}

/* Index of the transition that began the last cutover, or the length. */
static size_t last_cutover(const json_t *transitions)
{
    size_t n = json_array_size(transitions), i;

    for (i = n; i > 0; i--) {
        const json_t *t = json_array_get(transitions, i - 1);
        int from = job_state_from_name(field_string(t, "from_state", NULL));

        if (state_of(t) == JOB_STOPPING && from == JOB_MIRRORED)
            return i - 1;
    }
    return n;
}

/* The state a cutover is in when its VM has come up. */
static bool up_on_node(int state)
{
    return state == JOB_FINISHING || state == JOB_HYDRATING;
}

/* The downtime of the last cutover, split; null before one began.  A part that was tried several
 * times counts all its tries; time spent waiting in "failed" is in the total only. */
static json_t *downtime_json(const json_t *transitions, const json_t *stop)
{
    static const struct {
        enum job_state state;
        const char *name;
    } parts[] = {{JOB_STOPPING, "shutdown_s"}, {JOB_FINAL_SYNC, "last_delta_s"},
                 {JOB_INSTANT_FLIP, "instant_flip_s"},
                 {JOB_MORPHING, "morph_s"},    {JOB_FLIPPING, "flip_s"},
                 {JOB_DEFINING, "define_s"},   {JOB_STARTING, "boot_s"}};
    size_t first = last_cutover(transitions), n = json_array_size(transitions), end = n, i;
    const json_t *begin = json_array_get(transitions, first), *last;
    json_t *downtime;

    if (first == n)
        return json_null();
    /* Before that the source still ran. */
    if (field_integer(stop, "wall_ns", 0) > field_integer(begin, "wall_ns", 0))
        begin = stop;
    downtime = json_pack("{s:I}", "began_ns", field_integer(begin, "wall_ns", 0));
    for (i = first; i + 1 < n && end == n; i++)
        if (up_on_node(state_of(json_array_get(transitions, i + 1))) ||
            state_of(json_array_get(transitions, i + 1)) == JOB_MIRRORED ||
            state_of(json_array_get(transitions, i + 1)) == JOB_PREPARING)
            end = i + 1;
    for (size_t p = 0; p < ARRAY_SIZE(parts); p++) {
        double seconds = 0;
        bool seen = false;

        for (i = first; i + 1 < n && i < end; i++)
            if (state_of(json_array_get(transitions, i)) == (int)parts[p].state) {
                seconds += stamps_apart(i == first ? begin : json_array_get(transitions, i),
                                        json_array_get(transitions, i + 1));
                seen = true;
            }
        json_object_set_new(downtime, parts[p].name, seen ? json_real(seconds) : json_null());
    }
    if (end == n)
        end = n - 1;
    last = json_array_get(transitions, end);
    json_object_set_new(downtime, "total_s", json_real(stamps_apart(begin, last)));
    json_object_set_new(downtime, "ended_ns", json_integer(field_integer(last, "wall_ns", 0)));
    json_object_set_new(downtime, "complete", json_boolean(up_on_node(state_of(last))));
    return downtime;
}

static json_t *pass_json(const json_t *row)
{
    static const char *const sums[] = {"bytes", "zero_bytes", "changed_bytes"};
    json_t *disks = json_object_get(row, "result"), *disk;
    double seconds = json_number_value(json_object_get(row, "seconds"));
    json_t *pass = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O, s:b}", "kind",
                             json_object_get(row, "kind"), "snapshot",
                             json_object_get(row, "snapshot"), "since",
                             json_object_get(row, "since"), "generation",
                             json_object_get(row, "generation"), "why_full",
                             json_object_get(row, "why_full"), "began_ns",
                             json_object_get(row, "started_ns"), "ended",
                             field_integer(row, "ended", 0) != 0);
    int64_t bytes = 0;
    size_t i;

    for (size_t s = 0; s < ARRAY_SIZE(sums); s++) {
        int64_t sum = 0;

        json_array_foreach(disks, i, disk)
            sum += field_integer(disk, sums[s], 0);
        if (s == 0)
            bytes = sum;
        json_object_set_new(pass, sums[s], json_integer(sum));
    }
    json_object_set_new(pass, "seconds", json_real(seconds));
    json_object_set_new(pass, "rate_bytes_s",
                        json_integer(seconds > 0 ? (json_int_t)((double)bytes / seconds) : 0));
    json_object_set(pass, "disks", json_is_array(disks) ? disks : json_null());
    return pass;
}

static json_t *passes_json(const json_t *rows)
{
    json_t *passes = json_array(), *row;
    size_t i;

    json_array_foreach((json_t *)rows, i, row)
        json_array_append_new(passes, pass_json(row));
    return passes;
}

static json_t *transitions_json(const json_t *rows)
{
    json_t *list = json_array(), *row;
    size_t i;

    json_array_foreach((json_t *)rows, i, row)
        json_array_append_new(list, json_pack("{s:O, s:O, s:O}", "from",
                                              json_object_get(row, "from_state"), "state",
                                              json_object_get(row, "to_state"), "time_ns",
                                              json_object_get(row, "wall_ns")));
    return list;
}

int report_make(struct daemon *d, const char *name, json_t **ret_report, struct error **err)
{
    _cleanup_json_ json_t *transitions = NULL, *passes = NULL;
    json_t *report = json_object(), *morph;
    struct job *job;
    int r = journal_list_transitions(d->journal, name, &transitions, err);

    if (r == 0)
        r = journal_list_passes(d->journal, name, &passes, err);
    if (r < 0) {
        json_decref(report);
        return r;
    }
    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    if (!job) {
        json_decref(report);
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    }
    morph = json_object_get(job->facts, "morph");
    json_object_set_new(report, "name", json_string(name));
    json_object_set_new(report, "source", json_string(job->source));
    json_object_set_new(report, "vm", json_string(job->vm));
    json_object_set_new(report, "state", json_string(job_state_name(job->state)));
    json_object_set_new(report, "passes", passes_json(passes));
    json_object_set_new(report, "downtime",
                        downtime_json(transitions, json_object_get(job->facts, "stop")));
    json_object_set(report, "morph", morph ? morph : json_null());
    json_object_set_new(report, "transitions", transitions_json(transitions));
    *ret_report = report;
    return 0;
}

double report_downtime(struct daemon *d, const char *name)
{
    _cleanup_json_ json_t *transitions = NULL, *stop = NULL, *downtime = NULL;
    struct job *job;

    if (journal_list_transitions(d->journal, name, &transitions, NULL) < 0)
        return -1;
    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, name);
    stop = job ? json_incref(json_object_get(job->facts, "stop")) : NULL;
    pthread_mutex_unlock(&d->lock);
    downtime = downtime_json(transitions, stop);
    return field_bool(downtime, "complete", false)
               ? json_number_value(json_object_get(downtime, "total_s")) : -1;
}

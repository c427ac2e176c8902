/* SPDX-License-Identifier: Apache-2.0 */
/* A migration as the schedule sees it: from its parameters, its state and its past. */
#include "orchestrator/scheduler-inside.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"

static void read_params(struct watch *w)
{
    schedule_wish_done(&w->wish);
    schedule_wish_read(w->params, "manual", &w->wish);
    w->windows = (struct schedule_windows){.items = w->wish.windows,
                                           .count = w->wish.window_count};
}

void watch_update(struct daemon *d, struct watch *w, const struct look *look)
{
    _cleanup_error_ struct error *err = NULL;
    json_t *past;

    if (w->params != look->params) {
        json_decref(w->params);
        w->params = json_incref(look->params);
        read_params(w);
        w->refused_until = 0;
    }
    if (w->past && w->past_state == look->state && w->past_news == look->news)
        return;
    if (journal_get_past(d->journal, w->name, &past, &err) < 0) {
        log_about(LOG_LEVEL_WARNING, LOG_KIND_SCHEDULE, w->name, NULL,
                  "%s: its past cannot be read: %s", w->name, error_text(err));
        return;
    }
    json_decref(w->past);
    w->past = past;
    w->past_state = look->state;
    w->past_news = look->news;
}

void watch_done(struct watch *w)
{
    free(w->name);
    schedule_wish_done(&w->wish);
    free(w->refused);
    json_decref(w->params);
    json_decref(w->past);
}

/* When a row was written, on the monotonic clock of now: by that clock where it can be told, so that
 * a clock that was set meanwhile does no harm. */
static int64_t row_mono(const json_t *row, const struct stamp *now)
{
    int64_t age;

    if (strcmp(field_string(row, "boot_id", ""), now->boot_id) == 0 &&
        json_is_integer(json_object_get(row, "mono_ns")))
        return field_integer(row, "mono_ns", 0);
    age = now->wall_ns - field_integer(row, "wall_ns", now->wall_ns);
    return now->mono_ns - (age > 0 ? age : 0);
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

static const char *const syncing[] = {"created", "preparing", "syncing", NULL};
static const char *const up[] = {"hydrating", "finishing", "detaching", "window", "committing",
                                 "done", NULL};
static const char *const gone[] = {"rolling-back", "rolled-back", "cancelling", "cancelled", NULL};

static enum schedule_class class_of(const struct look *look)
{
    const char *state = job_state_name(look->state);

    if (strcmp(state, "planned") == 0)
        return SCHEDULE_PLANNED;
    if (is_one_of(state, syncing))
        return SCHEDULE_SYNCING;
    if (strcmp(state, "paused") == 0)
        return SCHEDULE_MIRRORED;
    if (strcmp(state, "mirrored") == 0)
        return look->active ? SCHEDULE_SYNCING : SCHEDULE_MIRRORED; /* something is to begin */
    if (strcmp(state, "window") == 0 && !look->active)
        return SCHEDULE_WINDOW;
    if (is_one_of(state, up))
        return SCHEDULE_DONE;
    if (is_one_of(state, gone))
        return SCHEDULE_GONE;
    if (strcmp(state, "failed") != 0)
        return SCHEDULE_CUTTING;
    return look->failed_state >= 0 && is_one_of(job_state_name(look->failed_state), syncing)
               ? SCHEDULE_SYNC_FAILED : SCHEDULE_CUTOVER_FAILED;
}

static void vm_state(const struct look *look, struct schedule_vm *vm)
{
    const char *state = job_state_name(look->state);

    vm->class = class_of(look);
    if (strcmp(state, "failed") == 0 && look->failed_state >= 0)
        state = job_state_name(look->failed_state);
    vm->up = is_one_of(state, up);
    vm->slot = vm->class == SCHEDULE_SYNCING || strcmp(state, "final-sync") == 0;
    vm->paused = look->state == JOB_PAUSED || json_is_true(json_object_get(look->facts, "paused"));
    vm->resumes = vm->paused && json_object_get(look->facts, "paused_for");
    vm->rehearsing = look->rehearsing;
    vm->queued = look->queued;
    vm->instant = look->instant;
}

/* It happened, and nobody has asked for something else since.  By the monotonic clock where that can
 * be told: a clock that is set back must not repeat a cutover. */
static bool is_final(const json_t *what, const json_t *facts)
{
    const json_t *asked = json_object_get(facts, "asked_anew");
    const char *boot = field_string(what, "boot_id", "");
    const char *field = strcmp(field_string(asked, "boot_id", "-"), boot) == 0 ? "mono_ns"
                                                                               : "wall_ns";

    return what && !(asked && field_integer(asked, field, 0) > field_integer(what, field, 0));
}

static void vm_past(const struct watch *w, const struct look *look, const struct stamp *now,
                    struct schedule_vm *vm)
{
    const json_t *pass = json_object_get(w->past, "pass");
    const json_t *failures = json_object_get(w->past, "failures");
    const json_t *window = json_object_get(w->past, "window");
    int64_t seconds = field_integer(look->params, "commit_window_s", 0);

    vm->pass_begin = vm->pass_end = SCHEDULE_NO_PASS;
    if (pass) {
        double s = json_number_value(json_object_get(pass, "seconds"));

        vm->pass_begin = row_mono(pass, now);
        vm->pass_end = vm->pass_begin + (s > 0 && s < 1e8 ? (int64_t)(s * 1e9) : 0);
    }
    vm->syncs_since = (unsigned)field_integer(json_object_get(w->past, "syncs"), "n", 0);
    vm->failures = (unsigned)field_integer(failures, "n", 0);
    if (vm->failures > 0)
        vm->failed_at = row_mono(failures, now);
    vm->cutover_failed = is_final(json_object_get(w->past, "cutover_failed"), look->facts);
    vm->gave_up = is_final(json_object_get(look->facts, "gave_up"), look->facts);
    vm->deadline = CALENDAR_NEVER;
    if (window && seconds > 0)
        vm->deadline = row_mono(window, now) + seconds * SCHEDULE_S;
}

void watch_vm(const struct watch *w, const struct look *look, const struct stamp *now,
              struct schedule_vm *vm)
{
    const struct forecast *f = &look->forecast;

    vm->name = w->name;
    schedule_wish_apply(&w->wish, vm);
    vm->memory = w->memory;
    /* What is refused must not keep the syncs waiting. */
    if (w->refused_action == SCHEDULE_REHEARSE && now->mono_ns < w->refused_until)
        vm->rehearse_every = 0;
    vm->forecast = (struct schedule_range){-1, -1, -1};
    vm->dirty_bytes_s = vm->rate_bytes_s = vm->snapshot_cost_s = -1;
    if (look->forecasted) {
        vm->forecast = (struct schedule_range){f->total.low, f->total.expected, f->total.high};
        vm->fixed_s = f->total.expected - (f->delta.expected > 0 ? f->delta.expected : 0);
        vm->fixed_s = vm->fixed_s > 0 ? vm->fixed_s : 0;
        vm->dirty_bytes_s = f->dirty_bytes_s;
        vm->rate_bytes_s = f->rate_bytes_s;
        vm->snapshot_cost_s = f->snapshot_cost_s;
    }
    vm_state(look, vm);
    vm_past(w, look, now, vm);
}

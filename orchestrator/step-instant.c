/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instant cutover: the target becomes the truth before everything is in it, and what it misses
 * comes from the stopped source while the VM runs.
 *
 *   stopping ─ instant-flip (source frozen, engine: flip) ─ morphing, flipping (draft over the
 *   owner) ─ defining, starting ─ hydrating ─ finishing (source released) ─ detaching
 *
 * The pass that froze the source stays open until nothing is missing any more.  Until the VM is
 * started nothing but the morph has been written, so a cutover can still be given up: the source
 * has everything.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor.h"
#include "orchestrator/steps.h"

#define LOOK_NS (500 * NS_PER_MS)
#define SOURCE_LOOK_NS (5 * NS_PER_S)

static bool owns(const struct engine_status *status)
{
    return str_starts(status->mode, "owner");
}

/* Says a complaint once, until another one or the all-clear (NULL) takes its place. */
static void complain(struct run *run, const char *text)
{
    if (text && (!run->complaint || strcmp(run->complaint, text) != 0))
        run_note(run, "%s", text);
    str_replace(&run->complaint, text);
}

static int moved_on(struct run *run, struct error **err)
{
    return error_set(err, ESTALE, "VM %s was started on its source, or its disks were written, "
                     "after the instant flip of %s, which still needs them; nothing more is taken "
                     "from there.  Decide which of the two VMs is to live", run->job->vm,
                     run->job->name);
}

static int source_is_off(struct run *run, struct error **err)
{
    enum source_power power;
    int r = run_open_source(run, err);

    if (r == 0)
        r = run->ops->power(run->source, run->job->vm, &power, err);
    if (r < 0)
        return r;
    return power == SOURCE_OFF ? 0 : moved_on(run, err);
}

/* Serves the frozen source again and tells the engine where. */
static int serve_source(struct run *run, const char *snapshot_id, struct error **err)
{
    struct source_snapshot *snapshot = NULL;
    _cleanup_json_ json_t *args = NULL;
    int64_t pass;
    int r = source_is_off(run, err);

    if (r == 0)
        r = pass_freeze(run, "instant", NULL, &pass, &snapshot, err);
    if (r < 0)
        return r;
    args = json_pack("{s:o}", "disks", pass_sources(snapshot));
    if (!snapshot_id || strcmp(snapshot->id, snapshot_id) != 0)
        r = moved_on(run, err);
    source_snapshot_free(snapshot);
    return r < 0 ? r : engine_call(run, "source", args, NULL, err);
}

static int look(struct run *run, struct engine_status *status, struct error **err)
{
    int r = engine_status_get(run, status, NULL);

    if (r < 0) /* the connection may be that of an engine that died: a second try starts one */
        r = engine_status_get(run, status, err);
    if (r < 0)
        return r;
    if (status->failed)
        return error_set(err, EIO, "the engine of %s has failed and accepts no more changes; "
                         "engine.log in its store and 'slipway engine fsck' say why",
                         run->job->name);
    return status->needs_source ? serve_source(run, status->snapshot, err) : 0;
}

int instant_look(struct run *run, struct engine_status *status, struct error **err)
{
    struct engine_status own = {0};
    int r = look(run, &own, err);

    if (r == 0 && status)
        *status = own;
    else
        engine_status_done(&own);
    return r;
}

/* The VM exists from starting on. */
static int vm_go_on(struct run *run, struct error **err)
{
    int r = job_states[run->job->state].flags & STATE_FLIPPED ? run_open_node(run, err) : 1;

    if (r != 0)
        return r < 0 ? r : 0;
    r = node_resume(run->node, run->job->name, err);
    if (r > 0)
        run_note(run, "the VM stood still because its disks were away; it goes on");
    return r < 0 ? r : 0;
}

static bool time_for_source(struct run *run)
{
    uint64_t now = clock_now_ns();

    if (now - run->source_looked_ns < SOURCE_LOOK_NS)
        return false;
    run->source_looked_ns = now;
    return true;
}

int instant_upkeep(struct run *run, struct engine_status *status, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    struct engine_status own = {0};
    int r = look(run, &own, &failure);

    if (r == 0 && own.missing_bytes > 0 && time_for_source(run))
        r = source_is_off(run, &failure);
    if (r == 0 && !own.needs_source)
        r = vm_go_on(run, &failure);
    if (r == -ESTALE || own.failed) {
        pass_discard(run, NULL); /* whatever is there now must not be taken for what was */
        engine_status_done(&own);
        return error_move(err, &failure);
    }
    complain(run, r < 0 ? error_text(failure) : NULL);
    if (r < 0)
        run_disconnect(run);
    if (status)
        *status = own;
    else
        engine_status_done(&own);
    return 0;
}

/* ---- the flip ---- */

static json_t *flip_args(const struct source_snapshot *snapshot, const char *since)
{
    return json_pack("{s:b, s:o, s:s, s:s*}", "instant", 1, "disks", pass_sources(snapshot),
                     "snapshot", snapshot->id, "since", since);
}

static int flip_now(struct run *run, const char *since, struct error **err)
{
    struct source_snapshot *snapshot = NULL;
    _cleanup_json_ json_t *args = NULL;
    int64_t pass;
    int r = pass_freeze(run, "instant", since, &pass, &snapshot, err);

    if (r < 0)
        return r;
    args = flip_args(snapshot, since);
    source_snapshot_free(snapshot);
    /* Remembered first: from here on the mirror may be gone. */
    r = job_set_fact(run->daemon, run->job, "instant_flipped", json_true(), err);
    return r < 0 ? r : engine_call(run, "flip", args, NULL, err);
}

/* What there is to hydrate, once: later engines only know what is still missing. */
static int note_missing(struct run *run, struct error **err)
{
    struct engine_status status = {0};
    int r = 0;

    if (json_object_get(run->job->facts, "to_hydrate"))
        return 0;
    r = engine_status_get(run, &status, err);
    engine_status_done(&status);
    return r < 0 ? r : job_set_fact(run->daemon, run->job, "to_hydrate",
                                    json_integer((json_int_t)status.missing_bytes), err);
}

int step_instant_flip(struct run *run, struct error **err)
{
    struct engine_status status = {0};
    int r = engine_settle(run, &status, err);

    bool flipped = r == 0 && owns(&status); /* by a try that was interrupted, or failed later */

    if (flipped)
        r = instant_look(run, NULL, err);
    if (r == 0 && !flipped)
        r = check_source_off(run, err);
    if (r == 0 && !flipped)
        r = flip_now(run, status.snapshot, err);
    engine_status_done(&status);
    return r < 0 ? r : note_missing(run, err);
}

/* ---- hydrating ---- */

static void show_progress(struct run *run, const struct engine_status *status)
{
    struct progress_state *p = &run->job->progress;
    uint64_t total = (uint64_t)field_integer(run->job->facts, "to_hydrate", 0);
    json_t *event;

    if (!*status->mode)
        return;
    pthread_mutex_lock(&run->daemon->lock);
    strcpy(p->phase, "hydrate");
    p->total_bytes = total > status->missing_bytes ? total : status->missing_bytes;
    p->done_bytes = p->total_bytes - status->missing_bytes;
    p->rate_bytes_s = status->rate_bytes_s;
    p->eta_s = status->rate_bytes_s ? (double)status->missing_bytes / (double)status->rate_bytes_s
                                    : -1;
    event = json_pack("{s:s, s:s, s:I, s:I, s:I}", "event", "progress", "phase", "hydrate",
                      "done_bytes", (json_int_t)p->done_bytes, "total_bytes",
                      (json_int_t)p->total_bytes, "rate_bytes_s", (json_int_t)p->rate_bytes_s);
    pthread_mutex_unlock(&run->daemon->lock);
    events_publish(run->daemon->events, run->job->name, 0, event);
}

/* The pass is over: what it brought, for the report.  Finishing releases the source. */
static int hydrated(struct run *run, int64_t generation, struct error **err)
{
    json_int_t bytes = field_integer(run->job->facts, "to_hydrate", 0);
    _cleanup_json_ json_t *pass = NULL, *result = NULL;
    struct stamp now;
    int r = journal_open_pass(run->daemon->journal, run->job->name, &pass, err);

    stamp_now(&now);
    result = json_pack("[{s:s, s:I, s:I}]", "disk", "*", "bytes", bytes,
                       "changed_bytes", bytes);
    if (r == 0 && pass)
        r = journal_commit_pass(run->daemon->journal, field_integer(pass, "id", 0), generation,
                                result,
                                (double)(now.wall_ns - field_integer(pass, "started_ns", 0)) /
                                    (double)NS_PER_S, err);
    if (r == 0)
        r = job_set_generation(run->daemon, run->job, generation, err);
    return r < 0 ? r : job_set_fact(run->daemon, run->job, "hydrated", json_true(), err);
}

static int hydrate(struct run *run, struct error **err)
{
    while (!job_fact(run->job, "hydrated")) {
        struct engine_status status = {0};
        int r = instant_upkeep(run, &status, err);
        bool here = r == 0 && strcmp(status.mode, "owner") == 0;
        int64_t generation = status.generation;

        if (r == 0)
            show_progress(run, &status);
        engine_status_done(&status);
        if (r < 0)
            return r;
        if (here)
            return hydrated(run, generation, err);
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while the VM was hydrated");
        clock_sleep_ns(LOOK_NS);
    }
    return 0;
}

int step_hydrate(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    int r;

    /* The VM runs already: limits that cannot be told are no reason to leave it without its disks. */
    if (!job_fact(run->job, "hydrated") && governor_begin_flow(run, true, &why) < 0)
        run_note(run, "the limits do not hold for what is still fetched: %s", error_text(why));
    r = hydrate(run, err);
    governor_end_flow(run);
    return r;
}

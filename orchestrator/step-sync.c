/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass: freeze the source, let the engine copy, tell the source that it was committed.
 *
 *   journal: pass begun ─ source: snapshot ─ journal: its private ─ engine: sync ─ journal:
 *   committed ─ source: snapshot ended ─ journal: pass ended
 *
 * Interrupted anywhere, the same pass is taken up again.  Whether its point in time was committed
 * is asked of the engine, which commits each snapshot id exactly once.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/group.h"
#include "orchestrator/metrics.h"
#include "orchestrator/governor.h"
#include "orchestrator/source-room.h"
#include "orchestrator/steps.h"

#define ENGINE_TRIES 3

int leftovers_clean(struct run *run, int64_t pass, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_leftovers(run->daemon->journal, run->job->name, pass, &rows, err);

    if (r == 0 && json_array_size(rows) > 0)
        r = run_open_source(run, err);
    if (r < 0)
        return r;
    json_array_foreach(rows, i, row) {
        r = run->ops->cleanup(run->source, json_object_get(row, "thing"), err);
        if (r == 0)
            r = journal_remove_leftover(run->daemon->journal, field_integer(row, "id", 0), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The snapshot of a pass as far as the journal knows it. */
static struct source_snapshot *snapshot_of_pass(const json_t *pass)
{
    struct source_snapshot *snapshot = mem_new(1, sizeof(*snapshot));

    snapshot->id = str_dup(field_string(pass, "snapshot", ""));
    snapshot->private = json_incref(json_object_get(pass, "private"));
    return snapshot;
}

static bool pass_has_snapshot(const json_t *pass)
{
    return field_string(pass, "snapshot", NULL) != NULL;
}

int pass_end(struct run *run, int64_t id, struct source_snapshot *snapshot, bool committed,
             bool done, struct error **err)
{
    int r = run_open_source(run, err);

    if (r < 0) {
        source_snapshot_free(snapshot);
        return r;
    }
    r = run->ops->snapshot_end(run->source, run->job->vm, snapshot, committed, err);
    if (r < 0)
        return r;
    if (done)
        r = job_set_fact(run->daemon, run->job, "step_done", json_true(), err);
    if (r < 0)
        return r;
    return committed ? journal_end_pass(run->daemon->journal, id, err)
                     : journal_drop_pass(run->daemon->journal, id, err);
}

int pass_discard(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *pass = NULL;
    int r = journal_open_pass(run->daemon->journal, run->job->name, &pass, err);
    int64_t id = field_integer(pass, "id", 0);

    if (r < 0 || !pass)
        return r;
    if (pass_has_snapshot(pass)) {
        bool committed = json_is_integer(json_object_get(pass, "generation"));

        return pass_end(run, id, snapshot_of_pass(pass), committed, false, err);
    }
    r = leftovers_clean(run, id, err);
    return r < 0 ? r : journal_drop_pass(run->daemon->journal, id, err);
}

static int remember_generation(struct run *run, int64_t generation, struct error **err)
{
    return job_set_generation(run->daemon, run->job, generation, err);
}

/* A pass that the engine has committed already, seen after a restart. */
static int pass_finish_committed(struct run *run, const json_t *pass, int64_t generation,
                                 struct error **err)
{
    int64_t id = field_integer(pass, "id", 0);
    int r = 0;

    if (!json_is_integer(json_object_get(pass, "generation")))
        r = journal_commit_pass(run->daemon->journal, id, generation, NULL, 0, err);
    if (r == 0)
        r = remember_generation(run, generation, err);
    return r < 0 ? r : pass_end(run, id, snapshot_of_pass(pass), true, true, err);
}

/* Lets a source's VM go on that was held for its group, also by a slipwayd that was killed. */
static int release(struct run *run, int64_t pass, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_leftovers(run->daemon->journal, run->job->name, pass, &rows, err);

    json_array_foreach(rows, i, row) {
        json_t *thing = json_object_get(row, "thing");

        if (r < 0 || strcmp(field_string(thing, "kind", ""), "hold") != 0)
            continue;
        r = run->ops->cleanup(run->source, thing, err);
        if (r == 0)
            r = journal_remove_leftover(run->daemon->journal, field_integer(row, "id", 0), err);
    }
    return r;
}

/* All VMs of the group stand still while each of them is frozen: one instant of all. */
static int freeze_held(struct run *run, const char *since, struct source_snapshot **ret_snapshot,
                       struct error **err)
{
    int r = run->ops->hold(run->source, run->job->vm, err);

    if (r == 0)
        r = group_wait(run, GROUP_HELD, err);
    if (r == 0)
        r = run->ops->snapshot_begin(run->source, run->job->vm, since, NULL, ret_snapshot, err);
    if (r < 0)
        return r;
    r = group_wait(run, GROUP_FROZEN, err);
    if (r < 0) {
        run->ops->snapshot_end(run->source, run->job->vm, *ret_snapshot, false, NULL);
        *ret_snapshot = NULL;
    }
    return r;
}

static int freeze_with_group(struct run *run, const char *since, int64_t pass,
                             struct source_snapshot **ret_snapshot, struct error **err)
{
    _cleanup_error_ struct error *released = NULL;
    int r;

    if (!run->ops->hold)
        return error_set(err, EOPNOTSUPP, "source %s cannot pause its VMs, so they cannot be "
                         "frozen at one instant: sync them one by one", run->job->source);
    r = group_wait(run, GROUP_HERE, err);
    if (r == 0)
        r = freeze_held(run, since, ret_snapshot, err);
    if (release(run, pass, &released) < 0 && r == 0) {
        run->ops->snapshot_end(run->source, run->job->vm, *ret_snapshot, false, NULL);
        *ret_snapshot = NULL;
        return error_move(err, &released);
    }
    return r;
}

static int freeze(struct run *run, const char *since, const json_t *resume, int64_t pass,
                  struct source_snapshot **ret_snapshot, struct error **err)
{
    int r = release(run, pass, err);

    if (r < 0)
        return r;
    if (!resume && group_syncs(run))
        return freeze_with_group(run, since, pass, ret_snapshot, err);
    return run->ops->snapshot_begin(run->source, run->job->vm, since, resume, ret_snapshot, err);
}

/* Freezes the source (or takes the snapshot of the interrupted pass up again). */
static int pass_snapshot(struct run *run, const json_t *pass, const char *since, int64_t id,
                         struct source_snapshot **ret_snapshot, struct error **err)
{
    const json_t *private = json_object_get(pass, "private");
    const json_t *resume = pass_has_snapshot(pass) ? private : NULL;
    const char *why = NULL;
    int r = 0;

    run->owner.pass = id;
    if (pass && !resume)
        r = leftovers_clean(run, id, err); /* of a snapshot whose begin was interrupted */
    if (r == 0)
        r = freeze(run, since, resume, id, ret_snapshot, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < (*ret_snapshot)->disk_count; i++)
        if ((*ret_snapshot)->disks[i].why_full)
            why = (*ret_snapshot)->disks[i].why_full;
    if (since && why)
        run_note(run, "everything is compared: %s", why);
    r = journal_set_pass_snapshot(run->daemon->journal, id, (*ret_snapshot)->id,
                                  (*ret_snapshot)->private, why, err);
    if (r < 0)
        source_snapshot_free(*ret_snapshot);
    return r;
}

json_t *pass_sources(const struct source_snapshot *snapshot)
{
    json_t *disks = json_array();

    for (size_t i = 0; i < snapshot->disk_count; i++) {
        const struct source_snapshot_disk *disk = &snapshot->disks[i];

        json_array_append_new(disks, json_pack("{s:s, s:s, s:s*}", "name", disk->name, "uri",
                                               disk->uri, "bitmap", disk->bitmap));
    }
    return disks;
}

static json_t *sync_args(struct run *run, const struct source_snapshot *snapshot)
{
    return json_pack("{s:o, s:s, s:O*}", "disks", pass_sources(snapshot), "snapshot", snapshot->id,
                     "connections", json_object_get(run->job->params, "connections"));
}

static bool engine_was_lost(int r)
{
    return r == -ECONNRESET || r == -ECONNREFUSED || r == -EPIPE;
}

/* An engine that dies is started again; it goes on where it was. */
static int sync_call(struct run *run, json_t *args, json_t **ret_result, struct error **err)
{
    for (int i = 1;; i++) {
        _cleanup_error_ struct error *failure = NULL;
        int r = engine_call(run, "sync", args, ret_result, &failure);

        if (r == 0)
            return 0;
        if (!engine_was_lost(r) || i == ENGINE_TRIES || run_interrupted(run))
            return error_move(err, &failure);
        run_note(run, "the engine went away (%s); it is started again", error_text(failure));
        clock_sleep_ns(NS_PER_S / 2);
    }
}

static void count_pass(struct run *run, const char *kind, const json_t *result, uint64_t took_ns)
{
    json_t *disks = json_object_get(result, "passes"), *disk;
    uint64_t bytes = 0;
    size_t i;

    json_array_foreach(disks, i, disk)
        bytes += (uint64_t)field_integer(disk, "bytes", 0);
    metrics_count_pass(run->daemon->metrics, kind, (double)took_ns / (double)NS_PER_S, bytes);
}

/* At the speed that the governor allows, and as long as there is room on the source. */
static int copy_governed(struct run *run, int64_t id, const struct source_snapshot *snapshot,
                         json_t **ret_result, struct error **err)
{
    _cleanup_json_ json_t *args = sync_args(run, snapshot);
    _cleanup_error_ struct error *failure = NULL;
    int r = governor_begin_flow(run, job_states[run->job->state].flags & STATE_CUTOVER, &failure);

    run->serving = snapshot->private;
    run->source_full = false;
    if (r == 0)
        r = sync_call(run, args, ret_result, &failure);
    run->serving = NULL;
    if (governor_end_flow(run) && r == 0)
        r = journal_set_pass_limited(run->daemon->journal, id, &failure);
    /* Then there is another sentence for it. */
    return r == 0 || run->source_full ? r : error_move(err, &failure);
}

static int pass_copy(struct run *run, const char *kind, int64_t id,
                     struct source_snapshot *snapshot, struct error **err)
{
    _cleanup_json_ json_t *result = NULL;
    uint64_t start = clock_now_ns();
    int64_t generation;
    int r = copy_governed(run, id, snapshot, &result, err);

    if (r == -ENOSPC && run->source_full)
        return source_room_give_up(run, id, snapshot, err);
    if (r == 0) {
        generation = field_integer(result, "generation", 0);
        r = journal_commit_pass(run->daemon->journal, id, generation,
                                json_object_get(result, "passes"),
                                (double)(clock_now_ns() - start) / (double)NS_PER_S, err);
    }
    if (r == 0)
        count_pass(run, kind, result, clock_now_ns() - start);
    if (r == 0)
        r = remember_generation(run, generation, err);
    if (r < 0) {
        /* The snapshot stays on the source, so that the copy can be resumed; cancel removes it. */
        source_snapshot_free(snapshot);
        return r;
    }
    return pass_end(run, id, snapshot, true, true, err);
}

/* Without anything to be a delta to it is the first one. */
static const char *kind_of(const char *kind, const char *since)
{
    return since ? kind : "initial";
}

static int pass_begin(struct run *run, const char *kind, const char *since, json_t *pass,
                      int64_t *ret_id, struct error **err)
{
    if (pass) {
        *ret_id = field_integer(pass, "id", 0);
        return 0;
    }
    return journal_begin_pass(run->daemon->journal, run->job->name, kind_of(kind, since), since,
                              ret_id, err);
}

int pass_freeze(struct run *run, const char *kind, const char *since, int64_t *ret_id,
                struct source_snapshot **ret_snapshot, struct error **err)
{
    _cleanup_json_ json_t *pass = NULL;
    int r = run_open_source(run, err);

    if (r == 0)
        r = journal_open_pass(run->daemon->journal, run->job->name, &pass, err);
    if (r == 0)
        r = pass_begin(run, kind, since, pass, ret_id, err);
    if (r < 0)
        return r;
    if (pass)
        since = field_string(pass, "since", NULL);
    return pass_snapshot(run, pass, since, *ret_id, ret_snapshot, err);
}

/* The engine may still copy for a slipwayd that was killed: that pass is joined, any other one is
 * waited for. */
static int status_for_pass(struct run *run, const json_t *pass, struct engine_status *status,
                           struct error **err)
{
    int r = engine_status_get(run, status, err);

    if (r < 0 || !status->busy)
        return r;
    if (status->syncing && strcmp(status->syncing, field_string(pass, "snapshot", "")) == 0)
        return 0;
    engine_status_done(status);
    return engine_settle(run, status, err);
}

static int pass_run(struct run *run, const char *kind, struct error **err)
{
    struct engine_status status = {0};
    struct source_snapshot *snapshot = NULL;
    _cleanup_json_ json_t *pass = NULL;
    int64_t id;
    int r = journal_open_pass(run->daemon->journal, run->job->name, &pass, err);

    if (job_fact(run->job, "step_done"))
        return r == 0 && pass ? journal_end_pass(run->daemon->journal,
                                                 field_integer(pass, "id", 0), err) : r;
    if (r == 0)
        r = status_for_pass(run, pass, &status, err);
    if (r == 0)
        r = run_open_source(run, err);
    if (r == 0 && pass && status.snapshot &&
        strcmp(status.snapshot, field_string(pass, "snapshot", "")) == 0) {
        r = pass_finish_committed(run, pass, status.generation, err);
        goto out;
    }
    if (r == 0)
        r = pass_begin(run, kind, status.snapshot, pass, &id, err);
    if (r == 0)
        r = pass_snapshot(run, pass, status.snapshot, id, &snapshot, err);
    if (r == 0)
        r = pass_copy(run, pass ? field_string(pass, "kind", kind) : kind_of(kind, status.snapshot),
                      id, snapshot, err);
out:
    engine_status_done(&status);
    return r;
}

int step_sync(struct run *run, struct error **err)
{
    int r;

    /* Members wait for each other: one that had no turn would keep those that have one. */
    if (group_syncs(run))
        return pass_run(run, "delta", err);
    r = governor_wait_turn(run);
    if (r < 0)
        return error_set(err, -r, "interrupted while waiting for its turn");
    r = pass_run(run, "delta", err);
    governor_end_turn(run);
    return r;
}

int step_final_sync(struct run *run, struct error **err)
{
    return pass_run(run, "final", err);
}

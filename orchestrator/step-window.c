/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time after a cutover in which one can go back, and its two ends.
 *
 * Until the commit the source is kept as it was when it stopped: off, guarded against being started
 * by accident, and watched (watch.c).  With failback the VM goes on running through the engine,
 * which remembers what it writes; a rollback then sends that to the source's disks before it is
 * started.
 */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/steps.h"

#define SESSION 0                       /* "pass" of the leftovers of a writing session */
#define ENOUGH_BYTES (UINT64_C(64) << 20) /* so little is sent with the VM stopped */
#define PASSES_MAX 8
#define POLL_NS (250 * NS_PER_MS)
#define ASK_AGAIN_NS (20 * NS_PER_S) /* guests ignore the button while they boot */

/* ---- guarding the source ---- */

void source_guard(struct run *run)
{
    _cleanup_error_ struct error *failure = NULL;
    json_t *before = json_object_get(run->job->facts, "guard");
    int r = 0;

    if (!run->ops->guard_read)
        return;
    if (!before) {
        r = run->ops->guard_read(run->source, run->job->vm, &before, &failure);
        if (r == 0)
            r = job_set_fact(run->daemon, run->job, "guard", before, &failure);
    }
    if (r == 0)
        r = run->ops->guard_set(run->source, run->job->vm, before, true, &failure);
    if (r < 0)
        run_note(run, "the source could not be guarded against being started by accident: %s",
                 error_text(failure));
}

int source_unguard(struct run *run, struct error **err)
{
    json_t *before = json_object_get(run->job->facts, "guard");
    int r;

    if (!before)
        return 0;
    r = run_open_source(run, err);
    if (r == 0)
        r = run->ops->guard_set(run->source, run->job->vm, before, false, err);
    return r < 0 ? r : job_set_fact(run->daemon, run->job, "guard", NULL, err);
}

/* ---- commit ---- */

static int retire_source(struct run *run, struct error **err)
{
    const char *end = field_string(run->job->params, "source_after_commit", "keep");
    _cleanup_error_ struct error *failure = NULL;
    enum source_power power;
    int r;

    if (strcmp(end, "keep") == 0 || job_fact(run->job, "retired"))
        return 0;
    r = run_open_source(run, err);
    if (r == 0 && !run->ops->retire)
        return error_set(err, EOPNOTSUPP, "source %s cannot %s its VM: do it there, and set "
                         "source_after_commit to keep", run->job->source, end);
    if (r == 0)
        r = run->ops->power(run->source, run->job->vm, &power, &failure);
    if (r == -ENOENT) /* done before we were interrupted, or by somebody else */
        return 0;
    if (r < 0)
        return error_move(err, &failure);
    if (power != SOURCE_OFF)
        return error_set(err, EPERM, "VM %s runs on its source again, so it is not %sd there: stop "
                         "it and commit again", run->job->vm, end);
    r = run->ops->retire(run->source, run->job->description, strcmp(end, "delete") == 0, err);
    if (r < 0)
        return r;
    run_note(run, "the VM on source %s was %sd", run->job->source, end);
    return job_set_fact(run->daemon, run->job, "retired", json_true(), err);
}

/* A source that cannot be cleaned now does not undo a commit: what is left stays in the journal,
 * and removing the migration tries again. */
int step_commit(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r = leftovers_clean(run, -1, &failure);

    if (r == -ECANCELED && run_interrupted(run))
        return error_move(err, &failure);
    if (r < 0)
        run_note(run, "the source could not be cleaned up: %s; 'slipway remove %s' tries again",
                 error_text(failure), run->job->name);
    r = retire_source(run, err);
    return r < 0 ? r : job_set_fact(run->daemon, run->job, "committed", json_true(), err);
}

/* ---- rollback ---- */

static bool is_off(const char *state)
{
    return strcmp(state, "off") == 0 || strcmp(state, "absent") == 0 ||
           strcmp(state, "crashed") == 0;
}

static void show_shutdown(struct run *run)
{
    struct progress_state *p = &run->job->progress;

    LOCK_FOR_SCOPE(&run->daemon->lock);
    memset(p, 0, sizeof(*p));
    strcpy(p->phase, "shutdown");
    p->eta_s = -1;
}

/* The VM on the node is off when this returns 0: asked first, forced when its time is up, because
 * one that hangs may be why somebody goes back. */
static int stop_target(struct run *run, struct error **err)
{
    uint64_t timeout_ns = (uint64_t)field_integer(run->job->params, "shutdown_timeout_s", 300) *
                          NS_PER_S;
    uint64_t start = clock_now_ns(), asked = 0;
    const char *state = "";
    int r = run_open_node(run, err);

    show_shutdown(run);
    while (r == 0) {
        uint64_t now = clock_now_ns();

        r = node_state(run->node, run->job->name, &state, err);
        if (r < 0 || is_off(state))
            return r;
        if (now - start >= timeout_ns) {
            run_note(run, "the VM on the node does not shut down: it is switched off");
            return node_stop(run->node, run->job->name, true, err);
        }
        if (asked == 0 || now - asked > ASK_AGAIN_NS) {
            asked = now;
            r = node_ask_off(run->node, run->job->name, err);
        }
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while the VM on the node was stopped");
        clock_sleep_ns(POLL_NS);
    }
    return r;
}

static json_t *failback_args(const struct source_snapshot *session, bool final)
{
    return json_pack("{s:o, s:b}", "disks", pass_sources(session), "final", final);
}

/* While the VM runs: until little is left to be sent with the VM stopped. */
static int send_while_running(struct run *run, const struct source_snapshot *session,
                              struct error **err)
{
    uint64_t before = UINT64_MAX;

    for (int i = 0; i < PASSES_MAX; i++) {
        _cleanup_json_ json_t *args = failback_args(session, false), *result = NULL;
        int r = engine_call(run, "failback", args, &result, err);
        uint64_t left = (uint64_t)field_integer(result, "dirty_bytes", 0);

        if (r < 0)
            return r;
        if (left <= ENOUGH_BYTES || left >= before)
            return 0;
        before = left;
    }
    return 0;
}

static int send_back(struct run *run, const struct source_snapshot *session, struct error **err)
{
    _cleanup_json_ json_t *args = failback_args(session, true);
    struct engine_status status = {0};
    int r = engine_settle(run, &status, err);
    bool returned = r == 0 && strcmp(status.mode, "returned") == 0;

    engine_status_done(&status);
    if (r == 0 && !returned)
        r = send_while_running(run, session, err);
    if (r == 0)
        r = stop_target(run, err);
    return r == 0 ? engine_call(run, "failback", args, NULL, err) : r;
}

/* The source's disks are opened for writing; what an interrupted try has left of that is ended. */
static int session_run(struct run *run, struct error **err)
{
    struct source_snapshot *session = NULL;
    _cleanup_error_ struct error *failure = NULL;
    enum source_power power;
    int r = leftovers_clean(run, SESSION, err);

    if (r == 0)
        r = run_open_source(run, err);
    if (r == 0 && !run->ops->write_begin)
        r = error_set(err, EOPNOTSUPP, "source %s cannot be written to, so nothing can be sent "
                      "back: roll back without failback", run->job->source);
    if (r == 0)
        r = run->ops->power(run->source, run->job->vm, &power, err);
    if (r == 0 && power != SOURCE_OFF)
        r = error_set(err, EPERM,
                      "VM %s runs on its source, so nothing can be sent back to it: stop "
                      "it there and roll back again",
                      run->job->vm);
    run->owner.pass = SESSION;
    if (r == 0)
        r = run->ops->write_begin(run->source, run->job->vm, &session, err);
    if (r < 0)
        return r;
    r = send_back(run, session, &failure);
    if (run->ops->snapshot_end(run->source, run->job->vm, session, false, r < 0 ? NULL : err) < 0 &&
        r == 0)
        return -EIO;
    return r < 0 ? error_move(err, &failure) : 0;
}

/* Sends what the VM has written to its source, once. */
static int failback(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r;

    if (!job_fact(run->job, "send_back") || job_fact(run->job, "sent_back"))
        return 0;
    r = session_run(run, err);
    run_detach_engine(run);
    if (r == 0)
        r = job_set_fact(run->daemon, run->job, "sent_back", json_true(), err);
    return r < 0 ? r : engine_host_stop(store, err);
}

/* The engine of a VM that ran through it ends when the VM is off; nobody sends its writes. */
static int leave_engine(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r;

    if (!job_through_engine(run->job) || job_fact(run->job, "sent_back"))
        return 0;
    r = engine_detach_store(run, err);
    return r < 0 ? r : engine_host_stop(store, err);
}

int step_rollback(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r = failback(run, err);

    if (r == 0)
        r = stop_target(run, err);
    if (r == 0)
        r = leave_engine(run, err);
    if (r == 0)
        r = source_restore(run, err);
    if (r == 0)
        r = node_undefine(run->node, run->job->name, err);
    if (r < 0)
        return r;
    if (leftovers_clean(run, -1, &failure) < 0)
        run_note(run, "the source could not be cleaned up: %s; 'slipway cancel %s' tries again",
                 error_text(failure), run->job->name);
    /* What follows would be a new mirror: the old one has been written to. */
    return job_set_fact(run->daemon, run->job, "afresh", json_true(), err);
}

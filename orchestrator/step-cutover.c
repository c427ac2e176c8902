/* SPDX-License-Identifier: Apache-2.0 */
/* Stop the source; flip, with the morphed draft as the last generation. */
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/group.h"
#include "orchestrator/hooks.h"
#include "orchestrator/rehearsal.h"
#include "orchestrator/steps.h"


static enum source_stop_policy stop_policy(const struct job *job)
{
    const char *policy = field_string(job->params, "shutdown_policy", "fail");

    if (strcmp(policy, "wait") == 0)
        return SOURCE_STOP_WAIT;
    return strcmp(policy, "force") == 0 ? SOURCE_STOP_FORCE : SOURCE_STOP_FAIL;
}

/* Remembers how the source was, once, so that it can be put back to that. */
static int remember_power(struct run *run, struct error **err)
{
    enum source_power power;
    int r;

    if (json_object_get(run->job->facts, "source_was"))
        return 0;
    r = run->ops->power(run->source, run->job->vm, &power, err);
    if (r < 0)
        return r;
    return job_set_fact(run->daemon, run->job, "source_was",
                        json_string(power == SOURCE_OFF ? "off" : "running"), err);
}

/* When the downtime began: what was done in this state before did not cost any. */
static int remember_stop(struct run *run, struct error **err)
{
    struct stamp now;

    if (json_object_get(run->job->facts, "stop"))
        return 0;
    stamp_now(&now);
    return job_set_fact(run->daemon, run->job, "stop",
                        json_pack("{s:I, s:I, s:s}", "wall_ns", (json_int_t)now.wall_ns, "mono_ns",
                                  (json_int_t)now.mono_ns, "boot_id", now.boot_id),
                        err);
}

int step_stop(struct run *run, struct error **err)
{
    int64_t timeout_s = field_integer(run->job->params, "shutdown_timeout_s", 300);
    int r = hooks_before_cutover(run, err);

    if (r == 0)
        r = run_open_source(run, err);
    if (r == 0)
        rehearsal_end(run);
    /* Frozen before the source stopped is too old to be the last; but what an instant flip froze
     * is the source of what is still missing. */
    if (r == 0 && !job_fact(run->job, "instant_flipped"))
        r = pass_discard(run, err);
    if (r == 0)
        r = remember_power(run, err);
    if (r == 0)
        r = morph_warm(run, err);
    if (r == 0)
        r = remember_stop(run, err);
    if (r < 0)
        return r;
    r = run->ops->shutdown(run->source, run->job->vm, (uint64_t)timeout_s * NS_PER_S,
                           stop_policy(run->job), run_interrupted, run, err);
    if (r < 0)
        return error_prefix(err, "the source did not stop");
    source_guard(run);
    return group_wait(run, GROUP_STOPPED, err);
}

int check_source_off(struct run *run, struct error **err)
{
    enum source_power power;
    int r = run_open_source(run, err);

    if (r == 0)
        r = run->ops->power(run->source, run->job->vm, &power, err);
    if (r < 0 || power == SOURCE_OFF)
        return r;
    return error_set(err, EPERM, "VM %s was started on its source during the cutover, so the "
                     "target is not its last state any more; run cutover again", run->job->vm);
}

/* The draft becomes the newest generation.  An engine that died took the draft with it: then the
 * guest is morphed again. */
static int seal(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r;

    if (!field_bool(run->job->params, "morph", true))
        return 0;
    r = morph_draft_call(run, "draft-seal", &failure);
    if (r != -ENOENT)
        return r < 0 ? error_move(err, &failure) : 0;
    r = morph_now(run, err);
    return r == 0 ? morph_draft_call(run, "draft-seal", err) : r;
}

/* After an instant flip there is only the draft to be sealed. */
static int seal_owner(struct run *run, struct error **err)
{
    struct engine_status status = {0};
    int r = engine_settle(run, &status, err);
    bool sealed = r == 0 && status.sealed;

    engine_status_done(&status);
    if (r < 0 || sealed)
        return r;
    r = check_source_off(run, err);
    return r < 0 ? r : seal(run, err);
}

/* Brings the engine to owner mode. */
static int flip(struct run *run, struct error **err)
{
    struct engine_status status = {0};
    bool owner;
    int r;

    if (job_instant(run->job))
        return seal_owner(run, err);
    r = engine_settle(run, &status, err);
    if (r < 0)
        return r;
    owner = strcmp(status.mode, "owner") == 0 || strcmp(status.mode, "detached") == 0;
    engine_status_done(&status);
    if (owner)
        return 0;
    r = check_source_off(run, err);
    if (r == 0 && !status.sealed)
        r = seal(run, err);
    return r < 0 ? r : engine_call(run, "flip", NULL, NULL, err);
}

/* Writes down what is known after a failed flip: it decides whether there is a way back. */
static void note_unflipped(struct run *run)
{
    struct engine_status status = {0};
    bool instant = job_instant(run->job);

    /* Behind an instant flip no sync is possible, but the source has everything still. */
    if (engine_settle(run, &status, NULL) == 0 &&
        (instant || strcmp(status.mode, "mirror") == 0)) {
        job_set_fact(run->daemon, run->job, "sealed", json_boolean(instant || status.sealed), NULL);
        job_set_fact(run->daemon, run->job, "unflipped", json_true(), NULL);
    }
    engine_status_done(&status);
}

int engine_detach_store(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    _cleanup_json_ json_t *rest = NULL;
    struct engine_status status = {0};
    _cleanup_error_ struct error *failure = NULL;
    int r = engine_settle(run, &status, &failure);

    if (r == 0 && strcmp(status.mode, "detached") != 0)
        r = engine_call(run, "detach", NULL, NULL, &failure);
    engine_status_done(&status);
    run_detach_engine(run);
    /* An engine does not start on a store that was detached before we were interrupted. */
    if (r < 0 && (engine_host_rest_status(store, &rest, NULL) < 0 ||
                  strcmp(field_string(rest, "mode", ""), "detached") != 0))
        return error_move(err, &failure);
    return job_set_fact(run->daemon, run->job, "detached", json_true(), err);
}

int step_flip(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    int r = 0;

    if (!job_fact(run->job, "flipped")) {
        r = job_set_fact(run->daemon, run->job, "unflipped", NULL, err);
        if (r == 0)
            r = flip(run, err);
        if (r < 0)
            note_unflipped(run);
        else
            r = job_set_fact(run->daemon, run->job, "flipped", json_true(), err);
    }
    if (job_through_engine(run->job))
        return r; /* the VM's disks are the engine's exports for now */
    /* QEMU opens the targets itself, so the engine has to let go of them. */
    if (r == 0 && !job_fact(run->job, "detached"))
        r = engine_detach_store(run, err);
    run_detach_engine(run);
    return r < 0 ? r : engine_host_stop(store, err);
}

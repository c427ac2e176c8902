/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/steps.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"
#include "orchestrator/source-room.h"

#define PROGRESS_INTERVAL_NS ((int64_t)(500 * NS_PER_MS))

step_fn *const steps[JOB_STATE_COUNT] = {
    [JOB_CREATED] = step_create,       [JOB_PREPARING] = step_prepare,
    [JOB_SYNCING] = step_sync,         [JOB_STOPPING] = step_stop,
    [JOB_FINAL_SYNC] = step_final_sync, [JOB_INSTANT_FLIP] = step_instant_flip,
    [JOB_MORPHING] = step_morph,       [JOB_FLIPPING] = step_flip,
    [JOB_DEFINING] = step_define,      [JOB_STARTING] = step_start,
    [JOB_HYDRATING] = step_hydrate,    [JOB_FINISHING] = step_finish,
    [JOB_DETACHING] = step_detach,     [JOB_REVERTING] = step_revert,
    [JOB_CANCELLING] = step_cancel,    [JOB_COMMITTING] = step_commit,
    [JOB_ROLLING_BACK] = step_rollback,
};

int run_open_source(struct run *run, struct error **err)
{
    if (run->source)
        return 0;
    return sources_open(run->daemon, &run->owner, &run->ops, &run->source, err);
}

int run_attach_engine(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);

    if (run->engine)
        return 0;
    return engine_host_attach(store, &run->engine, NULL, err);
}

int run_open_node(struct run *run, struct error **err)
{
    _cleanup_free_ char *root = str_format("%s/node", run->daemon->options->state_dir);

    if (run->node)
        return 0;
    return node_open(run->daemon->options->node_uri, root, &run->node, err);
}

void run_detach_engine(struct run *run)
{
    run->engine = control_close(run->engine);
}

void run_disconnect(struct run *run)
{
    morph_cool(run);
    run_detach_engine(run);
    if (run->source)
        run->ops->close(run->source);
    run->source = NULL;
    if (run->node)
        node_close(run->node);
    run->node = NULL;
}

void run_note(struct run *run, const char *fmt, ...)
{
    char text[1000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    str_make_utf8(text);
    log_about(LOG_LEVEL_INFO, LOG_KIND_NOTE, run->job->name, run->job->source, "%s: %s",
              run->job->name, text);
    events_record(run->daemon->events, run->job->name,
                  json_pack("{s:s, s:s}", "event", "note", "message", text));
}

static void progress_take(struct run *run, const json_t *event)
{
    struct progress_state *p = &run->job->progress;
    const json_t *eta = json_object_get(event, "eta_s");

    LOCK_FOR_SCOPE(&run->daemon->lock);
    snprintf(p->phase, sizeof(p->phase), "%s", field_string(event, "phase", "copy"));
    p->done_bytes = (uint64_t)field_integer(event, "done_bytes", 0);
    p->total_bytes = (uint64_t)field_integer(event, "total_bytes", 0);
    p->rate_bytes_s = (uint64_t)json_number_value(json_object_get(event, "rate_bytes_s"));
    p->eta_s = json_is_number(eta) ? json_number_value(eta) : -1;
}

static int engine_event(const json_t *event, void *context)
{
    struct run *run = context;
    int64_t now = (int64_t)clock_now_ns();
    json_t *copy;

    if (run_interrupted(run))
        return -ECANCELED;
    if (source_room_look(run) < 0)
        return -ENOSPC;
    if (strcmp(field_string(event, "event", ""), "progress") != 0 ||
        json_object_get(event, "disk"))
        return 0;
    progress_take(run, event);
    if (now - run->last_event_ns < PROGRESS_INTERVAL_NS)
        return 0;
    run->last_event_ns = now;
    copy = json_copy((json_t *)event);
    json_object_del(copy, "id");
    events_publish(run->daemon->events, run->job->name, 0, copy);
    return 0;
}

int engine_call(struct run *run, const char *verb, json_t *args, json_t **ret_result,
                struct error **err)
{
    int r = run_attach_engine(run, err);

    job_trace("engine-before", verb);
    if (r == 0)
        r = control_call(run->engine, verb, args, engine_event, run, ret_result, err);
    if (r < 0)
        run_detach_engine(run);
    else
        job_trace("engine-after", verb);
    return r;
}

/* What the disks miss, and whether the source for it is there. */
static void read_hydration(const json_t *result, struct engine_status *status)
{
    json_t *disk;
    size_t i;

    json_array_foreach(json_object_get(result, "disks"), i, disk) {
        const json_t *h = json_object_get(disk, "hydration");
        const char *source = field_string(h, "source", "up"); /* nothing said: nothing needed */
        uint64_t missing = (uint64_t)field_integer(disk, "missing_bytes", 0);

        status->missing_bytes += missing;
        status->rate_bytes_s += (uint64_t)field_integer(h, "rate_bytes_s", 0);
        /* "connecting" is the engine's own business until it gives up. */
        if (missing > 0 && (strcmp(source, "unknown") == 0 || strcmp(source, "lost") == 0))
            status->needs_source = true;
    }
}

int engine_status_get(struct run *run, struct engine_status *status, struct error **err)
{
    _cleanup_json_ json_t *result = NULL;
    int r = engine_call(run, "status", NULL, &result, err);
    const char *snapshot;

    if (r < 0)
        return r;
    snapshot = field_string(result, "snapshot", NULL);
    snprintf(status->mode, sizeof(status->mode), "%s", field_string(result, "mode", "mirror"));
    /* A first sync is named before it is whole: that is no generation yet. */
    if (strcmp(status->mode, "init") == 0)
        snapshot = NULL;
    status->snapshot = str_dup(snapshot && *snapshot ? snapshot : NULL);
    snapshot = field_string(json_object_get(result, "sync"), "snapshot", NULL);
    status->syncing = str_dup(snapshot);
    status->busy = json_is_string(json_object_get(result, "operation"));
    status->sealed = field_bool(result, "local_changes", false);
    status->generation = field_integer(result, "generation", -1);
    status->failed = field_bool(result, "failed", false);
    if (strcmp(status->mode, "owner-hydrating") == 0)
        read_hydration(result, status);
    return 0;
}

void engine_status_done(struct engine_status *status)
{
    free(status->snapshot);
    free(status->syncing);
    status->snapshot = status->syncing = NULL;
}

int engine_settle(struct run *run, struct engine_status *status, struct error **err)
{
    for (;;) {
        int r = engine_status_get(run, status, err);

        if (r < 0 || !status->busy)
            return r;
        engine_status_done(status);
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while the engine was busy");
        clock_sleep_ns(NS_PER_S / 5);
    }
}

void engine_cancel_sync(const char *store)
{
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, store);
    struct control *control = NULL;

    /* Without an engine there is nothing to cancel; a failure is found by the job's own thread. */
    if (control_connect(path, &control, NULL) == 0)
        control_call(control, "cancel", NULL, NULL, NULL, NULL, NULL);
    control_close(control);
}

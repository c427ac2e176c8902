/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/hooks.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/hookfile.h"
#include "orchestrator/logkind.h"

static const char *const names[HOOK_EVENT_COUNT] = {
    [HOOK_PRE_CUTOVER] = "pre-cutover",   [HOOK_POST_CUTOVER] = "post-cutover",
    [HOOK_ON_FAILURE] = "on-failure",     [HOOK_POST_COMMIT] = "post-commit",
    [HOOK_POST_ROLLBACK] = "post-rollback", [HOOK_POST_REHEARSAL] = "post-rehearsal",
};

/* The hooks of one event at work. */
struct occasion {
    struct run *run;
    enum hook_event event;
    const char *hook; /* name of the one that runs */
};

static bool daemon_ends(struct daemon *d)
{
    LOCK_FOR_SCOPE(&d->lock);
    return d->stopping;
}

/* Only what has not begun can be cancelled; and a VM that runs from the engine needs that. */
static bool interrupted(void *context)
{
    struct occasion *o = context;

    if (o->event == HOOK_PRE_CUTOVER)
        return run_interrupted(o->run);
    if (o->event == HOOK_POST_CUTOVER && job_instant(o->run->job))
        instant_upkeep(o->run, NULL, NULL);
    return daemon_ends(o->run->daemon);
}

static void log_line(void *context, const char *text)
{
    struct occasion *o = context;

    log_about(LOG_LEVEL_INFO, LOG_KIND_HOOK, o->run->job->name, o->run->job->source,
              "%s: hook %s: %s", o->run->job->name, o->hook, text);
}

static char *input_text(struct occasion *o, const char *reason, int64_t attempt)
{
    struct daemon *d = o->run->daemon;
    _cleanup_json_ json_t *input = NULL;
    json_t *migration;
    char *text;

    pthread_mutex_lock(&d->lock);
    migration = job_json_locked(d, o->run->job);
    pthread_mutex_unlock(&d->lock);
    input = json_pack("{s:s, s:I, s:s?, s:o}", "event", names[o->event], "attempt",
                      (json_int_t)attempt, "reason", reason, "migration", migration);
    text = input ? json_dumps(input, JSON_INDENT(2)) : NULL;
    return text ? text : str_dup("{}");
}

/* All of them, up to the first that fails. */
static int run_all(struct occasion *o, const struct hookfile_list *list, const char *reason,
                   int64_t attempt, struct error **err)
{
    _cleanup_free_ char *input = input_text(o, reason, attempt);
    _cleanup_free_ char *event = str_format("SLIPWAY_EVENT=%s", names[o->event]);
    _cleanup_free_ char *name = str_format("SLIPWAY_MIGRATION=%s", o->run->job->name);
    _cleanup_free_ char *number = str_format("SLIPWAY_ATTEMPT=%lld", (long long)attempt);
    char *env[] = {event, name, number, NULL};
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const struct hookfile_run hook = {
            .path = list->paths[i], .input = input, .env = env, .interrupted = interrupted,
            .timeout_ns = o->run->daemon->options->hook_timeout_s * NS_PER_S,
            .line = log_line, .context = o};

        o->hook = strrchr(hook.path, '/') + 1;
        log_about(LOG_LEVEL_INFO, LOG_KIND_HOOK, o->run->job->name, o->run->job->source,
                  "%s: the hook %s of %s begins", o->run->job->name, o->hook, names[o->event]);
        job_trace("hook", names[o->event]);
        r = hookfile_execute(&hook, err);
    }
    return r;
}

/* Remembers that they have begun; the fact is there as long as they have not ended. */
static int begin(struct occasion *o, int64_t *ret_attempt, struct error **err)
{
    struct run *run = o->run;
    const json_t *was = json_object_get(run->job->facts, "hook");
    bool again = strcmp(field_string(was, "event", ""), names[o->event]) == 0;

    *ret_attempt = again ? field_integer(was, "attempt", 0) + 1 : 1;
    if (run->rehearsal) /* which is not what may write the job's facts */
        return 0;
    return job_set_fact(run->daemon, run->job, "hook",
                        json_pack("{s:s, s:I}", "event", names[o->event], "attempt",
                                  (json_int_t)*ret_attempt), err);
}

static int occur(struct run *run, enum hook_event event, const char *reason, struct error **err)
{
    struct occasion o = {.run = run, .event = event};
    const char *folder = run->daemon->options->hooks;
    struct hookfile_list list = {0};
    int64_t attempt;
    int r = folder ? hookfile_find(folder, names[event], &list, err) : 0;

    if (r < 0 || list.count == 0)
        return r;
    r = begin(&o, &attempt, err);
    if (r == 0)
        r = run_all(&o, &list, reason, attempt, err);
    hookfile_list_done(&list);
    if (!run->rehearsal && !(r == -ECANCELED && daemon_ends(run->daemon)))
        job_set_fact(run->daemon, run->job, "hook", NULL, NULL);
    return r;
}

int hooks_before_cutover(struct run *run, struct error **err)
{
    int r;

    if (json_object_get(run->job->facts, "stop"))
        return 0;
    r = occur(run, HOOK_PRE_CUTOVER, NULL, err);
    return r < 0 ? error_prefix(err, "the cutover has not begun") : 0;
}

static int occur_after(struct run *run, enum hook_event event, const char *reason)
{
    _cleanup_error_ struct error *err = NULL;
    int r = occur(run, event, reason, &err);

    if (r == -ECANCELED && daemon_ends(run->daemon))
        return r;
    if (r < 0)
        run_note(run, "%s", error_text(err));
    return 0;
}

int hooks_after_step(struct run *run, enum job_state next, const struct error *why)
{
    const struct job *job = run->job;

    if (why && next == JOB_FAILED)
        return occur_after(run, HOOK_ON_FAILURE, error_text(why));
    if (why)
        return 0; /* told when the way back is done */
    switch (job->state) {
    case JOB_STARTING:
        return occur_after(run, HOOK_POST_CUTOVER, NULL);
    case JOB_REVERTING:
        return occur_after(run, HOOK_ON_FAILURE, job->error);
    case JOB_COMMITTING:
        return occur_after(run, HOOK_POST_COMMIT, NULL);
    case JOB_ROLLING_BACK:
        return occur_after(run, HOOK_POST_ROLLBACK, NULL);
    default:
        return 0;
    }
}

int hooks_after_rehearsal(struct run *run, const char *outcome)
{
    return occur_after(run, HOOK_POST_REHEARSAL, outcome);
}

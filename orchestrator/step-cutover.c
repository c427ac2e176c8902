/* SPDX-License-Identifier: Apache-2.0 */
/* Stop the source, morph a draft of the last generation, flip. */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/steps.h"

#define DRAFT "morph"
#define MORPH_POLL_NS (200 * NS_PER_MS)
#define MORPH_TIMEOUT_NS (3600 * NS_PER_S)
#define MORPH_REPORT_MAX (1 << 20)
#define DROP_TIMEOUT_NS (30 * NS_PER_S)
#define MORPH_REFUSED 20 /* nothing was changed */

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

int step_stop(struct run *run, struct error **err)
{
    int64_t timeout_s = field_integer(run->job->params, "shutdown_timeout_s", 300);
    int r = run_open_source(run, err);

    /* Frozen before the source stopped is too old to be the last; but what an instant flip froze
     * is the source of what is still missing. */
    if (r == 0 && !job_fact(run->job, "instant_flipped"))
        r = pass_discard(run, err);
    if (r == 0)
        r = remember_power(run, err);
    if (r < 0)
        return r;
    r = run->ops->shutdown(run->source, run->job->vm, (uint64_t)timeout_s * NS_PER_S,
                           stop_policy(run->job), run_interrupted, run, err);
    return r < 0 ? error_prefix(err, "the source did not stop") : 0;
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

static int draft_call(struct run *run, const char *verb, struct error **err)
{
    _cleanup_json_ json_t *args = json_pack("{s:s}", "name", DRAFT);

    return engine_call(run, verb, args, NULL, err);
}

int draft_drop(struct run *run, struct error **err)
{
    uint64_t start = clock_now_ns();

    for (;;) {
        _cleanup_error_ struct error *failure = NULL;
        int r = draft_call(run, "draft-drop", &failure);

        if (r == 0 || r == -ENOENT)
            return 0;
        /* A slipway-morph that was ended a moment ago may still be connected. */
        if (r != -EBUSY || clock_now_ns() - start > DROP_TIMEOUT_NS || run_interrupted(run))
            return error_move(err, &failure);
        clock_sleep_ns(NS_PER_S / 5);
    }
}

/* argv of slipway-morph; freed by argv_free. */
static char **morph_argv(struct run *run)
{
    const struct job *job = run->job;
    _cleanup_free_ char *store = job_store(run->daemon, job);
    json_t *disks = json_object_get(job->description, "disks"), *item;
    json_t *nics = json_object_get(job->description, "nics");
    char **argv = mem_new(5 + 2 * (json_array_size(disks) + json_array_size(nics)), sizeof(*argv));
    size_t i, n = 0;

    argv[n++] = str_dup(run->daemon->options->morph);
    argv[n++] = str_dup("--json");
    argv[n++] = str_dup("--accel");
    argv[n++] = str_dup(job_accel(job));
    json_array_foreach(disks, i, item) {
        _cleanup_free_ char *export = str_format(DRAFT "/%s", field_string(item, "name", ""));

        argv[n++] = str_dup("--disk");
        argv[n++] = engine_host_uri(store, export);
    }
    json_array_foreach(nics, i, item) {
        argv[n++] = str_dup("--nic");
        argv[n++] = str_dup(field_string(item, "mac", ""));
    }
    return argv;
}

static void argv_free(char **argv)
{
    for (char **a = argv; *a; a++)
        free(*a);
    free(argv);
}

/* The last line of the log, for the sentence. */
static char *last_line(const char *path)
{
    char *text, *line;
    size_t length;

    if (fdio_read_file(path, MORPH_REPORT_MAX, &text, &length) < 0)
        return str_dup("");
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    line = strrchr(text, '\n');
    line = str_dup(line ? line + 1 : text);
    free(text);
    return line;
}

/* The phase slipway-morph is in, from the JSON lines of its log, as the job's progress. */
static void morph_show_phase(struct run *run, const char *log)
{
    _cleanup_free_ char *line = last_line(log);
    _cleanup_json_ json_t *j = json_loads(line, 0, NULL);
    const char *phase = field_string(j, "phase", NULL);
    struct progress_state *p = &run->job->progress;

    if (!phase)
        return;
    LOCK_FOR_SCOPE(&run->daemon->lock);
    snprintf(p->phase, sizeof(p->phase), "%s", phase);
    p->eta_s = -1;
}

static int morph_wait(struct run *run, pid_t pid, const char *log, int *ret_status,
                      struct error **err)
{
    uint64_t start = clock_now_ns();
    int r;

    while ((r = proc_wait(pid, MORPH_POLL_NS, ret_status)) == -ETIMEDOUT) {
        bool late = clock_now_ns() - start > MORPH_TIMEOUT_NS;

        morph_show_phase(run, log);
        if (!late && !run_interrupted(run))
            continue;
        proc_stop(pid, 5 * NS_PER_S);
        if (late)
            return error_set(err, ETIMEDOUT, "slipway-morph did not finish within an hour");
        return error_set(err, ECANCELED, "interrupted while the guest was changed");
    }
    return r < 0 ? error_set_errno(err, -r, "cannot follow slipway-morph") : 0;
}

/* Runs slipway-morph with its output in files of the store, which outlive us. */
static int morph_spawn(struct run *run, const char *report, const char *log, int *ret_status,
                       struct error **err)
{
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    _cleanup_close_ int out = open(report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_close_ int errors = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char **argv;
    pid_t pid;
    int r;

    if (out < 0 || errors < 0)
        return error_set_errno(err, errno, "cannot write %s", out < 0 ? report : log);
    options.stdout_fd = out;
    options.stderr_fd = errors;
    options.die_with_parent = true; /* nobody else may write to the draft after us */
    argv = morph_argv(run);
    r = proc_spawn(argv, &options, &pid, err);
    argv_free(argv);
    return r < 0 ? r : morph_wait(run, pid, log, ret_status, err);
}

/* Why it failed: the sentence of its JSON, or the last line it wrote. */
static char *morph_reason(const json_t *result, const char *log)
{
    _cleanup_free_ char *line = last_line(log);
    _cleanup_json_ json_t *j = json_loads(line, 0, NULL);
    const char *sentence = field_string(result, "error", field_string(j, "error", NULL));

    return sentence ? str_dup(sentence) : str_dup(line);
}

static int morph_verdict(struct run *run, const char *report, const char *log, int status,
                         struct error **err)
{
    _cleanup_free_ char *text = NULL, *reason = NULL;
    _cleanup_json_ json_t *result = NULL;

    if (fdio_read_file(report, MORPH_REPORT_MAX, &text, NULL) == 0)
        result = json_loads(text, 0, NULL);
    if (status == 0)
        return result ? job_set_fact(run->daemon, run->job, "morph", json_incref(result), err) : 0;
    reason = morph_reason(result, log);
    return error_set(err, status == MORPH_REFUSED ? EPERM : EIO,
                     "slipway-morph %s (exit code %d): %s; its log is %s, and a migration with "
                     "--no-morph moves the guest unchanged",
                     status == MORPH_REFUSED ? "refused the guest" : "could not change the guest",
                     status, *reason ? reason : "it gave no reason", log);
}

int step_morph(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    _cleanup_free_ char *report = str_format("%s/morph.json", store);
    _cleanup_free_ char *log = str_format("%s/morph.log", store);
    int status = 0, r;

    if (!field_bool(run->job->params, "morph", true))
        return 0;
    r = check_source_off(run, err);
    if (r == 0 && job_instant(run->job))
        r = instant_look(run, NULL, err); /* the morph reads what is missing, too */
    if (r == 0)
        r = draft_drop(run, err); /* of an interrupted attempt */
    if (r == 0)
        r = draft_call(run, "draft-create", err);
    if (r < 0)
        return r;
    job_trace("morph", "running");
    r = morph_spawn(run, report, log, &status, err);
    if (r == 0)
        r = morph_verdict(run, report, log, status, err);
    if (r < 0)
        draft_drop(run, NULL);
    return r;
}

/* The draft becomes the newest generation.  An engine that died took the draft with it: then the
 * guest is morphed again. */
static int seal(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    int r;

    if (!field_bool(run->job->params, "morph", true))
        return 0;
    r = draft_call(run, "draft-seal", &failure);
    if (r != -ENOENT)
        return r < 0 ? error_move(err, &failure) : 0;
    r = step_morph(run, err);
    return r == 0 ? draft_call(run, "draft-seal", err) : r;
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
    if (job_instant(run->job))
        return r; /* the VM's disks are the engine's exports for now */
    /* QEMU opens the targets itself, so the engine has to let go of them. */
    if (r == 0 && !job_fact(run->job, "detached"))
        r = engine_detach_store(run, err);
    run_detach_engine(run);
    return r < 0 ? r : engine_host_stop(store, err);
}

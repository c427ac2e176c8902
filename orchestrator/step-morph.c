/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipway-morph on a draft of the last generation.
 *
 * Its appliance takes longer to start than all the rest it does, so it is started before the source
 * stops, on exports that are there before the draft is (engine/export-early.c), and told to go once
 * the draft is made.  What was started so is a convenience: when it did not come up, or the daemon
 * was started anew meanwhile, the morph begins from the start.
 */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/group.h"
#include "orchestrator/params.h"
#include "orchestrator/steps.h"

#define DRAFT "morph"
#define MORPH_POLL_NS (200 * NS_PER_MS)
#define MORPH_TIMEOUT_NS (3600 * NS_PER_S)
#define MORPH_REPORT_MAX (1 << 20)
#define DROP_TIMEOUT_NS (30 * NS_PER_S)
#define MORPH_REFUSED 20 /* nothing was changed */
#define WARM_TIMEOUT_NS (60 * NS_PER_S)
#define CHECK_TIMEOUT_NS (30 * NS_PER_S)

/* A slipway-morph that was started; its output is in files of the store, which outlive us. */
struct morpher {
    char *report, *log;
    pid_t pid;  /* 0: none any more */
    int go_fd;  /* the word goes here; -1: it needs none, or has it */
};

int morph_draft_call(struct run *run, const char *verb, struct error **err)
{
    _cleanup_json_ json_t *args = json_pack("{s:s}", "name", DRAFT);

    return engine_call(run, verb, args, NULL, err);
}

int draft_drop(struct run *run, struct error **err)
{
    uint64_t start = clock_now_ns();

    for (;;) {
        _cleanup_error_ struct error *failure = NULL;
        int r = morph_draft_call(run, "draft-drop", &failure);

        if (r == 0 || r == -ENOENT)
            return 0;
        /* A slipway-morph that was ended a moment ago may still be connected. */
        if (r != -EBUSY || clock_now_ns() - start > DROP_TIMEOUT_NS || run_interrupted(run))
            return error_move(err, &failure);
        clock_sleep_ns(NS_PER_S / 5);
    }
}

/* What it shall do. */
struct morph_task {
    const char *draft;  /* static */
    const char *record; /* folder for the recipe; NULL: one that is there is replayed */
    bool warm;          /* it waits for the word once its appliance runs */
};

/* argv of slipway-morph; freed by argv_free. */
static char **morph_argv(struct run *run, const struct morph_task *task)
{
    const struct job *job = run->job;
    _cleanup_free_ char *store = job_store(run->daemon, job);
    _cleanup_free_ char *recipe = str_format("%s/recipe", store); /* of a rehearsal */
    json_t *disks = json_object_get(job->description, "disks"), *item;
    json_t *nics = json_object_get(job->description, "nics");
    _cleanup_json_ json_t *options = params_morph_options(job->params);
    char **argv = mem_new(8 + 2 * (json_array_size(disks) + json_array_size(nics)) +
                              json_array_size(options), sizeof(*argv));
    size_t i, n = 0;

    argv[n++] = str_dup(run->daemon->options->morph);
    argv[n++] = str_dup("--json");
    argv[n++] = str_dup("--accel");
    argv[n++] = str_dup(job_accel(job));
    if (task->warm)
        argv[n++] = str_dup("--wait");
    if (task->record) {
        argv[n++] = str_dup("--record");
        argv[n++] = str_dup(task->record);
    } else if (access(recipe, R_OK) == 0) {
        argv[n++] = str_dup("--replay");
        argv[n++] = str_dup(recipe);
    }
    json_array_foreach(disks, i, item) {
        _cleanup_free_ char *export =
            str_format("%s/%s%s", task->draft, field_string(item, "name", ""),
                       task->warm ? "+early" : "");

        argv[n++] = str_dup("--disk");
        argv[n++] = engine_host_uri(store, export);
    }
    json_array_foreach(nics, i, item) {
        argv[n++] = str_dup("--nic");
        argv[n++] = str_dup(field_string(item, "mac", ""));
    }
    json_array_foreach(options, i, item)
        argv[n++] = str_dup(json_string_value(item));
    return argv;
}

static void argv_free(char **argv)
{
    for (char **a = argv; *a; a++)
        free(*a);
    free(argv);
}

int morph_check_options(const struct daemon *d, const struct job *job, struct error **err)
{
    _cleanup_json_ json_t *options = params_morph_options(job->params);
    json_t *item;
    char **argv = mem_new(3 + json_array_size(options), sizeof(*argv));
    _cleanup_error_ struct error *failure = NULL;
    size_t i, n = 0;
    int r = 0;

    argv[n++] = str_dup(d->options->morph);
    argv[n++] = str_dup("--check");
    json_array_foreach(options, i, item)
        argv[n++] = str_dup(json_string_value(item));
    if (json_array_size(options) > 0)
        r = proc_run(argv, CHECK_TIMEOUT_NS, NULL, &failure);
    argv_free(argv);
    return r < 0 ? error_set(err, EINVAL, "the options for the change of the guest are refused: %s",
                             error_text(failure)) : 0;
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

    if (!phase || run->rehearsal)
        return;
    LOCK_FOR_SCOPE(&run->daemon->lock);
    snprintf(p->phase, sizeof(p->phase), "%s", phase);
    p->eta_s = -1;
}

static void morpher_free(struct morpher *m)
{
    if (m->pid > 0)
        proc_stop(m->pid, 5 * NS_PER_S);
    if (m->go_fd >= 0)
        close(m->go_fd);
    free(m->report);
    free(m->log);
    free(m);
}

void morph_cool(struct run *run)
{
    if (run->morpher)
        morpher_free(run->morpher);
    run->morpher = NULL;
}

static int morph_spawn(struct run *run, const struct morph_task *task, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    struct morpher *m = mem_new(1, sizeof(*m));
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    _cleanup_close_ int out = -1, errors = -1, input = -1;
    int words[2] = {-1, -1}, r = 0;
    char **argv;

    *m = (struct morpher){.report = str_format("%s/%s.json", store, task->draft),
                          .log = str_format("%s/%s.log", store, task->draft),
                          .go_fd = -1};
    run->morpher = m;
    out = open(m->report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    errors = open(m->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0 || errors < 0)
        return error_set_errno(err, errno, "cannot write %s", out < 0 ? m->report : m->log);
    if (task->warm && pipe2(words, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "cannot make a pipe");
    input = words[0];
    m->go_fd = words[1];
    options.stdin_fd = input;
    options.stdout_fd = out;
    options.stderr_fd = errors;
    options.die_with_parent = true; /* nobody else may write to the draft after us */
    argv = morph_argv(run, task);
    r = proc_spawn(argv, &options, &m->pid, err);
    argv_free(argv);
    return r;
}

/* Follows it to its end. */
static int morph_wait(struct run *run, int *ret_status, struct error **err)
{
    struct morpher *m = run->morpher;
    uint64_t start = clock_now_ns();
    int r;

    while ((r = proc_wait(m->pid, MORPH_POLL_NS, ret_status)) == -ETIMEDOUT) {
        bool late = clock_now_ns() - start > MORPH_TIMEOUT_NS;

        morph_show_phase(run, m->log);
        if (late)
            return error_set(err, ETIMEDOUT, "slipway-morph did not finish within an hour");
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while the guest was changed");
    }
    m->pid = 0;
    return r < 0 ? error_set_errno(err, -r, "cannot follow slipway-morph") : 0;
}

/* Has it come so far that it waits for the word? */
static bool is_warm(const struct morpher *m)
{
    _cleanup_free_ char *line = last_line(m->log);
    _cleanup_json_ json_t *j = json_loads(line, 0, NULL);

    return strcmp(field_string(j, "phase", ""), "wait") == 0;
}

int morph_warm(struct run *run, struct error **err)
{
    _cleanup_error_ struct error *why = NULL; /* no failure of the caller's */
    uint64_t start = clock_now_ns();
    struct morpher *m;
    int status, r;

    if (!field_bool(run->job->params, "morph", true) || run->morpher)
        return 0;
    r = run_attach_engine(run, &why);
    if (r == 0)
        r = morph_spawn(run, &(struct morph_task){.draft = DRAFT, .warm = true}, &why);
    m = run->morpher;
    while (r == 0 && !is_warm(m) && clock_now_ns() - start < WARM_TIMEOUT_NS) {
        morph_show_phase(run, m->log);
        if (run_interrupted(run))
            return error_set(err, ECANCELED, "interrupted while slipway-morph was started");
        if (proc_wait(m->pid, MORPH_POLL_NS / 4, &status) != -ETIMEDOUT) {
            m->pid = 0;
            break;
        }
    }
    if (r == 0 && is_warm(m) && m->pid > 0)
        return 0;
    /* Whatever the reason, the morph itself will meet it again and tell it. */
    morph_cool(run);
    run_note(run, "slipway-morph did not start early (%s): the downtime will have its whole time",
             why ? error_text(why) : "it ended, or needed more than a minute; see morph.log");
    return 0;
}

/* The word to one that waits.  False: there is none, or it is gone. */
static bool morph_go(struct run *run)
{
    struct morpher *m = run->morpher;

    if (!m || m->go_fd < 0 || fdio_write_all(m->go_fd, "go\n", 3) < 0)
        return false;
    close(m->go_fd);
    m->go_fd = -1;
    return true;
}

/* Why it failed: the sentence of its JSON, or the last line it wrote. */
static char *morph_reason(const json_t *result, const char *log)
{
    _cleanup_free_ char *line = last_line(log);
    _cleanup_json_ json_t *j = json_loads(line, 0, NULL);
    const char *sentence = field_string(result, "error", field_string(j, "error", NULL));

    return sentence ? str_dup(sentence) : str_dup(line);
}

static int morph_verdict(const struct morpher *m, int status, json_t **ret_result,
                         struct error **err)
{
    const char *report = m->report, *log = m->log;
    _cleanup_free_ char *text = NULL, *reason = NULL;
    _cleanup_json_ json_t *result = NULL;

    if (fdio_read_file(report, MORPH_REPORT_MAX, &text, NULL) == 0)
        result = json_loads(text, 0, NULL);
    if (status == 0) {
        *ret_result = steal_ptr(result);
        return 0;
    }
    reason = morph_reason(result, log);
    return error_set(err, status == MORPH_REFUSED ? EPERM : EIO,
                     "slipway-morph %s (exit code %d): %s; its log is %s, and a migration with "
                     "--no-morph moves the guest unchanged",
                     status == MORPH_REFUSED ? "refused the guest" : "could not change the guest",
                     status, *reason ? reason : "it gave no reason", log);
}

int morph_now(struct run *run, struct error **err)
{
    _cleanup_json_ json_t *result = NULL;
    int status = 0, r;

    if (!field_bool(run->job->params, "morph", true))
        return 0;
    r = check_source_off(run, err);
    if (r == 0 && job_instant(run->job))
        r = instant_look(run, NULL, err); /* the morph reads what is missing, too */
    if (r == 0)
        r = draft_drop(run, err); /* of an interrupted attempt */
    if (r == 0)
        r = morph_draft_call(run, "draft-create", err);
    if (r < 0)
        return r;
    job_trace("morph", "running");
    if (!morph_go(run)) {
        morph_cool(run);
        r = morph_spawn(run, &(struct morph_task){.draft = DRAFT}, err);
    }
    if (r == 0)
        r = morph_wait(run, &status, err);
    if (r == 0)
        r = morph_verdict(run->morpher, status, &result, err);
    morph_cool(run);
    if (r == 0 && result)
        r = job_set_fact(run->daemon, run->job, "morph", json_incref(result), err);
    if (r < 0)
        draft_drop(run, NULL);
    return r;
}

int step_morph(struct run *run, struct error **err)
{
    int r = morph_now(run, err);

    return r < 0 ? r : group_wait(run, GROUP_READY, err);
}

int morph_rehearse(struct run *run, const char *draft, const char *record, json_t **ret_result,
                   struct error **err)
{
    int status = 0, r;

    r = morph_spawn(run, &(struct morph_task){.draft = draft, .record = record}, err);
    if (r == 0)
        r = morph_wait(run, &status, err);
    if (r == 0)
        r = morph_verdict(run->morpher, status, ret_result, err);
    morph_cool(run);
    return r;
}

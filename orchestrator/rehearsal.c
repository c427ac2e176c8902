/* SPDX-License-Identifier: Apache-2.0 */
/* Rehearsals as things: journal, thread, verbs.  What they do is in rehearsal-steps.c. */
#include <regex.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/metrics.h"
#include "orchestrator/hooks.h"
#include "orchestrator/logkind.h"
#include "orchestrator/rehearsal-inside.h"

#define TIMEOUT_DEFAULT_S 600
#define CONSOLE "console:"
#define PORT "port:"

static const char *const states[] = {"drafting", "morphing", "booting", "kept", "discarding",
                                     "passed",   "failed",   "stopped"};

/* The same text, static. */
static const char *state_of(const char *text)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strcmp(states[i], text) == 0)
            return states[i];
    return "stopped";
}

static const struct field fields[] = {{"check", FIELD_STRING, false},
                                      {"timeout_s", FIELD_INTEGER, false},
                                      {"keep", FIELD_BOOL, false},
                                      {"connect", FIELD_BOOL, false},
                                      {NULL}};

void rehearsal_free(struct rehearsal *h)
{
    if (!h)
        return;
    json_decref(h->params);
    json_decref(h->result);
    free(h);
}

/* Takes a reference to params. */
static struct rehearsal *rehearsal_new(struct daemon *d, struct job *job, int64_t id,
                                       const json_t *params, int64_t started_ns)
{
    struct rehearsal *h = mem_new(1, sizeof(*h));

    *h = (struct rehearsal){.daemon = d,
                            .job = job,
                            .id = id,
                            .params = json_incref((json_t *)params),
                            .started_ns = started_ns,
                            .state = "drafting",
                            .result = json_object(),
                            .active = true};
    return h;
}

static json_t *to_json(int64_t id, const char *state, const json_t *params, const json_t *result,
                       int64_t started_ns, bool active)
{
    json_t *j = json_pack("{s:I, s:s, s:b, s:s, s:b, s:I}", "id", (json_int_t)id, "state", state,
                          "active", active, "check", field_string(params, "check", "auto"), "keep",
                          field_bool(params, "keep", false), "started_ns", (json_int_t)started_ns);

    json_object_update(j, (json_t *)result);
    return j;
}

json_t *rehearsal_json_locked(const struct job *job)
{
    const struct rehearsal *h = job->rehearsal;

    return h ? to_json(h->id, h->state, h->params, h->result, h->started_ns, h->active)
             : json_null();
}

bool rehearsal_interrupted(const struct rehearsal *h)
{
    LOCK_FOR_SCOPE(&h->daemon->lock);
    return h->stop || h->daemon->stopping;
}

void rehearsal_set_result(struct rehearsal *h, const char *key, json_t *value)
{
    LOCK_FOR_SCOPE(&h->daemon->lock);
    json_object_set_new(h->result, key, value);
}

int rehearsal_set_state(struct rehearsal *h, const char *state, struct error **err)
{
    struct daemon *d = h->daemon;
    _cleanup_json_ json_t *result = NULL;
    bool ended = strcmp(state, "passed") == 0 || strcmp(state, "failed") == 0 ||
                 strcmp(state, "stopped") == 0;
    int r;

    pthread_mutex_lock(&d->lock);
    result = json_copy(h->result);
    pthread_mutex_unlock(&d->lock);
    r = journal_set_rehearsal(d->journal, h->id, state, result, ended, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&d->lock);
    h->state = state;
    job_tell_locked(d, h->job);
    pthread_mutex_unlock(&d->lock);
    job_trace("rehearsal", state);
    if (ended)
        metrics_count_rehearsal(d->metrics, state);
    if (ended || strcmp(state, "kept") == 0)
        forecast_refresh(d, h->job->name);
    events_record(d->events, h->job->name,
                  json_pack("{s:s, s:I, s:s}", "event", "rehearsal", "rehearsal",
                            (json_int_t)h->id, "state", state));
    return 0;
}

/* ---- the thread ---- */

struct performance {
    struct rehearsal *rehearsal;
    bool resumed; /* only what a dead slipwayd left is discarded */
};

static double seconds_since(uint64_t start)
{
    return (double)((clock_now_ns() - start) / NS_PER_MS) / 1000.0;
}

static void wait_while_kept(struct rehearsal *h)
{
    struct daemon *d = h->daemon;

    LOCK_FOR_SCOPE(&d->lock);
    while (!h->stop && !d->stopping)
        pthread_cond_wait(&d->changed, &d->lock);
}

static const char *verdict(struct rehearsal *h, int r, struct error *why)
{
    if (r == 0)
        return "passed";
    rehearsal_set_result(h, "error", json_string(why ? error_text(why) : "interrupted"));
    return r == -ECANCELED ? "stopped" : "failed";
}

static int perform(struct run *run, struct rehearsal *h, const char **ret_verdict,
                   struct error **err)
{
    _cleanup_error_ struct error *why = NULL;
    uint64_t start = clock_now_ns();
    int r = rehearsal_play(run, h, &why);

    *ret_verdict = verdict(h, r, why);
    if (r == 0 && field_bool(h->params, "keep", false)) {
        r = rehearsal_set_state(h, "kept", err);
        if (r < 0)
            return r;
        wait_while_kept(h);
    }
    rehearsal_set_result(h, "seconds", json_real(seconds_since(start)));
    return 0;
}

/* A daemon that ends leaves all as it is; the next one discards. */
static bool leaves(struct daemon *d)
{
    LOCK_FOR_SCOPE(&d->lock);
    return d->stopping;
}

static void end_thread(struct rehearsal *h)
{
    struct daemon *d = h->daemon;

    LOCK_FOR_SCOPE(&d->lock);
    h->active = false;
    job_tell_locked(d, h->job);
    d->threads--;
    pthread_cond_broadcast(&d->changed);
}

static void *rehearse(void *context)
{
    struct performance *p = context;
    struct rehearsal *h = p->rehearsal;
    struct run run = {.daemon = h->daemon, .job = h->job, .rehearsal = h};
    _cleanup_error_ struct error *err = NULL;
    const char *outcome = "stopped";
    int r = p->resumed ? 0 : perform(&run, h, &outcome, &err);

    if (r == 0 && !leaves(h->daemon)) {
        r = rehearsal_set_state(h, "discarding", &err);
        if (r == 0)
            r = rehearsal_discard(&run, h, &err);
        if (r == 0 && hooks_after_rehearsal(&run, outcome) == 0)
            r = rehearsal_set_state(h, outcome, &err);
    }
    if (r < 0)
        log_about(LOG_LEVEL_ERROR, LOG_KIND_REHEARSAL, h->job->name, h->job->source,
                  "%s: the rehearsal could not be cleared away: %s", h->job->name, error_text(err));
    run_disconnect(&run);
    end_thread(h);
    free(p);
    return NULL;
}

static int start_thread(struct rehearsal *h, bool resumed, struct error **err)
{
    struct performance *p = mem_new(1, sizeof(*p));
    struct daemon *d = h->daemon;
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    *p = (struct performance){.rehearsal = h, .resumed = resumed};
    pthread_mutex_lock(&d->lock);
    d->threads++;
    pthread_mutex_unlock(&d->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attr, rehearse, p);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    free(p);
    end_thread(h);
    return error_set_errno(err, r, "cannot start a thread for the rehearsal of %s", h->job->name);
}

/* ---- verbs ---- */

static int check_what(const char *check, struct error **err)
{
    static const char *const known[] = {"auto", "agent", "running"};
    regex_t regex;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(check, known[i]) == 0)
            return 0;
    if (str_starts(check, PORT)) {
        char *end;
        long port = strtol(check + strlen(PORT), &end, 10);

        if (check[strlen(PORT)] >= '1' && !*end && port <= 65535)
            return 0;
        return error_set(err, EINVAL, "check: '%s' must be port:NUMBER, 1 to 65535", check);
    }
    if (!str_starts(check, CONSOLE) || !check[strlen(CONSOLE)])
        return error_set(err, EINVAL, "check cannot be '%s': choose auto, agent, running, "
                         "console:REGEX or port:NUMBER", check);
    if (regcomp(&regex, check + strlen(CONSOLE), REG_EXTENDED | REG_NOSUB) != 0)
        return error_set(err, EINVAL, "check: '%s' is no extended regular expression",
                         check + strlen(CONSOLE));
    regfree(&regex);
    return 0;
}

/* A random one (RFC 9562, version 4). */
static int new_uuid(char text[37], struct error **err)
{
    unsigned char b[16];

    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return error_set_errno(err, errno, "cannot make a UUID");
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    for (size_t i = 0, at = 0; i < sizeof(b); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        at += (size_t)snprintf(text + at, 3, "%02x", b[i]);
    }
    return 0;
}

static int complete_params(const json_t *body, json_t **ret, struct error **err)
{
    int64_t timeout_s = field_integer(body, "timeout_s", TIMEOUT_DEFAULT_S);
    const char *check = field_string(body, "check", "auto");
    char text[37];
    int r = body ? fields_check(body, fields, "a rehearsal", err) : 0;

    if (r == 0)
        r = check_what(check, err);
    if (r == 0 && (timeout_s < 1 || timeout_s > 86400))
        r = error_set(err, EINVAL, "timeout_s must lie between 1 and 86400");
    if (r == 0)
        r = new_uuid(text, err);
    if (r < 0)
        return r;
    *ret = json_pack("{s:s, s:I, s:b, s:b, s:s}", "check", check, "timeout_s",
                     (json_int_t)timeout_s, "keep", field_bool(body, "keep", false), "connect",
                     field_bool(body, "connect", false), "uuid", text);
    return 0;
}

/* What it made could not be cleared away; nobody is at it. */
static bool owes_locked(const struct job *job)
{
    static const char *const over[] = {"passed", "failed", "stopped"};

    if (!job->rehearsal || job->rehearsal->active)
        return false;
    for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
        if (strcmp(job->rehearsal->state, over[i]) == 0)
            return false;
    return true;
}

static int may_begin_locked(struct daemon *d, const char *name, struct job **ret_job,
                            struct error **err)
{
    struct job *job = job_find_locked(d, name);

    if (!job)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    if (d->stopping)
        return error_set(err, EBUSY, "slipwayd is ending; try again when it runs");
    if (job->rehearsal && job->rehearsal->active)
        return error_set(err, EBUSY, "migration %s is being rehearsed already (%s)", name,
                         job->rehearsal->state);
    if (owes_locked(job))
        return error_set(err, EBUSY, "what the last rehearsal of %s has made could not be cleared "
                         "away: 'slipway rehearse %s --stop' tries again", name, name);
    if (!json_object_get(job->facts, "generation") ||
        (job->state != JOB_MIRRORED && job->state != JOB_SYNCING && job->state != JOB_PAUSED))
        return error_set(err, EPERM, "migration %s is %s: a rehearsal needs a mirror with a "
                         "generation", name, job_state_name(job->state));
    *ret_job = job;
    return 0;
}

int rehearsal_begin(struct daemon *d, const char *name, const json_t *body, json_t **ret,
                    struct error **err)
{
    _cleanup_json_ json_t *params = NULL;
    struct rehearsal *h = NULL;
    int64_t id = 0, started_ns = 0;
    struct job *job = NULL;
    int r = complete_params(body, &params, err);

    if (r < 0)
        return r;
    pthread_mutex_lock(&d->lock);
    r = may_begin_locked(d, name, &job, err);
    if (r == 0) {
        rehearsal_free(job->rehearsal);
        h = job->rehearsal = rehearsal_new(d, job, 0, params, 0); /* claimed */
    }
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return r;
    r = journal_begin_rehearsal(d->journal, name, params, &id, &started_ns, err);
    pthread_mutex_lock(&d->lock);
    h->id = id;
    h->started_ns = started_ns;
    h->active = r == 0;
    *ret = r == 0 ? rehearsal_json_locked(job) : NULL;
    if (r < 0) {
        job->rehearsal = NULL;
        rehearsal_free(h);
    }
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    return r < 0 ? r : start_thread(h, false, err);
}

/* Claims the rehearsal for another try to clear away what it made; NULL: there is nothing. */
static struct rehearsal *claim_owed_locked(struct job *job)
{
    if (!owes_locked(job))
        return NULL;
    job->rehearsal->active = true;
    return job->rehearsal;
}

int rehearsal_stop(struct daemon *d, const char *name, json_t **ret, struct error **err)
{
    struct rehearsal *owing = NULL;
    struct job *job;
    int r = 0;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, name);
    if (job)
        owing = claim_owed_locked(job);
    if (!job || !job->rehearsal || !job->rehearsal->active) {
        r = error_set(err, ENOENT, "there is no rehearsal of '%s' going on", name);
    } else {
        job->rehearsal->stop = true;
        pthread_cond_broadcast(&d->changed);
        *ret = rehearsal_json_locked(job);
    }
    pthread_mutex_unlock(&d->lock);
    if (owing)
        r = start_thread(owing, true, err);
    if (owing && r < 0)
        json_decref(*ret);
    return r;
}

int rehearsal_list(struct daemon *d, const char *name, json_t **ret, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *list, *row;
    size_t i;
    int r = 0;

    pthread_mutex_lock(&d->lock);
    if (!job_find_locked(d, name))
        r = error_set(err, ENOENT, "there is no migration named '%s'", name);
    pthread_mutex_unlock(&d->lock);
    if (r == 0)
        r = journal_list_rehearsals(d->journal, name, &rows, err);
    if (r < 0)
        return r;
    list = json_array();
    json_array_foreach(rows, i, row)
        json_array_append_new(list, to_json(field_integer(row, "id", 0),
                                            field_string(row, "state", "?"),
                                            json_object_get(row, "params"),
                                            json_object_get(row, "result"),
                                            field_integer(row, "started_ns", 0),
                                            field_integer(row, "ended", 0) == 0));
    *ret = list;
    return 0;
}

static void wait_for_end(struct daemon *d, struct job *job)
{
    LOCK_FOR_SCOPE(&d->lock);
    while (job->rehearsal && job->rehearsal->active && !d->stopping) {
        job->rehearsal->stop = true;
        pthread_cond_broadcast(&d->changed);
        pthread_cond_wait(&d->changed, &d->lock);
    }
}

/* One more try, of a rehearsal whose thread has ended. */
static void clear_owed(struct daemon *d, struct job *job)
{
    _cleanup_error_ struct error *err = NULL;
    struct rehearsal *owing;

    pthread_mutex_lock(&d->lock);
    owing = d->stopping ? NULL : claim_owed_locked(job);
    pthread_mutex_unlock(&d->lock);
    if (owing && start_thread(owing, true, &err) < 0)
        log_about(LOG_LEVEL_ERROR, LOG_KIND_REHEARSAL, job->name, job->source, "%s: %s", job->name,
                  error_text(err));
    wait_for_end(d, job);
}

int rehearsal_end_job(struct daemon *d, struct job *job, struct error **err)
{
    wait_for_end(d, job);
    clear_owed(d, job);
    LOCK_FOR_SCOPE(&d->lock);
    return owes_locked(job) ? error_set(err, EBUSY, "what a rehearsal of %s has made cannot be "
                                        "cleared away; the log of slipwayd says why", job->name)
                            : 0;
}

void rehearsal_end(struct run *run)
{
    rehearsal_end_job(run->daemon, run->job, NULL);
}

int rehearsals_resume(struct daemon *d, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_rehearsals(d->journal, NULL, &rows, err);

    json_array_foreach(rows, i, row) {
        struct job *job = job_find_locked(d, field_string(row, "migration", ""));

        if (!job || job->rehearsal) /* the latest comes first */
            continue;
        job->rehearsal = rehearsal_new(d, job, field_integer(row, "id", 0),
                                       json_object_get(row, "params"),
                                       field_integer(row, "started_ns", 0));
        json_object_update(job->rehearsal->result, json_object_get(row, "result"));
        job->rehearsal->active = false;
        job->rehearsal->state = state_of(field_string(row, "state", ""));
        if (field_integer(row, "ended", 0))
            continue;
        log_about(LOG_LEVEL_INFO, LOG_KIND_REHEARSAL, job->name, job->source,
                  "%s: what a rehearsal has left is discarded", job->name);
        job->rehearsal->active = true;
        r = start_thread(job->rehearsal, true, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sentry.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/logkind.h"

#define STOP_NS (30 * NS_PER_S) /* what the VM on the node has to shut down by itself */
#define POLL_NS (250 * NS_PER_MS)

/* What has to be looked at, copied so that no lock is held meanwhile. */
struct ward {
    char *name, *source, *vm, *store;
    bool stop_target, through_engine;
};

struct round {
    struct daemon *daemon;
    struct ward *wards;
    size_t count;
};

static bool is_ward(const struct job *job)
{
    return job->state == JOB_WINDOW && !job->active;
}

static void round_take(struct round *r)
{
    size_t count = 0;

    LOCK_FOR_SCOPE(&r->daemon->lock);
    for (const struct job *job = r->daemon->jobs; job; job = job->next)
        count += is_ward(job);
    r->wards = mem_new(count + 1, sizeof(*r->wards));
    for (const struct job *job = r->daemon->jobs; job; job = job->next)
        if (is_ward(job))
            r->wards[r->count++] = (struct ward){
                .name = str_dup(job->name),
                .source = str_dup(job->source),
                .vm = str_dup(job->vm),
                .store = job_store(r->daemon, job),
                .stop_target = strcmp(field_string(job->params, "on_source_alive", ""),
                                      "stop-target") == 0,
                .through_engine = job_through_engine(job)};
}

static void round_done(struct round *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->wards[i].name);
        free(r->wards[i].source);
        free(r->wards[i].vm);
        free(r->wards[i].store);
    }
    free(r->wards);
}

/* Says what has become of a ward, once; text NULL: all is well again.  True when that is new. */
static bool tell(struct daemon *d, const struct ward *w, const char *text)
{
    struct job *job;

    pthread_mutex_lock(&d->lock);
    job = job_find_locked(d, w->name);
    if (!job || !is_ward(job) || strcmp(job->alarm ? job->alarm : "", text ? text : "") == 0) {
        pthread_mutex_unlock(&d->lock);
        return false;
    }
    str_replace(&job->alarm, text);
    job_tell_locked(d, job);
    pthread_mutex_unlock(&d->lock);
    log_about(text ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, LOG_KIND_ALARM, w->name, w->source,
              "%s: %s", w->name, text ? text : "the source is off again");
    events_record(d->events, w->name,
                  json_pack("{s:s, s:s, s:b}", "event", "alarm", "message",
                            text ? text : "the source is off again", "over", text == NULL));
    return true;
}

/* Two VMs with one address and one set of data do more harm than none for a while. */
static void stop_target(struct daemon *d, const struct ward *w)
{
    _cleanup_free_ char *root = str_format("%s/node", d->options->state_dir);
    _cleanup_error_ struct error *err = NULL;
    uint64_t start = clock_now_ns();
    const char *state = "running";
    struct node *node;
    int r = node_open(d->options->node_uri, root, &node, &err);

    if (r == 0) {
        r = node_ask_off(node, w->name, &err);
        while (r == 0 && clock_now_ns() - start < STOP_NS &&
               (r = node_state(node, w->name, &state, &err)) == 0 &&
               strcmp(state, "running") == 0)
            clock_sleep_ns(POLL_NS);
        if (r == 0 && strcmp(state, "running") == 0)
            r = node_stop(node, w->name, true, &err);
        node_close(node);
    }
    log_about(r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, LOG_KIND_ALARM, w->name, w->source,
              "%s: the VM on the node %s%s", w->name,
              r < 0 ? "could not be stopped: " : "was stopped, because its source runs",
              r < 0 ? error_text(err) : "");
    events_record(d->events, w->name,
                  json_pack("{s:s, s:s}", "event", "note", "message",
                            r < 0 ? error_text(err)
                                  : "the VM on the node was stopped, because its source runs"));
}

static void look_at_source(struct daemon *d, const struct ward *w, const struct source_ops *ops,
                           struct source *source)
{
    _cleanup_free_ char *text = NULL;
    enum source_power power;

    /* A source that cannot be asked now says nothing about the VM. */
    if (ops->power(source, w->vm, &power, NULL) < 0)
        return;
    if (power != SOURCE_OFF)
        text = str_format("VM %s runs on its source %s, and here: stop one of them (slipway "
                          "rollback %s goes back)%s", w->vm, w->source, w->name,
                          w->stop_target ? "; the one here is stopped" : "");
    if (tell(d, w, text) && text && w->stop_target)
        stop_target(d, w);
}

/* All wards of one source, from index `first` on, by one connection. */
static void look_at_sources(struct round *r, size_t first)
{
    struct leftover_owner owner = {.source = r->wards[first].source, .migration = ""};
    const struct source_ops *ops;
    struct source *source;

    for (size_t i = 0; i < first; i++)
        if (strcmp(r->wards[i].source, r->wards[first].source) == 0)
            return; /* with the first one */
    if (sources_open(r->daemon, &owner, &ops, &source, NULL) < 0)
        return;
    for (size_t i = first; i < r->count; i++)
        if (strcmp(r->wards[i].source, r->wards[first].source) == 0)
            look_at_source(r->daemon, &r->wards[i], ops, source);
    ops->close(source);
}

static bool still_ward(struct daemon *d, const struct ward *w)
{
    const struct job *job;

    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, w->name);
    return job && is_ward(job) && !d->stopping;
}

static void look_at_engine(struct daemon *d, const struct ward *w)
{
    _cleanup_free_ char *root = str_format("%s/node", d->options->state_dir);
    struct control *control = NULL;
    struct node *node;
    bool started = false;

    if (!w->through_engine || !still_ward(d, w) ||
        engine_host_attach(w->store, &control, &started, NULL) < 0)
        return;
    control_close(control);
    if (!started)
        return;
    log_about(LOG_LEVEL_WARNING, LOG_KIND_NOTE, w->name, w->source,
              "%s: its engine was gone and was started again", w->name);
    events_record(d->events, w->name,
                  json_pack("{s:s, s:s}", "event", "note", "message",
                            "the engine was gone and was started again"));
    if (node_open(d->options->node_uri, root, &node, NULL) < 0)
        return;
    node_resume(node, w->name, NULL);
    node_close(node);
}

static void look(struct daemon *d)
{
    struct round r = {.daemon = d};

    round_take(&r);
    for (size_t i = 0; i < r.count && still_ward(d, &r.wards[i]); i++) {
        look_at_engine(d, &r.wards[i]);
        look_at_sources(&r, i);
    }
    round_done(&r);
}

/* False: slipwayd ends. */
static bool wait_turn(struct daemon *d)
{
    uint64_t until = clock_now_ns() + d->options->watch_s * NS_PER_S;
    struct timespec ts = {.tv_sec = (time_t)(until / NS_PER_S),
                          .tv_nsec = (long)(until % NS_PER_S)};

    LOCK_FOR_SCOPE(&d->lock);
    while (!d->stopping && clock_now_ns() < until)
        pthread_cond_timedwait(&d->changed, &d->lock, &ts);
    return !d->stopping;
}

static void *sentry_thread(void *context)
{
    struct daemon *d = context;

    while (wait_turn(d))
        look(d);
    LOCK_FOR_SCOPE(&d->lock);
    d->threads--;
    pthread_cond_broadcast(&d->changed);
    return NULL;
}

int sentry_start(struct daemon *d, struct error **err)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    pthread_mutex_lock(&d->lock);
    d->threads++;
    pthread_mutex_unlock(&d->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = pthread_create(&thread, &attr, sentry_thread, d);
    pthread_attr_destroy(&attr);
    if (r == 0)
        return 0;
    LOCK_FOR_SCOPE(&d->lock);
    d->threads--;
    return error_set_errno(err, r, "cannot start the thread that looks after moved VMs");
}

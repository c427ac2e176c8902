/* SPDX-License-Identifier: Apache-2.0 */
/* The governor at work: places, turns, shares. */
#include "orchestrator/governor-inside.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/govern-share.h"
#include "orchestrator/govern-slots.h"
#include "orchestrator/steps.h"

#define MORE_WORTH_TELLING 1.05 /* a share that grew by less is left as it was told */

static int64_t wall_now(void)
{
    struct stamp now;

    stamp_now(&now);
    return now.wall_ns;
}

/* ---- places ---- */

/* The address of a host as text, or NULL.  May take as long as a name server does. */
static char *address_of(const char *host)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char text[INET6_ADDRSTRLEN + 20];
    char *address = NULL;

    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return NULL;
    if (list && getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL, 0,
                            NI_NUMERICHOST) == 0)
        address = str_dup(text);
    freeaddrinfo(list);
    return address;
}

static bool knows_networks(struct daemon *d)
{
    LOCK_FOR_SCOPE(&d->lock);
    for (size_t i = 0; i < d->governor->limit_count; i++)
        if (govern_limit_scope(d->governor->limits[i]) == GOVERN_NETWORK)
            return true;
    return false;
}

/* Finds out where this job's sync runs; the job has it for everybody who divides. */
static void find_place(struct daemon *d, struct job *job)
{
    const char *host = field_string(job->description, "host", NULL);
    _cleanup_json_ json_t *row = NULL;
    struct govern_place place = {0};

    journal_get_source(d->journal, job->source, &row, NULL);
    place.source = str_dup(job->source);
    place.host = host ? str_dup(host) : govern_host_of_uri(field_string(row, "uri", ""));
    place.node = govern_host_of_uri(d->options->node_uri);
    if (knows_networks(d))
        place.address = address_of(place.host);
    LOCK_FOR_SCOPE(&d->lock);
    govern_place_done(&job->place);
    job->place = place;
}

/* ---- turns ---- */

static void count_running(struct daemon *d, struct govern_entries *entries, int64_t wall_ns,
                          struct slots_scope **scopes)
{
    size_t indices[GOVERN_PLACE_LIMITS];
    struct governor *g = d->governor;

    for (struct job *job = d->jobs; job; job = job->next)
        if (job->turn != TURN_NONE)
            govern_entries_add(entries, &job->place, g->limits, g->limit_count, wall_ns, indices);
    *scopes = mem_new(entries->count, sizeof(**scopes));
    for (size_t i = 0; i < entries->count; i++)
        (*scopes)[i].most = entries->list[i].amount.syncs;
    for (struct job *job = d->jobs; job; job = job->next) {
        size_t n;

        if (job->turn != TURN_TAKEN)
            continue;
        n = govern_entries_add(entries, &job->place, g->limits, g->limit_count, wall_ns, indices);
        (*scopes)[0].running++;
        for (size_t i = 0; i < n; i++)
            (*scopes)[indices[i]].running++;
    }
}

static struct slots_request request_of(struct daemon *d, const struct job *job,
                                       struct govern_entries *entries, int64_t wall_ns)
{
    struct slots_request q = {
        .priority = (int)field_integer(job->params, "priority", 50),
        .waiting_ns = (int64_t)clock_now_ns() - job->queued_ns,
        .ticket = job->ticket,
        .scope_count = 1, /* the daemon's */
    };
    size_t indices[GOVERN_PLACE_LIMITS];
    size_t n = govern_entries_add(entries, &job->place, d->governor->limits,
                                  d->governor->limit_count, wall_ns, indices);

    for (size_t i = 0; i < n && q.scope_count < SLOTS_SCOPES_MAX; i++)
        if (entries->list[indices[i]].amount.syncs)
            q.scopes[q.scope_count++] = indices[i];
    return q;
}

/* True when it was not queued before. */
static bool tell_why_queued(struct job *job, const struct slots_request *q,
                            const struct govern_entries *entries,
                            const struct slots_scope *scopes)
{
    bool news = strcmp(job->progress.phase, "queued") != 0;
    _cleanup_free_ char *scope = govern_entry_text(&entries->list[q->blocked_by]);
    const struct slots_scope *s = &scopes[q->blocked_by];

    strcpy(job->progress.phase, "queued");
    job->progress.eta_s = -1;
    snprintf(job->progress.because, sizeof(job->progress.because),
             q->kept_free ? "a place of %s is kept for a sync that has waited longer"
                          : "%s: %u of %u syncs run", scope, s->running, s->most);
    return news;
}

void governor_grant_locked(struct daemon *d)
{
    struct govern_entries entries = {.list = mem_new(1, sizeof(*entries.list)), .count = 1};
    struct slots_scope *scopes = NULL;
    struct slots_request *requests;
    struct job **jobs;
    size_t count = 0, i = 0;
    int64_t wall_ns = wall_now();
    bool granted = false;

    entries.list[0].key = str_dup("");
    entries.list[0].amount.syncs = d->options->max_syncs;
    count_running(d, &entries, wall_ns, &scopes);
    for (struct job *job = d->jobs; job; job = job->next)
        count += job->turn == TURN_WAITING;
    requests = mem_new(count + 1, sizeof(*requests));
    jobs = mem_new(count + 1, sizeof(struct job *));
    for (struct job *job = d->jobs; job; job = job->next)
        if (job->turn == TURN_WAITING) {
            jobs[i] = job;
            requests[i++] = request_of(d, job, &entries, wall_ns);
        }
    slots_grant(scopes, entries.count, requests, count);
    for (i = 0; i < count; i++) {
        granted |= requests[i].granted;
        if (requests[i].granted)
            jobs[i]->turn = TURN_TAKEN;
        else if (tell_why_queued(jobs[i], &requests[i], &entries, scopes))
            job_tell_locked(d, jobs[i]);
    }
    if (granted) /* a thousand may wait: they are not woken for nothing */
        pthread_cond_broadcast(&d->changed);
    free(requests);
    free(jobs);
    free(scopes);
    govern_entries_done(&entries);
}

int governor_wait_turn(struct run *run)
{
    struct daemon *d = run->daemon;
    struct job *job = run->job;
    int r = 0;

    find_place(d, job);
    LOCK_FOR_SCOPE(&d->lock);
    job->ticket = ++d->tickets;
    job->queued_ns = (int64_t)clock_now_ns();
    job->turn = TURN_WAITING;
    governor_grant_locked(d);
    while (r == 0 && job->turn == TURN_WAITING) {
        if (job_interrupted_locked(d, job))
            r = -ECANCELED;
        else
            pthread_cond_wait(&d->changed, &d->lock);
    }
    memset(&job->progress, 0, sizeof(job->progress));
    if (r < 0) {
        job->turn = TURN_NONE;
        governor_grant_locked(d); /* what was kept for it */
    }
    return r;
}

void governor_end_turn(struct run *run)
{
    LOCK_FOR_SCOPE(&run->daemon->lock);
    run->job->turn = TURN_NONE;
    governor_grant_locked(run->daemon);
}

unsigned governor_running_locked(const struct daemon *d)
{
    unsigned count = 0;

    for (const struct job *job = d->jobs; job; job = job->next)
        count += job->turn == TURN_TAKEN;
    return count;
}

/* ---- shares ---- */

static bool keeps_to(const struct govern_flow *f, const struct govern_entry *entry)
{
    return !f->cutover || govern_limit_also_cutover(entry->limit);
}

/* What one kind of amount comes to for each flow. */
static void divide_kind(struct govern_entries *entries, struct govern_flow *const *flows,
                        struct share_flow *shares, size_t count, bool iops)
{
    struct share_scope *scopes = mem_new(entries->count + 1, sizeof(*scopes));

    for (size_t i = 0; i < entries->count; i++) {
        uint64_t amount = iops ? entries->list[i].amount.iops : entries->list[i].amount.bytes_s;

        scopes[i].capacity = amount ? (double)amount : SHARE_UNLIMITED;
    }
    for (size_t i = 0; i < count; i++) {
        const struct govern_flow *f = flows[i];
        double told = f->told.bytes_s ? (double)f->told.bytes_s : -1;

        shares[i].demand = iops || f->measured < 0 ? -1 : share_demand(told, f->measured);
        if (!iops && f->held_back > 0 &&
            (shares[i].demand < 0 || shares[i].demand > f->held_back))
            shares[i].demand = f->held_back;
    }
    share_divide(scopes, entries->count, shares, count);
    free(scopes);
}

static uint64_t amount_of(double rate)
{
    return rate < 0 ? 0 : MAX((uint64_t)rate, UINT64_C(1));
}

/* Held back by the source, or the scope that has the least left for it. */
static void tell_why_limited(struct govern_flow *f, const struct govern_entries *entries,
                             const struct share_flow *share)
{
    struct progress_state *p = &f->job->progress;
    const struct govern_entry *least = NULL;
    _cleanup_free_ char *scope = NULL;

    p->limit_bytes_s = f->want.bytes_s;
    f->slowed |= f->held_back > 0;
    p->because[0] = '\0';
    for (size_t i = 0; i < share->scope_count; i++) {
        const struct govern_entry *e = &entries->list[share->scopes[i]];

        f->slowed |= (e->amount.bytes_s || e->amount.iops) && !govern_limit_also_cutover(e->limit);
        if ((e->amount.bytes_s || e->amount.iops) &&
            (!least || (e->amount.bytes_s && e->amount.bytes_s < least->amount.bytes_s)))
            least = e;
    }
    if (f->held_back > 0 && f->want.bytes_s && (double)f->want.bytes_s >= f->held_back * 0.99) {
        snprintf(p->because, sizeof(p->because), "slowed down: the source reads slowly");
    } else if (least && (f->want.bytes_s || f->want.iops)) {
        scope = govern_entry_text(least);
        snprintf(p->because, sizeof(p->because), "its share of the limit of %s", scope);
    }
}

/* A little more is not worth a write of the engine; less always is. */
static bool worth_telling(uint64_t told, uint64_t want)
{
    if (told == 0 || want == 0)
        return told != want;
    return want < told || (double)want > (double)told * MORE_WORTH_TELLING;
}

/* True when the engine has to be told. */
static bool take_share(struct govern_flow *f, double bytes_s, double iops)
{
    struct govern_amount want = {.bytes_s = amount_of(bytes_s), .iops = amount_of(iops)};

    if (f->held_back > 0 && (!want.bytes_s || (double)want.bytes_s > f->held_back))
        want.bytes_s = amount_of(f->held_back);
    if (!worth_telling(f->told.bytes_s, want.bytes_s) && !worth_telling(f->told.iops, want.iops))
        want = f->told;
    f->want = want;
    return want.bytes_s != f->told.bytes_s || want.iops != f->told.iops;
}

static size_t list_flows(struct governor *g, struct govern_flow ***ret)
{
    size_t count = 0, i = 0;

    for (struct govern_flow *f = g->flows; f; f = f->next)
        count++;
    *ret = mem_new(count + 1, sizeof(struct govern_flow *));
    for (struct govern_flow *f = g->flows; f; f = f->next)
        (*ret)[i++] = f;
    return count;
}

void governor_divide_locked(struct daemon *d)
{
    struct governor *g = d->governor;
    struct govern_entries entries = {0};
    struct govern_flow **flows;
    struct share_flow *shares;
    double *bytes_s;
    bool news = false;
    size_t count = list_flows(g, &flows);
    int64_t wall_ns = wall_now();

    shares = mem_new(count + 1, sizeof(*shares));
    bytes_s = mem_new(count + 1, sizeof(*bytes_s));
    for (size_t i = 0; i < count; i++) {
        size_t indices[GOVERN_PLACE_LIMITS];
        size_t n = govern_entries_add(&entries, &flows[i]->job->place, g->limits, g->limit_count,
                                      wall_ns, indices);

        for (size_t k = 0; k < n; k++)
            if (keeps_to(flows[i], &entries.list[indices[k]]))
                shares[i].scopes[shares[i].scope_count++] = indices[k];
    }
    divide_kind(&entries, flows, shares, count, false);
    for (size_t i = 0; i < count; i++)
        bytes_s[i] = shares[i].rate;
    divide_kind(&entries, flows, shares, count, true);
    for (size_t i = 0; i < count; i++) {
        news |= take_share(flows[i], bytes_s[i], shares[i].rate);
        tell_why_limited(flows[i], &entries, &shares[i]);
    }
    if (news)
        pthread_cond_broadcast(&d->changed);
    free(bytes_s);
    free(shares);
    free(flows);
    govern_entries_done(&entries);
}

int governor_begin_flow(struct run *run, bool cutover, struct error **err)
{
    struct daemon *d = run->daemon;
    _cleanup_free_ char *store = job_store(d, run->job);
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, store);
    struct govern_flow *f = mem_new(1, sizeof(*f));
    int r = run_attach_engine(run, err);

    *f = (struct govern_flow){.daemon = d, .job = run->job, .cutover = cutover, .measured = -1};
    if (r == 0)
        r = control_connect(path, &f->control, err);
    if (r < 0) {
        free(f);
        return r;
    }
    if (cutover)
        find_place(d, run->job);
    pthread_mutex_lock(&d->lock);
    f->next = d->governor->flows;
    d->governor->flows = f;
    governor_divide_locked(d);
    pthread_mutex_unlock(&d->lock);
    run->flow = f;
    r = governor_tell(f, err);
    if (r == 0 && pthread_create(&f->thread, NULL, governor_watch, f) != 0)
        r = error_set(err, EAGAIN, "cannot start a thread for the limits of %s", run->job->name);
    if (r < 0)
        f->thread = 0;
    return r;
}

bool governor_end_flow(struct run *run)
{
    struct govern_flow *f = run->flow;
    struct daemon *d = run->daemon;
    bool slowed;

    if (!f)
        return false;
    run->flow = NULL;
    pthread_mutex_lock(&d->lock);
    for (struct govern_flow **p = &d->governor->flows; *p; p = &(*p)->next)
        if (*p == f) {
            *p = f->next;
            break;
        }
    f->ending = true;
    run->job->progress.limit_bytes_s = 0;
    run->job->progress.because[0] = '\0';
    governor_divide_locked(d);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (f->thread)
        pthread_join(f->thread, NULL);
    control_close(f->control);
    slowed = f->slowed;
    free(f);
    return slowed;
}

char *governor_explain(struct daemon *d, const char *name)
{
    const struct progress_state *p;
    const struct job *job;
    char rate[32];

    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, name);
    if (job && job->state == JOB_PAUSED && job_fact(job, "paused") && job->error &&
        json_object_get(job->facts, "paused_for"))
        return str_format("it paused by itself and is tried again: %s", job->error);
    if (!job || !job->progress.because[0])
        return NULL;
    p = &job->progress;
    if (strcmp(p->phase, "queued") == 0)
        return str_format("the sync waits for its turn: %s", p->because);
    if (strcmp(p->phase, "waiting") == 0)
        return str_format("it stands still for want of room: %s", p->because);
    if (!p->limit_bytes_s)
        return str_format("a sync is at work: %s", p->because);
    return str_format("a sync is at work, at %s/s at most: %s",
                      str_from_bytes(p->limit_bytes_s, rate, sizeof(rate)), p->because);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The page of metrics.  What a migration shows is first copied under daemon->lock; engines' sockets
 * and the journal are asked without it. */
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/control.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor.h"
#include "orchestrator/metrics-inside.h"
#include "orchestrator/version.h"

/* One migration, as of one moment. */
struct sight {
    char *name, *store;
    double synced_s;      /* < 0: not known, like the others */
    double dirty_rate;
    struct forecast_range forecast;
    double downtime_s;
    bool downtime_wanted; /* the journal has to be asked */
    enum job_state state;
    int engine;           /* 1 up, 0 down, -1 no store */
};

struct page {
    FILE *out;
    size_t states[JOB_STATE_COUNT];
    struct sight *sights;
    size_t count;
    size_t waiting, running;
};

/* ---- the format ---- */

static void begin(struct page *p, enum metric metric)
{
    const struct metric_info *info = &metric_table[metric];

    fprintf(p->out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
            info->type);
}

/* A value of a label: backslash, quote and newline are escaped. */
static void put_label(struct page *p, const char *separator, const char *name, const char *value)
{
    fprintf(p->out, "%s%s=\"", separator, name);
    for (; *value; value++)
        if (*value == '\n')
            fputs("\\n", p->out);
        else
            fprintf(p->out, "%s%c", *value == '\\' || *value == '"' ? "\\" : "", *value);
    fputc('"', p->out);
}

static void put_plain(struct page *p, enum metric metric, double value)
{
    begin(p, metric);
    fprintf(p->out, "%s %.17g\n", metric_table[metric].name, value);
}

/* One series with one label. */
static void put(struct page *p, const char *name, const char *label, const char *label_value,
                double value)
{
    fprintf(p->out, "%s{", name);
    put_label(p, "", label, label_value);
    fprintf(p->out, "} %.17g\n", value);
}

/* ---- what there is ---- */

static void look_at_job_locked(const struct daemon *d, const struct job *job, struct sight *s)
{
    int64_t synced = field_integer(job->facts, "synced_ns", 0);
    struct forecast f = job->forecast;
    bool known = job->forecast_mono_ns > 0;

    if (known)
        forecast_grow(&f, (double)((int64_t)clock_now_ns() - job->forecast_mono_ns) /
                              (double)NS_PER_S);
    *s = (struct sight){
        .name = str_dup(job->name),
        .store = job_store(d, job),
        .synced_s = synced > 0 ? (double)synced / (double)NS_PER_S : -1,
        .dirty_rate = known ? f.dirty_bytes_s : -1,
        .forecast = known ? f.total : (struct forecast_range){-1, -1, -1},
        .downtime_s = job->downtime_s,
        .downtime_wanted = job->downtime_seen != (int)job->state + 1,
        .state = job->state,
        .engine = -1,
    };
}

static void look(struct daemon *d, struct page *p)
{
    size_t count = 0;

    LOCK_FOR_SCOPE(&d->lock);
    for (const struct job *job = d->jobs; job; job = job->next)
        count++;
    p->sights = mem_new(count + 1, sizeof(*p->sights));
    for (const struct job *job = d->jobs; job; job = job->next) {
        p->states[job->state]++;
        p->waiting += strcmp(job->progress.phase, "queued") == 0;
        look_at_job_locked(d, job, &p->sights[p->count++]);
    }
    p->running = d->governor ? governor_running_locked(d) : 0;
}

/* Asked of the journal once per state it has come to, then kept with the job. */
static void ask_downtime(struct daemon *d, struct sight *s)
{
    struct job *job;

    if (!s->downtime_wanted)
        return;
    s->downtime_s = report_downtime(d, s->name);
    LOCK_FOR_SCOPE(&d->lock);
    job = job_find_locked(d, s->name);
    if (job && job->state == s->state) {
        job->downtime_s = s->downtime_s;
        job->downtime_seen = (int)s->state + 1;
    }
}

static void ask_engine(struct sight *s)
{
    _cleanup_free_ char *path = str_format("%s/" CONTROL_SOCKET_NAME, s->store);
    struct control *control = NULL;

    if (access(s->store, F_OK) < 0)
        return;
    s->engine = control_connect(path, &control, NULL) == 0;
    control_close(control);
}

/* ---- the page ---- */

static void put_migrations(struct page *p)
{
    static const struct {
        enum metric metric;
        size_t offset;
    } gauges[] = {{METRIC_SYNCED, offsetof(struct sight, synced_s)},
                  {METRIC_DIRTY_RATE, offsetof(struct sight, dirty_rate)},
                  {METRIC_LAST_DOWNTIME, offsetof(struct sight, downtime_s)}};

    for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
        begin(p, gauges[g].metric);
        for (size_t i = 0; i < p->count; i++) {
            double value = *(const double *)((const char *)&p->sights[i] + gauges[g].offset);

            if (value >= 0)
                put(p, metric_table[gauges[g].metric].name, "migration", p->sights[i].name, value);
        }
    }
    begin(p, METRIC_ENGINE_UP);
    for (size_t i = 0; i < p->count; i++)
        if (p->sights[i].engine >= 0)
            put(p, metric_table[METRIC_ENGINE_UP].name, "migration", p->sights[i].name,
                p->sights[i].engine);
}

static void put_forecasts(struct page *p)
{
    begin(p, METRIC_FORECAST);
    for (size_t i = 0; i < p->count; i++) {
        const struct forecast_range *f = &p->sights[i].forecast;
        const double values[] = {f->low, f->expected, f->high};
        static const char *const bounds[] = {"low", "expected", "high"};

        for (size_t b = 0; b < 3 && f->expected >= 0; b++) {
            fprintf(p->out, "%s{", metric_table[METRIC_FORECAST].name);
            put_label(p, "", "migration", p->sights[i].name);
            put_label(p, ",", "bound", bounds[b]);
            fprintf(p->out, "} %.17g\n", values[b]);
        }
    }
}

static void put_histogram(struct page *p, const char *kind, const struct pass_counts *c)
{
    const char *name = metric_table[METRIC_PASS_DURATION].name;
    uint64_t sum = 0;

    for (size_t b = 0; b <= PASS_BUCKETS; b++) {
        char bound[32] = "+Inf";

        sum += c->buckets[b];
        if (b < PASS_BUCKETS)
            snprintf(bound, sizeof(bound), "%g", metrics_pass_bounds[b]);
        fprintf(p->out, "%s_bucket{kind=\"%s\",le=\"%s\"} %" PRIu64 "\n", name, kind, bound, sum);
    }
    fprintf(p->out, "%s_sum{kind=\"%s\"} %.17g\n%s_count{kind=\"%s\"} %" PRIu64 "\n", name, kind,
            c->seconds, name, kind, sum);
}

static void put_counters(struct page *p, struct metrics *m)
{
    LOCK_FOR_SCOPE(&m->lock);
    begin(p, METRIC_COPIED);
    for (size_t k = 0; k < PASS_KINDS; k++)
        put(p, metric_table[METRIC_COPIED].name, "kind", metrics_pass_kinds[k],
            (double)m->passes[k].bytes);
    begin(p, METRIC_PASS_DURATION);
    for (size_t k = 0; k < PASS_KINDS; k++)
        put_histogram(p, metrics_pass_kinds[k], &m->passes[k]);
    begin(p, METRIC_REHEARSALS);
    for (size_t v = 0; v < REHEARSAL_VERDICTS; v++)
        put(p, metric_table[METRIC_REHEARSALS].name, "verdict", metrics_verdicts[v],
            (double)m->rehearsals[v]);
    begin(p, METRIC_REQUESTS);
    for (size_t i = 0; i < m->request_count; i++) {
        fprintf(p->out, "%s{", metric_table[METRIC_REQUESTS].name);
        put_label(p, "", "method", m->requests[i].method);
        put_label(p, ",", "route", m->requests[i].route);
        fprintf(p->out, ",status=\"%u\"} %" PRIu64 "\n", m->requests[i].status,
                m->requests[i].count);
    }
}

static void put_all(struct daemon *d, struct page *p)
{
    uint64_t published;
    int64_t generation;

    begin(p, METRIC_BUILD_INFO);
    put(p, metric_table[METRIC_BUILD_INFO].name, "version", SLIPWAY_VERSION, 1);
    put_plain(p, METRIC_START_TIME, (double)d->metrics->started_wall_ns / (double)NS_PER_S);
    begin(p, METRIC_MIGRATIONS);
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        put(p, metric_table[METRIC_MIGRATIONS].name, "state", job_state_name(s),
            (double)p->states[s]);
    put_migrations(p);
    put_forecasts(p);
    put_counters(p, d->metrics);
    put_plain(p, METRIC_SLOTS, d->options->max_syncs);
    put_plain(p, METRIC_SLOTS_USED, (double)p->running);
    put_plain(p, METRIC_SLOTS_WAITING, (double)p->waiting);
    events_count(d->events, &published, &generation);
    put_plain(p, METRIC_EVENTS, (double)published);
    put_plain(p, METRIC_GENERATION, (double)generation);
}

char *metrics_text(struct daemon *d)
{
    struct page p = {0};
    char *text = NULL;
    size_t length = 0;

    look(d, &p);
    for (size_t i = 0; i < p.count; i++) {
        ask_downtime(d, &p.sights[i]);
        ask_engine(&p.sights[i]);
    }
    p.out = open_memstream(&text, &length);
    if (p.out) {
        put_all(d, &p);
        fclose(p.out);
    }
    for (size_t i = 0; i < p.count; i++) {
        free(p.sights[i].name);
        free(p.sights[i].store);
    }
    free(p.sights);
    return text;
}

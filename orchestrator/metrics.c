/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "orchestrator/journal.h"
#include "orchestrator/metrics-inside.h"

const struct metric_info metric_table[METRIC_COUNT] = {
    [METRIC_BUILD_INFO] = {"slipway_build_info", "gauge", "version", "1; which slipwayd this is",
                           "1"},
    [METRIC_START_TIME] = {"slipway_start_time_seconds", "gauge", "",
                           "when this slipwayd began, in seconds since the epoch", "1"},
    [METRIC_MIGRATIONS] = {"slipway_migrations", "gauge", "state",
                           "migrations in each state; every state is there, also at 0",
                           "one per state"},
    [METRIC_SYNCED] = {"slipway_migration_synced_timestamp_seconds", "gauge", "migration",
                       "when its newest generation was committed, in seconds since the epoch",
                       "one per migration that has a generation"},
    [METRIC_DIRTY_RATE] = {"slipway_migration_dirty_bytes_per_second", "gauge", "migration",
                           "how fast the VM writes, as the last passes measured it",
                           "one per migration of which it is known"},
    [METRIC_FORECAST] = {"slipway_migration_forecast_downtime_seconds", "gauge",
                         "migration, bound",
                         "downtime of a cutover that began now; bound: low, expected or high. "
                         "Parts that were never measured are not in it",
                         "three per migration of which something is known"},
    [METRIC_LAST_DOWNTIME] = {"slipway_migration_last_downtime_seconds", "gauge", "migration",
                              "downtime of its last cutover whose VM came up",
                              "one per migration that was cut over"},
    [METRIC_ENGINE_UP] = {"slipway_engine_up", "gauge", "migration",
                          "1 when its engine answers, 0 when there is a store and no engine (which "
                          "is fine at rest)",
                          "one per migration that has a store"},
    [METRIC_COPIED] = {"slipway_copied_bytes_total", "counter", "kind",
                       "bytes that committed passes have copied; kind: initial, delta or final",
                       "3"},
    [METRIC_PASS_DURATION] = {"slipway_pass_duration_seconds", "histogram", "kind",
                              "how long committed passes took; its count is the number of passes",
                              "13 per kind"},
    [METRIC_REHEARSALS] = {"slipway_rehearsals_total", "counter", "verdict",
                           "rehearsals that have ended: passed, failed or stopped", "3"},
    [METRIC_SLOTS] = {"slipway_sync_slots", "gauge", "", "how many syncs may run at the same time",
                      "1"},
    [METRIC_SLOTS_USED] = {"slipway_sync_slots_used", "gauge", "", "how many do", "1"},
    [METRIC_SLOTS_WAITING] = {"slipway_sync_waiting", "gauge", "",
                              "syncs that wait for their turn", "1"},
    [METRIC_EVENTS] = {"slipway_events_total", "counter", "",
                       "events that were published, numbered or not", "1"},
    [METRIC_GENERATION] = {"slipway_events_generation", "gauge", "",
                           "number of the newest numbered event", "1"},
    [METRIC_REQUESTS] = {"slipway_api_requests_total", "counter", "method, route, status",
                         "answered requests; route is the pattern, such as "
                         "/v1/migrations/{name}, or empty where there is nothing",
                         "at most one per route and status"},
};

const char *const metrics_pass_kinds[PASS_KINDS] = {"initial", "delta", "final"};
const char *const metrics_verdicts[REHEARSAL_VERDICTS] = {"passed", "failed", "stopped"};
const double metrics_pass_bounds[PASS_BUCKETS] = {0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 43200};

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_new(1, sizeof(*m));
    struct stamp now;

    stamp_now(&now);
    m->started_wall_ns = now.wall_ns;
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

struct metrics *metrics_free(struct metrics *m)
{
    if (!m)
        return NULL;
    pthread_mutex_destroy(&m->lock);
    free(m->requests);
    free(m);
    return NULL;
}

static size_t index_of(const char *const *names, size_t count, const char *name)
{
    size_t i = 0;

    while (i < count && strcmp(names[i], name) != 0)
        i++;
    return i;
}

void metrics_count_pass(struct metrics *m, const char *kind, double seconds, uint64_t bytes)
{
    size_t k = index_of(metrics_pass_kinds, PASS_KINDS, kind), b = 0;

    if (!m || k == PASS_KINDS)
        return;
    while (b < PASS_BUCKETS && seconds > metrics_pass_bounds[b])
        b++;
    LOCK_FOR_SCOPE(&m->lock);
    m->passes[k].buckets[b]++;
    m->passes[k].seconds += seconds;
    m->passes[k].bytes += bytes;
}

void metrics_count_rehearsal(struct metrics *m, const char *verdict)
{
    size_t v = index_of(metrics_verdicts, REHEARSAL_VERDICTS, verdict);

    if (!m || v == REHEARSAL_VERDICTS)
        return;
    LOCK_FOR_SCOPE(&m->lock);
    m->rehearsals[v]++;
}

void metrics_count_request(struct metrics *m, const char *method, const char *route,
                           unsigned status)
{
    struct request_count *r;
    size_t i = 0;

    if (!m)
        return;
    if (!*route)
        method = ""; /* whatever somebody has sent */
    LOCK_FOR_SCOPE(&m->lock);
    while (i < m->request_count && (m->requests[i].route != route ||
                                    m->requests[i].status != status ||
                                    strcmp(m->requests[i].method, method) != 0))
        i++;
    if (i == m->request_count && i < REQUESTS_MAX) {
        r = realloc(m->requests, (i + 1) * sizeof(*r));
        if (!r)
            return;
        m->requests = r;
        m->requests[m->request_count++] = (struct request_count){.route = route, .status = status};
        snprintf(m->requests[i].method, sizeof(m->requests[i].method), "%s", method);
    }
    if (i < m->request_count)
        m->requests[i].count++;
}

void metrics_dump(FILE *out)
{
    fputs("# Metrics\n\n"
          "Printed by `slipwayd --dump-metrics` from the table in orchestrator/metrics.c; a test\n"
          "compares. `GET /v1/metrics` answers in Prometheus' text format 0.0.4; whoever may read\n"
          "the API may ask. Over the unix socket a scraper needs a proxy; with `--listen` it\n"
          "needs a certificate (slipwayd(8)).\n\n"
          "Counters begin at zero with each slipwayd. Series of a migration go when it is\n"
          "removed; with 1,000 migrations there are about 7,000 series.\n\n"
          "| metric | type | labels | what | series |\n| --- | --- | --- | --- | --- |\n", out);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        fprintf(out, "| %s | %s | %s | %s | %s |\n", metric_table[i].name, metric_table[i].type,
                *metric_table[i].labels ? metric_table[i].labels : "–", metric_table[i].help,
                metric_table[i].cardinality);
}

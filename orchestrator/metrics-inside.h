/* SPDX-License-Identifier: Apache-2.0 */
/* For metrics*.c: the table and the counters. */
#pragma once

#include <pthread.h>
#include "orchestrator/metrics.h"

enum metric {
    METRIC_BUILD_INFO,
    METRIC_START_TIME,
    METRIC_MIGRATIONS,
    METRIC_SYNCED,
    METRIC_DIRTY_RATE,
    METRIC_FORECAST,
    METRIC_LAST_DOWNTIME,
    METRIC_ENGINE_UP,
    METRIC_COPIED,
    METRIC_PASS_DURATION,
    METRIC_REHEARSALS,
    METRIC_SLOTS,
    METRIC_SLOTS_USED,
    METRIC_SLOTS_WAITING,
    METRIC_EVENTS,
    METRIC_GENERATION,
    METRIC_REQUESTS,
    METRIC_COUNT
};

struct metric_info {
    const char *name, *type, *labels, *help;
    const char *cardinality; /* how many series there are */
};
extern const struct metric_info metric_table[METRIC_COUNT];

#define PASS_KINDS 3
#define PASS_BUCKETS 10
#define REHEARSAL_VERDICTS 3
#define REQUESTS_MAX 1000 /* series: routes x statuses, far fewer */

extern const char *const metrics_pass_kinds[PASS_KINDS];
extern const char *const metrics_verdicts[REHEARSAL_VERDICTS];
extern const double metrics_pass_bounds[PASS_BUCKETS]; /* seconds; +Inf comes behind them */

struct pass_counts {
    uint64_t buckets[PASS_BUCKETS + 1]; /* not summed up */
    double seconds;
    uint64_t bytes;
};

struct request_count {
    char method[8];
    const char *route; /* static */
    unsigned status;
    uint64_t count;
};

struct metrics {
    int64_t started_wall_ns;
    pthread_mutex_t lock; /* guards what follows; innermost */
    struct pass_counts passes[PASS_KINDS];
    uint64_t rehearsals[REHEARSAL_VERDICTS];
    struct request_count *requests;
    size_t request_count;
};

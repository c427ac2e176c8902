/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What slipwayd counts, and GET /v1/metrics: Prometheus' text format 0.0.4.  The table in metrics.c
 * describes every metric; docs/METRICS.md is printed from it.
 *
 * Counters begin at zero with each slipwayd.  Gauges are looked up when somebody asks: what needs
 * the journal or an engine's socket without daemon->lock.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct daemon;
struct metrics;

struct metrics *metrics_new(void);
struct metrics *metrics_free(struct metrics *metrics);

/* A pass was committed.  metrics may be NULL here and below: nothing is counted. */
void metrics_count_pass(struct metrics *metrics, const char *kind, double seconds,
                        uint64_t bytes);

/* A rehearsal has ended: "passed", "failed" or "stopped". */
void metrics_count_rehearsal(struct metrics *metrics, const char *verdict);

/* A request was answered; route: its pattern, or "" when there is none such. */
void metrics_count_request(struct metrics *metrics, const char *method, const char *route,
                           unsigned status);

/* The page; the caller frees. */
char *metrics_text(struct daemon *d);

/* docs/METRICS.md */
void metrics_dump(FILE *out);

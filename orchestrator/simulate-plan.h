/* SPDX-License-Identifier: Apache-2.0 */
/* The simulation of a plan: from its migrations to a report.  Pure. */
#pragma once

#include <jansson.h>
#include "base/error.h"
#include "orchestrator/simulate.h"

/*
 * migrations: [{vm, body}] as plan_expand() makes them.  descriptions: VM → description (source.h); it
 * may have used_bytes and host, and what `measured` has, too.  measured: VM → {dirty_bytes_s,
 * rate_bytes_s, snapshot_cost_s, shutdown_s, morph_s, flip_s, start_s}, each where it is known.
 *
 * options: {begin?: RFC 3339 (now when it is missing), syncs?, cutovers?, rate_bytes_s?,
 * total_bytes_s?, dirty_bytes_s?, spread_percent?, seed?, days?}.  EINVAL for a wrong one.
 *
 * *ret_report: {begin, finish: time or null, vms, up, by_hand,
 *   waves: [{end: of the window, or of the day, begin, up, vms, names: […], worst_downtime_s, worst}],
 *   downtime: {median_s, most_s, whose} or null, over_budget: [{name, downtime_s, budget_s}],
 *   left: [{name, reason}], syncs, copied_bytes, busy: share of the places for syncs, decisions,
 *   assumptions: [{what, value, unit, from: "median" | "option" | "assumed", vms}], seed}
 */
int simulate_plan(const json_t *migrations, const json_t *descriptions, const json_t *measured,
                  const json_t *options, json_t **ret_report, struct error **err);

/* ---- simulate-measure.c ---- */

/* Quantities that a simulation needs of each VM. */
enum simulate_quantity {
    QUANTITY_DIRTY, QUANTITY_RATE, QUANTITY_SNAPSHOT, QUANTITY_SHUTDOWN, QUANTITY_MORPH,
    QUANTITY_FLIP, QUANTITY_START, QUANTITY_COUNT
};

/* values[QUANTITY_COUNT] of each of `count` VMs: what was measured or is given, else the median of
 * the others, else an option, else an assumption.  *ret_assumptions: as in the report. */
void simulate_measure(size_t count, const char *const *vms, const json_t *descriptions,
                      const json_t *measured, const json_t *options, double *values,
                      json_t **ret_assumptions);

/* ---- simulate-report.c ---- */
json_t *simulate_report(const struct schedule_table *t, const struct simulate_options *options,
                        const struct simulate_outcome *outcomes,
                        const struct schedule_decision *decisions,
                        const struct simulate_totals *totals);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a VM will be down when its cutover begins now: from what was measured of this very
 * migration, split as report.c splits a downtime.  Pure: no clock, no journal, no locks.
 *
 *   shutdown  earlier tries
 *   delta     fixed cost of a pass + dirty bytes since the last one / copy rate (of passes that no
 *             limit slowed down, where there are such).  It grows while nothing is copied, up to the
 *             size of the disks.  Without changed-block tracking everything is compared each time,
 *             which takes as long as it did last.  Instant cutover: the freeze alone, nothing is
 *             copied before the VM runs.
 *   morph     earlier tries, else rehearsals (there the appliance is cold, so it is slower)
 *   flip      earlier tries, with defining the VM on the node
 *   start     earlier tries, else rehearsals
 *
 * A part that was never measured is not known, and is not guessed: the total then says "at least".
 * Rows that cannot be true (negative times, a clock that was set back between two boots) are left
 * out.  Several measurements give the range: least, median, most of the last FORECAST_SAMPLES; one
 * alone is widened to 3/4 … 3/2.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define FORECAST_SAMPLES 5

struct forecast_range {
    double low, expected, high; /* seconds; expected < 0: not known, and so are the others */
};

struct forecast {
    struct forecast_range shutdown, delta, morph, flip, start;
    struct forecast_range total; /* of the known parts */
    bool at_least;               /* some part is not known */
    double dirty_bytes_s;        /* < 0: not known, like the next two */
    double rate_bytes_s;
    double snapshot_cost_s; /* what a pass takes that has nothing to copy */
    unsigned passes;        /* committed ones that were looked at */
    /* How the delta grows; see forecast_grow(). */
    struct forecast_range growth;     /* seconds per second without a pass */
    struct forecast_range delta_most; /* it does not grow beyond; expected < 0: no bound is known */
};

struct stamp;

/*
 * passes, transitions, rehearsals: rows as the journal gives them (journal.h), passes and
 * transitions oldest first, rehearsals latest first; NULL: none.  A transition from "stopping" to
 * "stopping" may be put in: it says when the source was told to stop, and so when its downtime
 * began.  params: params.h.  now_ns: wall clock, see forecast_now().
 */
void forecast_make(const json_t *passes, const json_t *transitions, const json_t *rehearsals,
                   const json_t *params, int64_t now_ns, struct forecast *ret);

/* `now` on the clock of the last committed pass: when that was in this boot, its wall time and what
 * the monotonic clock says since, so that a clock that was set does no harm. */
int64_t forecast_now(const json_t *passes, const struct stamp *now);

/* The same forecast so many seconds later, when no pass was made meanwhile. */
void forecast_grow(struct forecast *f, double seconds);

/* {shutdown, delta, morph, flip, start: {low_s, expected_s, high_s} or null, total: {…}, at_least,
 * unknown: [part…], dirty_bytes_s, rate_bytes_s, snapshot_cost_s (null: not known), passes}; new
 * reference. */
json_t *forecast_json(const struct forecast *f);

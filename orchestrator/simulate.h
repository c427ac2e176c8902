/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a schedule would come to: time goes by in a table of schedule.h, which decides as in slipwayd;
 * what is begun takes as long as sizes and rates say.  No clock, no JSON; the same input and seed
 * give the same.
 *
 * Left out, and so better than life: nothing fails, no VM changes its habits, syncs do not slow each
 * other down except by `total_bytes_s`, rehearsals are not made, and a commit window ends unnoticed.
 */
#pragma once

#include <stdint.h>
#include "orchestrator/schedule.h"

/* What the table does not say of a VM. */
struct simulate_vm {
    uint64_t bytes;         /* that the first sync copies; also the most that a delta has */
    double rate_bytes_s;    /* of its syncs */
    double shutdown_s, morph_s, flip_s, start_s;
};

struct simulate_options {
    int64_t begin;         /* wall */
    int64_t most_ns;       /* it is given up after so long */
    double total_bytes_s;  /* shared by as many syncs as may run; 0: no limit */
    double spread;         /* how far what happens is from what was forecast: 0.2 is ± 20 % */
    uint64_t seed;
};

struct simulate_outcome {
    int64_t mirrored_at, cutover_at, up_at; /* wall; CALENDAR_NEVER */
    int64_t window_end;  /* wall: of the window in which it went; CALENDAR_NEVER: none */
    double downtime_s;
    unsigned passes;
    uint64_t copied_bytes;
    bool instant, gave_up;
    /* What kept it from its last cutover that might have been, and the forecast then. */
    struct schedule_why obstacle;
    struct schedule_range forecast;
};

struct simulate_totals {
    int64_t end;           /* wall: when nothing more happened, or it was given up */
    uint64_t copied_bytes, passes, decisions;
    double sync_busy_s;    /* sum over all syncs */
};

/*
 * t: classes and forecasts are set here (each VM begins as planned), the rest is the caller's; groups
 * need not be linked.  outcomes: as many as there are VMs.  Afterwards t is as it was at the end,
 * decisions (as many, too) say why those that are not up are not.
 */
void simulate_run(struct schedule_table *t, const struct simulate_vm *vms,
                  const struct simulate_options *options, struct simulate_outcome *outcomes,
                  struct schedule_decision *decisions, struct simulate_totals *ret_totals);

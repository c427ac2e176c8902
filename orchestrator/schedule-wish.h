/* SPDX-License-Identifier: Apache-2.0 */
/* What the parameters of a migration (params.h) ask of the schedule. */
#pragma once

#include <jansson.h>
#include "orchestrator/schedule.h"

struct schedule_wish {
    unsigned priority;
    struct calendar_rhythm rhythm;
    struct calendar_window *windows; /* owned */
    size_t window_count;
    int64_t start_at; /* wall; 0: at once, CALENDAR_NEVER: by hand */
    enum schedule_cutover cutover;
    int64_t cutover_at; /* wall; 0 unless CUTOVER_AT */
    double budget_s;
    enum schedule_over over;
    enum schedule_end end;
    unsigned rehearse_every;
    bool instant;
};

/* Values were checked when they were given; one that cannot be read means "by hand" here.  interval:
 * what a missing sync_interval means. */
void schedule_wish_read(const json_t *params, const char *interval, struct schedule_wish *ret);
void schedule_wish_done(struct schedule_wish *wish);

/* All but windows and instant. */
void schedule_wish_apply(const struct schedule_wish *wish, struct schedule_vm *vm);

/* SPDX-License-Identifier: Apache-2.0 */
/* What scheduler*.c share. */
#pragma once

#include <pthread.h>
#include "orchestrator/govern-place.h"
#include "orchestrator/journal.h"
#include "orchestrator/schedule-wish.h"
#include "orchestrator/scheduler.h"

/* A migration as it was under daemon->lock. */
struct look {
    char *name, *source;
    json_t *params, *facts; /* references */
    enum job_state state;
    int failed_state; /* or -1 */
    bool active, instant, rehearsing;
    char *queued;    /* why its sync waits for its turn; NULL: it does not */
    int source_place, node_place; /* indexes into the scheduler's, or -1 */
    bool forecasted;
    struct forecast forecast;
    int64_t news; /* changes whenever its thread or a rehearsal came to an end */
};

/* What is kept of a migration between looks. */
struct watch {
    char *name;
    json_t *params; /* that the next ones were read from */
    struct schedule_wish wish;
    struct schedule_windows windows; /* of the wish, with what was found out at the last look */
    json_t *past; /* journal_get_past() … */
    enum job_state past_state; /* … when it was in this state, and its news were these */
    int64_t past_news;
    struct schedule_memory memory;
    char *refused;         /* why the last thing that was begun was not; NULL: it was */
    int64_t refused_until; /* monotonic: it is not tried before */
    enum schedule_action refused_action;
};

struct scheduler {
    struct daemon *daemon;
    pthread_mutex_t lock; /* guards what follows; taken before daemon->lock */
    struct watch *watches; /* by name, like everything below */
    struct look *looks;
    size_t count;
    uint64_t sum; /* of the jobs that were looked at */
    struct schedule_table table;
    struct govern_entries places; /* where syncs are limited now; the first is slipwayd itself */
    struct schedule_place *place_list; /* the same as the table wants it */
    unsigned *after; /* what the table's VMs point into */
    struct schedule_decision *decisions;
    struct stamp now;
    int64_t clock_offset; /* wall - monotonic at the last look; 0: none */
    int64_t settled;
};

/* Looks at everything and decides. */
void scheduler_look_locked(struct scheduler *s);
void scheduler_forget_locked(struct scheduler *s);

/* A checksum of what a look would see but for the time: daemon->changed may have been signalled while
 * nobody waited for it. */
uint64_t scheduler_sum_locked(const struct daemon *d);

/* scheduler-watch.c */

/* Reads params and journal again where they have changed. */
void watch_update(struct daemon *d, struct watch *w, const struct look *look);
void watch_done(struct watch *w);

/* All but indexes and names of the VM. */
void watch_vm(const struct watch *w, const struct look *look, const struct stamp *now,
              struct schedule_vm *vm);

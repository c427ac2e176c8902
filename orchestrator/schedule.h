/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which migration does what next, and why: decisions alone.  No clock, no lock, no JSON, so that
 * slipwayd (scheduler.c) and the simulator (simulate.c) decide alike.
 *
 * A table holds everything that is known; schedule_decide() says for each VM what to begin now, the
 * reason, and when to look again.  Nothing is begun by itself here, and what runs already is part
 * of the table.  Deciding twice on one table gives the same.
 *
 * Rules, in the order in which they are asked:
 *   cutover    asked for by plan ("auto" or a time), everything it comes `after` is up, a window is
 *              open for as long as the forecast says, all of its group are there, the forecast fits
 *              the budget.  One that failed is not tried again by itself.
 *   budget     as long as the forecast's upper end is above it: deltas back to back.  When
 *              SCHEDULE_STUCK of them did not shorten it, the expected value counts, and above the
 *              budget what the admin chose for that.
 *   rehearsal  after each n-th sync
 *   sync       fixed, by cron, or adaptive: so often that copying takes a small multiple of
 *              what a pass costs anyway, and half of what the budget leaves for it
 *   places     cutovers have places of their own, the highest priority first: a sync of hours does
 *              not keep them out of their window; syncs in the order of due time less a minute for
 *              each point of priority, so that whoever waits comes first in the end; but deltas
 *              right before a cutover go before all others
 *
 * Lengths of time are monotonic, windows and dates wall clock; ns.  A cutover at a time does not
 * begin by itself more than SCHEDULE_LATE_NS after it, whatever the clock did meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "orchestrator/calendar.h"

#define SCHEDULE_S INT64_C(1000000000)
#define SCHEDULE_FLOOR_NS (5 * 60 * SCHEDULE_S)    /* adaptive syncs are not closer … */
#define SCHEDULE_CEILING_NS (60 * 60 * SCHEDULE_S) /* … and not farther apart */
#define SCHEDULE_RETRY_NS (60 * SCHEDULE_S)        /* after the first failed sync; doubles */
#define SCHEDULE_LATE_NS (4 * 3600 * SCHEDULE_S)
#define SCHEDULE_STUCK 3
#define SCHEDULE_NO_PASS INT64_MIN

enum schedule_class {
    SCHEDULE_PLANNED,   /* not begun */
    SCHEDULE_SYNCING,   /* at work before the cutover */
    SCHEDULE_MIRRORED,  /* at rest, the source runs */
    SCHEDULE_CUTTING,   /* cutover at work */
    SCHEDULE_WINDOW,    /* up on the node; commit or rollback */
    SCHEDULE_DONE,      /* up on the node for good */
    SCHEDULE_SYNC_FAILED,
    SCHEDULE_CUTOVER_FAILED, /* or a commit, rollback, cancel: a person has to look */
    SCHEDULE_GONE,      /* cancelled, rolled back: it will not be up */
    SCHEDULE_CLASS_COUNT
};

enum schedule_cutover { CUTOVER_MANUAL, CUTOVER_AUTO, CUTOVER_AT };
enum schedule_over { OVER_WAIT, OVER_INSTANT, OVER_GIVE_UP };
enum schedule_end { END_COMMIT, END_ROLLBACK, END_WAIT };

/* What is remembered between decisions about the deltas before a cutover. */
struct schedule_memory {
    unsigned deltas; /* made for this opening of the window */
    unsigned stuck;  /* how many of the last ones did not shorten the forecast */
    double best_s;
};

struct schedule_range {
    double low, expected, high; /* seconds; expected < 0: not known */
};

struct schedule_vm {
    const char *name;
    enum schedule_class class;
    bool up;         /* runs on the node: what comes after it may go */
    bool slot;       /* holds or awaits a place for a sync */
    const char *queued; /* why its sync waits for its turn; NULL: it does not */
    bool paused;
    bool resumes;    /* paused, and goes on by itself when there is room again */
    bool rehearsing; /* and will end by itself */
    bool cutover_failed; /* the last try came back or stopped */
    bool gave_up;        /* its budget never fitted */
    bool instant;
    unsigned priority; /* 0..100 */
    const unsigned *after; /* indexes of VMs */
    size_t after_count;
    const char *after_unknown; /* a name that there is none of; NULL: all are known */
    int group, group_next; /* index or -1; group_next: see schedule_link() */
    int host, node, windows; /* indexes into the table's places and windows, or -1 */
    int64_t start_at;        /* PLANNED: wall; CALENDAR_NEVER: by hand */
    struct calendar_rhythm rhythm;
    int64_t pass_begin, pass_end; /* monotonic, of the last committed one; SCHEDULE_NO_PASS */
    double dirty_bytes_s, rate_bytes_s, snapshot_cost_s; /* < 0: not known */
    struct schedule_range forecast; /* of the downtime when the cutover began now */
    double fixed_s;       /* what of its expected value is not the delta */
    double budget_s;      /* 0: none */
    enum schedule_over over;
    enum schedule_cutover cutover;
    int64_t cutover_at; /* wall */
    unsigned rehearse_every, syncs_since; /* since the last rehearsal */
    unsigned failures;   /* of syncs, in a row */
    int64_t failed_at;   /* monotonic: the last of them */
    int64_t deadline;    /* WINDOW: monotonic; CALENDAR_NEVER: none */
    enum schedule_end end;
    struct schedule_memory memory;
};

/* Where syncs compete. */
struct schedule_place {
    const char *name; /* "host esx1" */
    unsigned syncs; /* at most; 0: any number */
};

struct schedule_windows {
    const struct calendar_window *items;
    size_t count;
    /* Kept by schedule_clock(): this was found out for the wall clock from … to before until. */
    bool open;
    int64_t from, until;
};

struct schedule_group {
    const char *name;
    int first; /* of its VMs; see schedule_link() */
};

struct schedule_table {
    struct schedule_vm *vms;
    size_t count;
    struct schedule_place *hosts, *nodes;
    size_t host_count, node_count;
    struct schedule_windows *windows;
    size_t windows_count;
    struct schedule_group *groups;
    size_t group_count;
    unsigned syncs, cutovers, rehearsals; /* at most at the same time; 0: any number */
    int64_t wall, mono;
    int64_t settled; /* monotonic: the wall clock was set; no cutover before */
    unsigned rehearsing; /* set by schedule_link() */
};

enum schedule_action {
    SCHEDULE_NOTHING,
    SCHEDULE_START,
    SCHEDULE_SYNC,
    SCHEDULE_CUTOVER,
    SCHEDULE_INSTANT, /* cutover, made instant */
    SCHEDULE_REHEARSE,
    SCHEDULE_COMMIT,
    SCHEDULE_ROLLBACK,
    SCHEDULE_GIVE_UP, /* note that the budget never fits, and leave it to a person */
    SCHEDULE_ACTION_COUNT
};

enum schedule_reason {
    BECAUSE_NOTHING, /* nothing to be said */
    BECAUSE_BY_HAND, BECAUSE_STARTS_AT, BECAUSE_STARTS, BECAUSE_SYNCS, BECAUSE_CUTS, BECAUSE_PAUSED,
    BECAUSE_NO_SYNC, BECAUSE_SYNC_AT, BECAUSE_SYNC_DUE, BECAUSE_RETRY_AT, BECAUSE_RETRY,
    BECAUSE_SYNC_FAILED, BECAUSE_REHEARSES, BECAUSE_REHEARSAL_DUE, BECAUSE_ONE_REHEARSES,
    BECAUSE_CUTOVER_BY_HAND, BECAUSE_CUTOVER_AT, BECAUSE_WINDOW_OPENS, BECAUSE_WINDOW_NEVER,
    BECAUSE_WINDOW_SHORT, BECAUSE_TOO_LATE, BECAUSE_AFTER, BECAUSE_AFTER_GONE, BECAUSE_MEMBER,
    BECAUSE_AFTER_UNKNOWN,
    BECAUSE_ABOVE_BUDGET, BECAUSE_FRESH_DELTA, BECAUSE_OVER_WAITS, BECAUSE_NEVER_FITS,
    BECAUSE_OVER_INSTANT, BECAUSE_GIVES_UP, BECAUSE_GAVE_UP, BECAUSE_CLOCK, BECAUSE_CUTOVER,
    BECAUSE_CUTOVER_FAILED, BECAUSE_PLACES, BECAUSE_HOST_PLACES, BECAUSE_NODE_PLACES,
    BECAUSE_CUTOVERS, BECAUSE_HELD, BECAUSE_DEADLINE_COMMIT, BECAUSE_DEADLINE_ROLLBACK,
    BECAUSE_DEADLINE_NONE, BECAUSE_COMMITS, BECAUSE_ROLLS_BACK, BECAUSE_DONE, BECAUSE_GONE,
    BECAUSE_COUNT
};

struct schedule_why {
    enum schedule_reason reason;
    int64_t when;        /* wall, where it names a time */
    int64_t length;      /* ns, where it names a length */
    unsigned used, most; /* places */
    unsigned before;     /* how many wait before it */
    int other;           /* the VM it names */
};

struct schedule_decision {
    enum schedule_action action;
    struct schedule_why why;  /* about the action, or the cutover that is waited for */
    struct schedule_why sync; /* about the next sync, where that is not the action */
    int64_t again_ns;         /* from now; CALENDAR_NEVER: when something happens */
    unsigned position;        /* in the queue for a place, from 1; 0: not in it */
    /* For the table, once the action has begun, at once when there is none. */
    struct schedule_memory memory;
    int64_t rank; /* the lower the sooner; among cutovers, or among the rest */
};

/* Links the VMs of each group (group_next, first), by their `group`, and counts who rehearses. */
void schedule_link(struct schedule_table *t);

/* Sets the time, and finds out which windows are open. */
void schedule_clock(struct schedule_table *t, int64_t wall, int64_t mono);

/* out: as many as there are VMs. */
void schedule_decide(const struct schedule_table *t, struct schedule_decision *out);

/* The two parts of it, for who decides about few of many.  schedule_want() says what VM i, and with
 * it the others of its group, would begin if places were free; into out[i] and theirs. */
void schedule_want(const struct schedule_table *t, size_t i, struct schedule_decision *out);

/* Places in use. */
struct schedule_slots {
    unsigned syncs, cutovers, rehearsals;
    unsigned *hosts, *nodes; /* as many as the table has */
};

struct schedule_slots schedule_slots_new(const struct schedule_table *t);
void schedule_slots_free(struct schedule_slots *slots);

/* Takes the places that the wanted action of VM i needs, for all of its group when it is a
 * cutover.  False: they are not free, and why. */
bool schedule_slots_take(const struct schedule_table *t, struct schedule_slots *slots, size_t i,
                         const struct schedule_decision *want, struct schedule_why *ret_why);

/* Whether the wanted actions compete in this order: < 0, 0 or > 0 as for qsort(). */
int schedule_compare(const struct schedule_decision *a, size_t a_index,
                     const struct schedule_decision *b, size_t b_index);

/* How far apart adaptive syncs of a VM are. */
int64_t schedule_adaptive_ns(const struct schedule_vm *vm);

const char *schedule_action_name(enum schedule_action action);

#define SCHEDULE_TEXT 400

/* The decision about VM i as a sentence without a full stop.  Returns buf. */
char *schedule_text(const struct schedule_table *t, size_t i, const struct schedule_decision *d,
                    char buf[SCHEDULE_TEXT]);

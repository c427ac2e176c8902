/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a migration, what may follow what, and which verb is possible where: tables only.
 * docs/STATES.md is printed from them (slipwayd --dump-states).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/error.h"

enum job_state {
    JOB_PLANNED,
    JOB_CREATED,
    JOB_PREPARING,
    JOB_SYNCING,
    JOB_MIRRORED,
    JOB_PAUSED,
    JOB_STOPPING,
    JOB_FINAL_SYNC,
    JOB_INSTANT_FLIP,
    JOB_MORPHING,
    JOB_FLIPPING,
    JOB_DEFINING,
    JOB_STARTING,
    JOB_HYDRATING,
    JOB_FINISHING,
    JOB_DETACHING,
    JOB_WINDOW,
    JOB_COMMITTING,
    JOB_DONE,
    JOB_ROLLING_BACK,
    JOB_ROLLED_BACK,
    JOB_REVERTING,
    JOB_FAILED,
    JOB_CANCELLING,
    JOB_CANCELLED,
    JOB_STATE_COUNT
};

enum job_verb {
    VERB_START,
    VERB_SYNC,
    VERB_CUTOVER,
    VERB_COMMIT,
    VERB_ROLLBACK,
    VERB_PAUSE,
    VERB_RESUME,
    VERB_CANCEL,
    VERB_REMOVE,
    JOB_VERB_COUNT
};

enum state_flags {
    STATE_ACTIVE = 1 << 0,  /* a thread works in it; taken up again when slipwayd starts */
    STATE_CUTOVER = 1 << 1, /* part of the cutover: the source is being or has been stopped */
    STATE_FLIPPED = 1 << 2, /* behind the flip: no way back, only forward */
};

struct state_info {
    const char *name;
    const char *what;     /* for docs/STATES.md */
    unsigned flags;       /* enum state_flags */
    enum job_state next;  /* where an active state goes when its work is done, unless its course
                             says otherwise: job_next_state() */
    uint32_t may_follow;  /* bits of the states it may go to */
    uint32_t verbs;       /* bits of the verbs it accepts */
};

extern const struct state_info job_states[JOB_STATE_COUNT];

const char *job_state_name(enum job_state state);

/* The state or -EINVAL. */
int job_state_from_name(const char *name);

const char *job_verb_name(enum job_verb verb);

bool job_may_follow(enum job_state from, enum job_state to);

/* What of a job decides where it goes. */
struct job_course {
    bool instant;        /* the cutover is an instant one */
    bool afresh;         /* going back, there is no mirror to go back to */
    bool through_engine; /* the VM's disks are the engine's exports still */
    bool failback;       /* they stay that until the commit */
    bool window;         /* one can roll back for a while */
    bool committed;      /* that is over */
};

/* Where an active state goes when its work is done. */
enum job_state job_next_state(enum job_state state, const struct job_course *course);

/* Where a job at rest goes by a verb that begins something; the same state when the verb begins
 * nothing there. */
enum job_state job_begin_state(enum job_state state, enum job_verb verb);

/* What is known about a flip that failed. */
enum flip_known {
    FLIP_UNKNOWN,  /* it may have happened: only forward */
    FLIP_NOT_DONE, /* the target is still a mirror of the source */
    FLIP_SEALED    /* the target is still a mirror, but of a morphed guest: no sync any more */
};

/* True when a job that failed in `failed` goes on on `verb`; *ret_state is where. */
bool job_retry_state(enum job_state failed, enum job_verb verb, enum flip_known flip,
                     enum job_state *ret_state);

/* 0 when `verb` is possible in `state`, otherwise EPERM and a sentence naming the job, the state,
 * the verb and the states in which it is possible. */
int job_verb_check(const char *job, enum job_state state, enum job_verb verb, struct error **err);

/* Prints docs/STATES.md. */
void job_states_dump(FILE *out);

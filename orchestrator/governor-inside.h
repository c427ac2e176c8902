/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the governor share. */
#pragma once

#include "engine/control.h"
#include "orchestrator/govern-backoff.h"
#include "orchestrator/govern-place.h"
#include "orchestrator/governor.h"

/* A sync that copies.  Made and freed by its job's thread; the rest as said. */
struct govern_flow {
    struct govern_flow *next; /* governor->flows */
    struct daemon *daemon;
    struct job *job;
    bool cutover;
    pthread_t thread;
    /* The flow's thread (before it there is none, the job's). */
    struct control *control;
    struct govern_amount before; /* the engine's own limits, put back at the end */
    bool governed;               /* before is known, and in the journal */
    struct backoff backoff;
    uint64_t last_done, last_ns; /* of the copy, at the last look; last_ns 0: none */
    /* Guarded by daemon->lock. */
    struct govern_amount want; /* its share; syncs is not used */
    struct govern_amount told;
    double measured;           /* bytes per second; < 0: not known */
    double held_back;          /* the backoff's rate; 0: it is not */
    bool slowed; /* it was limited as no cutover would be */
    bool ending;
};

struct governor {
    /* Guarded by daemon->lock. */
    struct govern_limit **limits;
    size_t limit_count;
    struct govern_flow *flows;
};

/* governor.c: divides anew and wakes the flows whose share is another. */
void governor_divide_locked(struct daemon *d);
/* ... and lets those begin that may. */
void governor_grant_locked(struct daemon *d);

/* governor-flow.c: tells the engine what flow->want says, if that is not what it was told. */
int governor_tell(struct govern_flow *flow, struct error **err);
void *governor_watch(void *flow);

/* SPDX-License-Identifier: Apache-2.0 */
/* What rehearsal.c and rehearsal-steps.c share. */
#pragma once

#include "orchestrator/rehearsal.h"
#include "orchestrator/steps.h"

#define REHEARSAL_DRAFT "rehearsal"

struct rehearsal {
    struct daemon *daemon;
    struct job *job;
    int64_t id;
    json_t *params; /* complete; never changes: {check, timeout_s, keep, uuid} */
    int64_t started_ns;
    /* guarded by daemon->lock */
    const char *state; /* static */
    json_t *result;    /* {generation?, vm?, morph_s?, boot_s?, how?, seconds?, error?} */
    bool active;       /* its thread lives */
    bool stop;         /* somebody wants it to end */
};

/* Writes the state down and tells the listeners. */
int rehearsal_set_state(struct rehearsal *h, const char *state, struct error **err);

/* Adds to the result (consumes value). */
void rehearsal_set_result(struct rehearsal *h, const char *key, json_t *value);

/* Draft, morph, boot, verdict; 0 when it passed.  What it made stays for rehearsal_discard(). */
int rehearsal_play(struct run *run, struct rehearsal *h, struct error **err);

/* Removes the VM and the draft; fine when there are none. */
int rehearsal_discard(struct run *run, struct rehearsal *h, struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the admin at certain points of a migration: the executables in DIR/EVENT.d, one after
 * the other in the order of their names.  On standard input each gets
 *
 *     {"event": "pre-cutover", "attempt": 1, "reason": TEXT or null, "migration": as the API shows it}
 *
 * and in the environment SLIPWAY_EVENT, SLIPWAY_MIGRATION and SLIPWAY_ATTEMPT.  They are run within
 * a step, so that what was under way when slipwayd was killed is run again; attempt then counts up.
 */
#pragma once

#include "orchestrator/steps.h"

enum hook_event {
    HOOK_PRE_CUTOVER,    /* before the source is stopped; a failure keeps that from happening */
    HOOK_POST_CUTOVER,   /* the VM runs on the node */
    HOOK_ON_FAILURE,     /* a step failed (of a cutover: the source is back); reason: the error */
    HOOK_POST_COMMIT,
    HOOK_POST_ROLLBACK,
    HOOK_POST_REHEARSAL, /* reason: its outcome */
    HOOK_EVENT_COUNT
};

/* Runs the hooks before a cutover, unless the source was told to stop already.  The error names the
 * hook and has its last line. */
int hooks_before_cutover(struct run *run, struct error **err);

/*
 * Runs those for what the step of the job's state has brought about, before the job goes to `next`;
 * why: the error that leads there, or NULL.  A hook that fails is noted and changes nothing.
 * -ECANCELED: slipwayd ends; the step is repeated, and this with it, after its restart. Otherwise 0.
 */
int hooks_after_step(struct run *run, enum job_state next, const struct error *why);

/* The same behind a rehearsal. */
int hooks_after_rehearsal(struct run *run, const char *outcome);

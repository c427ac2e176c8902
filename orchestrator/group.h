/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consistent groups: VMs that are cut over as one, all of them or none.
 *
 *   every member: stopping ──┐ all are off        final delta, morph ──┐ all are ready
 *                            ▼                                         ▼
 *                     no final delta begins before        the decision, one write of the journal:
 *                     the last source has stopped         from here on every member goes forward
 *
 * Up to the decision, whatever fails or is cancelled takes all members back: each reverts as it
 * would alone.  Behind it nobody reverts; a member that fails there is gone on with by its own
 * `cutover`.
 *
 * A cutover of a group is a row in the journal, written before the first member begins and taken
 * away when it is over for all.  A slipwayd that was killed finds in it whether it was decided.
 *
 * In a group's sync the members are held (paused) for the moment in which all of them are frozen,
 * so that their generations are of one instant.
 *
 * The key of a group is "PLAN:GROUP", or "GROUP" for migrations without a plan.
 */
#pragma once

#include <jansson.h>
#include "orchestrator/daemon.h"

struct run;

/* Where the members of a group wait for each other. */
enum group_point {
    GROUP_NOWHERE,
    GROUP_STOPPED, /* the source is off */
    GROUP_READY,   /* morphed: only the flip is missing */
    GROUP_HERE,    /* of a sync: about to freeze */
    GROUP_HELD,    /* of a sync: the source's VM stands still */
    GROUP_FROZEN   /* of a sync: its snapshot is there */
};

/* The key of a job's group, or NULL; the caller frees. */
char *group_key(const struct job *job);

/* [{name, plan, phase: null | "cutover" | "flipped" | "reverting" | "sync", members: [{name,
 * state}], reason?}] */
json_t *groups_json(struct daemon *d);

/*
 * A verb for all members.  CUTOVER and SYNC are as one; COMMIT and ROLLBACK are begun for each,
 * after all were found able to.  ENOENT: no such group; EPERM, EBUSY: a member is not ready, named
 * in the sentence; nothing was begun then.  *ret: as groups_json, of this one.
 */
int group_run(struct daemon *d, const char *key, enum job_verb verb, const json_t *body,
              json_t **ret, struct error **err);

/* The same for the group of a migration, which need not be in one; 0 when its cutover is going on.
 */
int group_cutover_of(struct daemon *d, const char *migration, const json_t *body,
                     struct error **err);

/* EPERM when this job's cutover can only begin with its group's. */
int group_check_alone(struct daemon *d, const struct job *job, struct error **err);

/* EPERM when the group's other members have gone forward for good. */
int group_check_cancel(struct daemon *d, const struct job *job, struct error **err);

/* Reads the cutovers of groups that were going on, and begins those members that were not begun;
 * after jobs_load(), before runner_resume(). */
int groups_load(struct daemon *d, struct error **err);
void groups_free(struct daemon *d);

/* ---- for the threads of members ---- */

/* Waits until all members have come to this point; 0 at once for a job that is not in a group's
 * work. With GROUP_READY the decision is made before it returns 0.  ECANCELED: the group goes back,
 * or this was interrupted. */
int group_wait(struct run *run, enum group_point point, struct error **err);

/* True when this member's work is part of a sync of its group. */
bool group_syncs(struct run *run);

/* After a step: ECANCELED when the group goes back and this member has to, too (r and *err are
 * replaced); a failure before the decision makes the group go back. */
int group_after_step(struct run *run, int r, bool cancelled, struct error **err);

/* Behind the decision there is no way back, by failure or cancel. */
bool group_decided_locked(const struct daemon *d, const struct job *job);

/* The group goes back and this job has not begun to: its step shall give up. */
bool group_interrupts_locked(const struct daemon *d, const struct job *job);

/* A migration has come to rest: perhaps that was the last member. */
void group_settle(struct daemon *d, const char *migration);

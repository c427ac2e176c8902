/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of each active state.  A step may be killed and repeated at any instant: it first looks
 * at what is there (source, engine, node) and does only what is missing.
 *
 * Facts a job remembers across restarts (struct job.facts):
 *   step_done   the work of this state is done, only the transition is missing; forgotten by it
 *   made        targets and store are ours, so cancelling may remove them
 *   rehearsed   the VM may be defined on the node although nothing was copied yet
 *   generation  newest committed generation
 *   synced_ns   wall clock of when that was
 *   stop        stamp of when the source was told to stop: here its downtime begins
 *   source_was  "running" or "off" when the cutover began; the source is put back to that
 *   instant     what the last cutover was asked to be; absent: as the migration's parameter says
 *   instant_flipped  an instant flip was asked for: the mirror may be gone, the source is not
 *   to_hydrate  bytes that were missing when the instant flip was done
 *   afresh      a cutover goes back without a mirror to go back to
 *   hydrated    the target needs the source no longer
 *   unflipped   a flip that failed is known not to have happened
 *   sealed      with unflipped: the morph draft is a generation already
 *   flipped     the target is the truth
 *   detached    the engine has let go of the targets
 *   hook        {event, attempt} of the hooks that have begun and not ended
 *   morph       what slipway-morph reported
 *   gave_up     stamp of when the budget of its cutover was found never to fit
 *   asked_anew  stamp of when somebody last changed when or how it is cut over
 *   guard       how the source was before it was guarded against being started by accident
 *   committed   the time to go back is over
 *   retired     the source's VM was renamed or deleted
 *   send_back   a rollback shall send what the VM has written
 *   sent_back   it has
 */
#pragma once

#include "orchestrator/daemon.h"

struct engine_status;
struct govern_flow;
struct morpher;
struct rehearsal;

/* One job at work, owned by its thread. */
struct run {
    struct daemon *daemon;
    struct job *job;
    const struct source_ops *ops; /* of source */
    struct source *source;        /* NULL: not open */
    struct leftover_owner owner;
    struct control *engine; /* NULL: not attached */
    struct govern_flow *flow; /* while an engine copies; governor.h */
    const char *paused_for;   /* why it pauses by itself; NULL: it does not; static or a fact */
    const json_t *serving;    /* private of the snapshot that is copied; borrowed; NULL: none */
    uint64_t room_looked_ns;  /* see source-room.h, like the next three */
    uint64_t source_free;
    bool source_low, source_full;
    char *stuck;              /* why the journal could not be written */
    struct node *node;      /* NULL: not open */
    struct morpher *morpher; /* NULL: none was started */
    struct rehearsal *rehearsal; /* this is not the job's own work but a rehearsal's; NULL: it is */
    int64_t last_event_ns;  /* when progress was last published */
    uint64_t source_looked_ns; /* behind an instant flip: when source and VM were last looked at */
    char *complaint;        /* what was noted last about them, so that it is said once */
};

/* 0: done, go to the next state.  -ECANCELED: interrupted.  Otherwise -errno and a sentence. */
typedef int step_fn(struct run *run, struct error **err);
extern step_fn *const steps[JOB_STATE_COUNT];

/* step-prepare.c */
step_fn step_create, step_prepare;

/* Everything that can be known before copying: networks, names, free space.  Used when a migration
 * is created and again before it is prepared. */
int preflight(struct daemon *d, struct job *job, struct error **err);

/* Nobody else's files are written over: EEXIST when store or a target is there already. */
int targets_check(struct daemon *d, const struct job *job, struct error **err);

/* step-sync.c */
step_fn step_sync, step_final_sync;

/* Freezes the source as `kind` of pass, or takes the open one up again. since: point in time whose
 * changes are wanted when it is a new one. */
int pass_freeze(struct run *run, const char *kind, const char *since, int64_t *ret_id,
                struct source_snapshot **ret_snapshot, struct error **err);

/* [{name, uri, bitmap?}] as the engine wants it; new reference. */
json_t *pass_sources(const struct source_snapshot *snapshot);

/* Tells the source how a pass ended (frees the snapshot), then the journal.  done: that was the
 * work of this state. */
int pass_end(struct run *run, int64_t id, struct source_snapshot *snapshot, bool committed,
             bool done, struct error **err);

/* Gives a pass that was not committed up and removes what it left on the source. */
int pass_discard(struct run *run, struct error **err);

/* Removes from the source what is journalled of one pass, or of all (pass < 0). */
int leftovers_clean(struct run *run, int64_t pass, struct error **err);

/* step-morph.c */
step_fn step_morph;

/* The morph alone, without waiting for the group. */
int morph_now(struct run *run, struct error **err);

/*
 * Starts slipway-morph so far that it waits for the draft, while the source still runs; waits for
 * that, a minute at most.  When it does not come up the morph will start it anew: only -ECANCELED
 * (interrupted) is a failure.
 */
int morph_warm(struct run *run, struct error **err);

/* Asks slipway-morph whether it would take the migration's options: EINVAL with its sentence. */
int morph_check_options(const struct daemon *d, const struct job *job, struct error **err);

/* slipway-morph on a draft of that name, its recipe kept in the folder `record`; *ret_result: what
 * it reports, a new reference, or NULL. */
int morph_rehearse(struct run *run, const char *draft, const char *record, json_t **ret_result,
                   struct error **err);

/* Ends one that waits or works; fine without one. */
void morph_cool(struct run *run);

/* A verb of the engine about the morph draft. */
int morph_draft_call(struct run *run, const char *verb, struct error **err);

/* step-cutover.c */
step_fn step_stop, step_flip;

/* Nothing may be built on the last generation when the source has been started meanwhile. */
int check_source_off(struct run *run, struct error **err);

/* The engine lets go of the targets; a store that is detached already is fine. */
int engine_detach_store(struct run *run, struct error **err);

/* Drops the morph draft, waiting for its last users; 0 also when there is none. */
int draft_drop(struct run *run, struct error **err);

/* step-node.c */
step_fn step_define, step_start;

/* "kvm" or "tcg": what was asked for, or what works here.  Static or owned by the job. */
const char *job_accel(const struct job *job);

/* The placement of node.h for a job; new reference.  Behind an instant flip the disks are the
 * engine's exports, until it has let go of the targets. */
int placement_make(const struct daemon *d, const struct job *job, json_t **ret_placement,
                   struct error **err);

/* Puts into a placement what was asked for instead of the source's: CPUs, memory, machine, bus. */
void placement_shape(const struct job *job, json_t *placement);

/* A TPM that the open node cannot give would keep the VM from starting; the guest may do without:
 * takes it out of the placement's hints, and notes that. */
void placement_drop_tpm(struct run *run, json_t *placement);

/* step-instant.c */
step_fn step_instant_flip, step_hydrate;

/* Behind an instant flip: the engine runs, and the source is there for what is missing. ESTALE: the
 * source is not what it was.  status may be NULL. */
int instant_look(struct run *run, struct engine_status *status, struct error **err);

/*
 * One look at engine, source and VM behind an instant flip, with what is needed to keep the VM
 * going: a dead engine is started, told where the source is, and a VM that an absent disk has
 * stopped goes on.  What can get better by itself is noted and no failure.  status may be NULL.
 */
int instant_upkeep(struct run *run, struct engine_status *status, struct error **err);

/* step-window.c */
step_fn step_commit, step_rollback;

/* Makes it hard to start the stopped source by accident, and takes that back.  A source that cannot
 * be guarded is noted. */
void source_guard(struct run *run);
int source_unguard(struct run *run, struct error **err);

/* step-detach.c */
step_fn step_detach;

/* step-end.c */
step_fn step_finish, step_revert, step_cancel;

/* Starts the source again when the cutover stopped it. */
int source_restore(struct run *run, struct error **err);

/* Removes what a finished job still has: leftovers, engine, store; with_vm: and the VM on the node
 * with its disks. */
int remove_traces(struct daemon *d, struct job *job, bool with_vm, struct error **err);

/* steps.c: connections of a run, opened when first wanted. */
int run_open_source(struct run *run, struct error **err);
int run_attach_engine(struct run *run, struct error **err);
int run_open_node(struct run *run, struct error **err);
void run_detach_engine(struct run *run);
void run_disconnect(struct run *run);

/* True when the step should give up (cancelled or the daemon ends); context is the run. */
bool run_interrupted(void *context);

/* What the engine says about itself. */
struct engine_status {
    char mode[20];    /* "mirror", "owner-hydrating", "owner", "detached" */
    char *snapshot;   /* of the committed generation; NULL: none */
    int64_t generation; /* -1: none */
    bool sealed;        /* a draft was committed: the store cannot follow the source any more */
    bool busy;          /* with a verb of somebody who may have gone away */
    char *syncing;      /* snapshot of the running sync; NULL: none */
    bool failed;        /* latched: an operator has to look */
    bool needs_source;  /* some disk misses bytes and its source is not there */
    uint64_t missing_bytes, rate_bytes_s; /* owner-hydrating */
};
int engine_status_get(struct run *run, struct engine_status *ret_status, struct error **err);

/* The same, after what the engine is still doing for a slipwayd that was killed has ended. */
int engine_settle(struct run *run, struct engine_status *ret_status, struct error **err);
void engine_status_done(struct engine_status *status);

/* Calls the engine; progress events of the call become the job's progress. */
int engine_call(struct run *run, const char *verb, json_t *args, json_t **ret_result,
                struct error **err);

/* Asks the engine of a store, if one is there, to stop its sync. */
void engine_cancel_sync(const char *store);

/* Says something about a job in the log and to the listeners. */
void run_note(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

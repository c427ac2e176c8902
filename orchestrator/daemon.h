/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of slipwayd, on one page.
 *
 * Threads: one per active job (runner.c), one per HTTP connection (httpd.c), the main thread.
 * A job is changed by one thread at a time: the one that claimed it (job->active).  Everybody else
 * reads it under daemon->lock, which is never held across I/O.
 */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "engine/control.h"
#include "orchestrator/events.h"
#include "orchestrator/forecast.h"
#include "orchestrator/govern-place.h"
#include "orchestrator/journal.h"
#include "orchestrator/node/node.h"
#include "orchestrator/options.h"
#include "orchestrator/source/source.h"
#include "orchestrator/states.h"

struct governor;
struct rehearsal;
struct group;
struct scheduler;

struct progress_state {
    char phase[16]; /* "map", "copy", "seal", "fold", "hydrate", "queued"; empty: none */
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t rate_bytes_s;
    double eta_s; /* < 0: not known */
    uint64_t limit_bytes_s; /* 0: nothing limits it */
    char because[160];      /* why it is queued or limited; "": it is not */
};

/* Syncs that may run at the same time; see governor.h. */
enum job_turn { TURN_NONE, TURN_WAITING, TURN_TAKEN };

struct job {
    struct job *next; /* daemon->jobs */
    char *name, *source, *vm;
    json_t *params;      /* params.h; exchanged as a whole, by the claiming thread */
    json_t *description; /* source.h; never changes */
    int64_t created_ns;
    /* Durable; written by the claiming thread through job_transition() and job_set_fact(). */
    enum job_state state;
    int failed_state; /* enum job_state, or -1 */
    json_t *facts;    /* what steps must know after a restart; see facts in steps.h */
    int error_code;
    char *error;
    /* Gone with the process; guarded by daemon->lock. */
    bool active;     /* claimed by a thread */
    bool pause;      /* somebody wants it to stop where it is, for a while */
    bool stuck;      /* its thread ended for want of room; pause.h */
    unsigned room_tries;     /* how often it was resumed by itself since a sync came to its end */
    uint64_t room_retry_ns;  /* not before */
    bool cancel;     /* somebody wants the active thread to give up */
    enum job_turn turn;
    uint64_t ticket;           /* number of its last wait for a turn */
    int64_t queued_ns;         /* when that began, monotonic */
    struct govern_place place; /* where its last sync ran or waits to run */
    struct progress_state progress;
    struct forecast forecast; /* as it was at ... */
    int64_t forecast_mono_ns; /* ... this time; 0: there is none */
    double downtime_s;  /* of the last cutover, as the journal said ... */
    int downtime_seen;  /* ... when the job was in this state + 1; 0: never asked */
    json_t *shown; /* what the listeners were told of it; NULL: nothing yet */
    char *alarm; /* the source of the moved VM runs; NULL: it does not */
    int group_point; /* enum group_point: where it waits for its group */
    struct rehearsal *rehearsal; /* the last one; NULL: none since slipwayd began to know */
};

struct daemon {
    const struct options *options;
    struct journal *journal;
    struct events *events;
    struct metrics *metrics;
    struct secrets *secrets;
    pthread_mutex_t lock;   /* guards what follows; taken before events->lock */
    pthread_cond_t changed; /* threads, turns, shares, stopping, cancel */
    struct job *jobs;
    struct group *groups; /* those that are at work as one; group.h */
    unsigned threads; /* job threads alive */
    uint64_t tickets;
    struct governor *governor;
    bool stopping;
    struct scheduler *scheduler; /* made before anybody can ask */
};

/* job.c */

struct job *job_find_locked(struct daemon *d, const char *name);

/* A new job; takes references, is not in the list yet. */
struct job *job_new(const char *name, const json_t *params, const json_t *description);
void job_free(struct job *job);

/*
 * The only way a job changes its state: checks the tables, writes the journal, then changes the
 * job, traces and tells the listeners.  why: the error that caused it (kept with the job; a job
 * that fails remembers which state failed).  A state that was at rest is left with its error
 * forgotten.  On failure nothing has changed.
 */
int job_transition(struct daemon *d, struct job *job, enum job_state to, const struct error *why,
                   struct error **err);

/* Writes down a new job (EEXIST when the name is taken) and puts it into the list; claimed when its
 * state is an active one. */
int job_add(struct daemon *d, struct job *job, struct error **err);

/* Exchanges the parameters; durable when it returns 0. */
int job_set_params(struct daemon *d, struct job *job, json_t *params, struct error **err);

/* Remembers a fact (consumes value; NULL forgets it); durable when it returns 0. */
int job_set_fact(struct daemon *d, struct job *job, const char *name, json_t *value,
                 struct error **err);

/* The facts "generation" and "synced_ns": a pass was committed just now. */
int job_set_generation(struct daemon *d, struct job *job, int64_t generation, struct error **err);

bool job_fact(const struct job *job, const char *name);
enum flip_known job_flip_known(const struct job *job);

/* True when the cutover that runs, or the next one, is an instant one. */
bool job_instant(const struct job *job);

/* True when the VM shall run through the engine until the commit, so that it can be sent back. */
bool job_failback(const struct job *job);

/* True when the disks of the VM on the node are the engine's exports, not the targets. */
bool job_through_engine(const struct job *job);

/* Reads all migrations of the journal into the list. */
int jobs_load(struct daemon *d, struct error **err);
void jobs_free(struct daemon *d);

/* The migration as the API shows it; new references. */
json_t *job_json_locked(const struct daemon *d, const struct job *job);

/* Tells the listeners what has become different about a migration since this was last called;
 * whoever changes what job_json_locked() shows calls it before giving the lock back (progress
 * has events of its own). */
void job_tell_locked(struct daemon *d, struct job *job); /* jobnews.c */

/* Paths of a job; the caller frees. */
char *job_store(const struct daemon *d, const struct job *job);
char *job_target_folder(const struct job *job, const char *disk);
char *job_target(const struct job *job, const char *disk);

/* When not NULL, called with the name of each point a crash test may want to die at. */
extern void (*job_trace_hook)(const char *point, const char *detail);
void job_trace(const char *point, const char *detail);

/* runner.c */

/* Starts the thread of a claimed job. */
int runner_start(struct daemon *d, struct job *job, struct error **err);

/* Continues every job that is in an active state. */
int runner_resume(struct daemon *d, struct error **err);

/* Makes all job threads stop where they are (not the engines) and waits for them at most so
 * long.  False: some are still there. */
bool runner_stop(struct daemon *d, uint64_t timeout_ns);

/* Should this job's thread give up: asked to, or the daemon ends? */
bool job_interrupted_locked(const struct daemon *d, const struct job *job);

/* verbs.c: what the API does to jobs. */
int verb_create(struct daemon *d, const json_t *body, json_t **ret_job, struct error **err);
/* body: what was asked for with it ({instant: bool} of a cutover), or NULL. */
int verb_run(struct daemon *d, const char *name, enum job_verb verb, const json_t *body,
             json_t **ret_job, struct error **err);
/* Changes parameters (params.h: those that may be changed late) of a migration at rest.  What the
 * cutover was told is not changed behind it; what concerns its end is. */
int verb_change(struct daemon *d, const char *name, const json_t *changes, json_t **ret_job,
                struct error **err);
/* The two halves of verb_run(), for whoever begins several as one.  Claims a job at rest; 1: it
 * runs and was asked to cancel instead. */
int verb_claim_locked(struct daemon *d, const char *name, enum job_verb verb, struct job **ret_job,
                      struct error **err);
int verb_begin(struct daemon *d, struct job *claimed, enum job_verb verb, const json_t *body,
               json_t **ret_job, struct error **err);
/* with_vm: the VM on the node and its disks go, too. */
int verb_remove(struct daemon *d, const char *name, bool with_vm, struct error **err);

/* sources.c */

/* Whose leftovers a provider announces. */
struct leftover_owner {
    struct daemon *daemon;
    const char *source;
    const char *migration; /* "" outside of a migration */
    int64_t pass;          /* 0 outside of a pass */
    struct source_journal journal;
};

/* Encrypts the passwords that an earlier version kept as plain text; failures go to the log. */
void sources_take_plain(struct daemon *d);

int sources_add(struct daemon *d, const json_t *body, json_t **ret_source, struct error **err);
int sources_remove(struct daemon *d, const char *name, struct error **err);
int sources_list(struct daemon *d, json_t **ret_sources, struct error **err);
int sources_list_vms(struct daemon *d, const char *name, json_t **ret_vms, struct error **err);

/* Opens a source by name.  owner->source and ->migration must be set and stay valid while it is
 * open. */
int sources_open(struct daemon *d, struct leftover_owner *owner,
                 const struct source_ops **ret_ops, struct source **ret_source,
                 struct error **err);

/* forecast-job.c */

/* Makes the forecast of a migration anew from the journal and keeps it with the job; ret may be
 * NULL.  ENOENT: there is no such migration.  Not under daemon->lock. */
int forecast_update(struct daemon *d, const char *name, struct forecast *ret, struct error **err);

/* The same when a pass, a rehearsal or a try has ended; what fails leaves the older one. */
void forecast_refresh(struct daemon *d, const char *name);
void forecast_refresh_all(struct daemon *d); /* at slipwayd's start */

/* The kept one, brought to now.  False: there is none, or no downtime lies ahead. */
bool forecast_get_locked(const struct job *job, struct forecast *ret);
json_t *forecast_json_locked(const struct job *job); /* null without one; new reference */

/* report.c: what GET …/report answers. */
int report_make(struct daemon *d, const char *name, json_t **ret_report, struct error **err);

/* Seconds the last cutover took whose VM came up; < 0: there was none. */
double report_downtime(struct daemon *d, const char *name);

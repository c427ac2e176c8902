/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The governor: how many syncs run at the same time, and how fast each may go.
 *
 * A sync first waits for its turn (govern-slots.h), then becomes a flow: its engine is told its
 * share (verb "limit", source side, of the VM) before it copies, and again whenever the shares are
 * others: a sync begins or ends, a limit changes, a window opens, the source suffers
 * (govern-backoff.h).  Afterwards the engine gets back the limits that it had before; the journal
 * remembers them meanwhile.
 *
 * A cutover does not wait for a turn and is downtime: only limits with also_cutover hold for its
 * last delta, and for what is fetched in the background behind an instant one.
 *
 * Threads: one per flow, which talks to the engine by a connection of its own and looks at it every
 * few seconds.  Everything else happens in the threads that call.  What is decided is guarded by
 * daemon->lock.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include "orchestrator/daemon.h"

struct run;

/* Reads the limits from the journal. */
int governor_open(struct daemon *d, struct error **err);
void governor_close(struct daemon *d);

/* Waits until the sync of this job may begin.  -ECANCELED when the job or the daemon ends. */
int governor_wait_turn(struct run *run);
void governor_end_turn(struct run *run);

/* How many syncs have their turn now. */
unsigned governor_running_locked(const struct daemon *d);

/* Tells the engine its share and watches it from now on.  cutover: as above.  The engine may have to
 * be started for it. */
int governor_begin_flow(struct run *run, bool cutover, struct error **err);
/* True: the copy was slower than that of a cutover would have been. */
bool governor_end_flow(struct run *run);

/* Why a sync waits or goes slowly, or why a migration paused by itself: a sentence without its full
 * stop, freed by the caller.  NULL: nothing of that is the case. */
char *governor_explain(struct daemon *d, const char *name);

/* {limits: [as in govern-limit.h]}; new reference. */
json_t *governor_list(struct daemon *d);

/* Sets the limit of a scope and name, or replaces it; *ret is what it is now. */
int governor_set(struct daemon *d, const json_t *body, json_t **ret, struct error **err);

/* Takes {scope, name?} away.  ENOENT: there is none. */
int governor_clear(struct daemon *d, const json_t *body, struct error **err);

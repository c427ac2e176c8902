/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipwayd's own hand: a thread that looks at all migrations whenever something has changed, or when
 * the last look said to look again (within 30 s in any case: somebody may have set the clock), decides
 * with schedule.h, and begins what was decided by the verbs that a person has.
 *
 * Nothing that it knows is lost with slipwayd: when the last sync was, how often syncs failed, whether
 * a cutover was tried, all that is read from the journal again.  What is only in memory are the
 * deltas made for the window that is open; after a restart some are made again.
 */
#pragma once

#include <jansson.h>
#include "orchestrator/daemon.h"

struct scheduler;

/* Starts the thread; with --no-schedule there is none, and nothing is ever begun. */
int scheduler_start(struct daemon *d, struct error **err);

/* When its thread has ended (it counts as one of daemon->threads) and nobody asks any more. */
void scheduler_free(struct daemon *d);

/*
 * What would be begun now, and why:
 *   {name, state, action: "none"|"start"|"sync"|"cutover"|"instant cutover"|"rehearse"|"commit"|
 *    "rollback"|"give up", reason, again: time or null, position: in the queue or null, priority,
 *    group?, refused?: why the last thing that was begun was not, forecast: {…} or null}
 * name NULL: an array of all, by name.  ENOENT: there is no such migration.
 */
int scheduler_explain(struct daemon *d, const char *name, json_t **ret, struct error **err);

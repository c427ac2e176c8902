/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after migrations in whose window one can still go back: a thread that has a look at each now
 * and then.
 *
 *   - The source's VM must stay off.  When it runs, two VMs are the same one: an alarm is raised, and
 *     where on_source_alive says so the VM on the node is stopped.
 *   - A VM that runs through its engine (failback) needs that: one that died is started again, and a
 *     VM that stands still because of it goes on.
 */
#pragma once

#include "orchestrator/daemon.h"

/* Starts the thread, which counts as one of daemon->threads. */
int sentry_start(struct daemon *d, struct error **err);

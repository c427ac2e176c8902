/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Housekeeping of an owner, in a thread of its own: checkpoints while hydrating (every 5 s or 1 GiB),
 * completion (T16), pruning the activity log (every 5 minutes).
 */
#pragma once

#include "engine/vm.h"

int keeper_start(struct engine *engine);
void keeper_stop(struct engine *engine);

/* One look at everything, for tests; force: without regard to the time. */
void keeper_round(struct engine *engine, bool force);

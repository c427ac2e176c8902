/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's storage while a point in time of it is served: what the VM overwrites meanwhile is
 * kept there, and a VM whose storage is full stands still.  So a sync is given up, its snapshot
 * ended and the migration paused (pause.h), before that.
 */
#pragma once

#include "orchestrator/steps.h"

/* Below this part of the storage it is told, below that the sync is given up. */
#define SOURCE_ROOM_LOW_PERCENT 10
#define SOURCE_ROOM_FULL_PERCENT 3

/* Asked with each word of the engine, looks twice a minute.  -ENOSPC: give up; run->source_full is
 * set then. */
int source_room_look(struct run *run);

/* Ends the snapshot of the pass and forgets it (frees the snapshot), after the engine has let go.
 * Always -ENOSPC and a sentence, or a failure. */
int source_room_give_up(struct run *run, int64_t pass, struct source_snapshot *snapshot,
                        struct error **err);

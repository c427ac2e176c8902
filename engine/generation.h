/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The begin and the end of a generation, whoever brings its bytes: a sync, a push, a repair.  In
 * mode init the bytes go into the targets and the maps say what is here; later they go into
 * disk->loading, a layer per disk.  All of it belongs to the operation in progress.
 */
#pragma once

#include "engine/vm.h"

/*
 * The initial copy is of one point in time, brought in one way (push: by clients of the engine).
 * What is here of the same one stays; else all maps begin anew, and what the targets hold does not
 * count.
 */
int generation_begin_initial(struct engine *engine, const char *snapshot, bool push,
                             struct error **err);

/* Removes disk->loading, if there is one, with its files. */
int generation_drop_loading(struct disk *disk);

/* T3: everything is here and durable.  A failure latches the engine. */
int generation_commit_initial(struct engine *engine);

/*
 * T6 and T7: seals disk->loading of every disk and adds them all.  *ret_bad: the disk whose layer
 * could not be made durable and is good for nothing now; the generation before is intact.
 */
int generation_commit_layers(struct engine *engine, const char *snapshot, struct disk **ret_bad);

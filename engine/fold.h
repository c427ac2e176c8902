/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fold: copying the oldest layer of a disk into its target (T8, T9).  Idempotent: after a crash it
 * is simply done again.  A step machine; the fold thread, a flip, or a test drives it.  The caller
 * holds engine->fold_lock from begin to end.
 */
#pragma once

#include "engine/ring.h"
#include "engine/vm.h"

struct fold {
    struct engine *engine;
    struct disk *disk;
    struct layer *layer;   /* referenced */
    struct ring *ring;
    uint8_t *memory;
    struct fold_buf *bufs;
    struct fold_buf *free;
    uint64_t cursor;       /* next block */
    unsigned busy;         /* buffers under way */
    int error;             /* positive errno */
    uint64_t wait_ns;      /* after fold_step(): a limit asks to wait that long before the next */
    uint64_t done_bytes;
    uint64_t total_bytes;
};

/* A disk with a layer that may be folded now (no live view is older, and it is not kept), or NULL. */
struct disk *fold_candidate(struct engine *engine);

/* Is there one? */
bool fold_is_possible_locked(const struct engine *engine);

/* T8: durable folding=k.  0 or -errno (-EAGAIN: a reader of an older generation came meanwhile);
 * then fold_end must be called. */
int fold_begin(struct fold *fold, struct engine *engine, struct disk *disk);

/* 1: more to do, 0: all blocks are in the target, -errno.  Keeps to the limits of the target, and
 * yields to whoever uses the disks (engine/yield.h). */
int fold_step(struct fold *fold);

/* T9: target durable, root without the layer, views without it, files removed. */
int fold_finish(struct fold *fold);

/* Waits for what is in flight and frees; a fold that did not finish is begun again later. */
void fold_end(struct fold *fold);

/* Folds whatever can be folded until nothing can (or *stop).  Takes engine->fold_lock.
 * Returns 1 when something was folded. */
int fold_all(struct engine *engine, atomic_bool *stop, progress_fn *progress, void *context);

int fold_thread_start(struct engine *engine);
void fold_thread_stop(struct engine *engine);

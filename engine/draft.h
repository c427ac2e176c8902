/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A draft: a writable layer over the latest generation, for all disks at once.  Whole blocks;
 * a partial write copies the rest of the block up from the view.  Nothing of a draft survives the
 * engine, except by sealing: then it is the next generation, and the mirror no longer follows the
 * source (SUPER_LOCAL_CHANGES).
 *
 * One draft at a time per engine.
 */
#pragma once

#include "engine/vm.h"

#define DRAFT_STRIPES 64

struct draft {
    struct engine *engine;
    char *name;
    struct view *base;
    unsigned users;            /* open exports; guarded by engine->lock */
    struct layer *layers[DISKS_MAX]; /* by disk index */
    pthread_mutex_t stripes[DRAFT_STRIPES]; /* by block: writers of one block take turns */
};

/* Opens a draft over the latest generation, whose number is given back.  EEXIST: one is open;
 * EINVAL: the name; EPERM: not a mirror; EBUSY: another operation runs. */
int draft_create(struct engine *engine, const char *name, uint64_t *ret_generation,
                 struct error **err);

/* Commits the draft for all disks by one root (T6, T7) and gives back the new generation's number.
 * ENOENT: no such draft; EBUSY: still open by clients after 5 s (the draft stays); EPERM: a newer
 * generation was committed meanwhile.  After any failure but the first two the draft is gone. */
int draft_seal(struct engine *engine, const char *name, uint64_t *ret_generation,
               struct error **err);

/* Forgets the draft and removes its files.  ENOENT and EBUSY as draft_seal. */
int draft_drop(struct engine *engine, const char *name, struct error **err);

void draft_abandon(struct engine *engine); /* at the engine's end; no draft is fine */

/* Bytes; offset + length inside the disk; from any thread.  0 or -errno. */
int draft_pread(struct draft *draft, struct disk *disk, void *data, uint32_t length,
                uint64_t offset);
/* The same; data NULL: zeros.  Durable only by draft_seal(). */
int draft_pwrite(struct draft *draft, struct disk *disk, const void *data, uint32_t length,
                 uint64_t offset);

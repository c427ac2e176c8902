/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drafts: writable layers over one generation, for all disks at once, as many as DRAFTS_MAX at a
 * time.  A draft holds a view of its generation, so that nothing newer is folded into the targets
 * as long as it is there; syncs, folds of older layers, and readers go on.  Whole blocks; a partial
 * write copies the rest of the block up from the view.
 *
 *   draft.c        making, sealing, dropping
 *   draft-owner.c  the same over an owner
 *   draft-io.c     reads, writes, extents
 *
 * Over an owner (after an instant flip, for the morph) there may be one, while no client uses the
 * disks themselves; its base is the owner as it is, missing blocks are fetched when they are read.
 *
 * Nothing of a draft survives the engine, except by sealing: then it is the next generation, and the
 * mirror no longer follows the source (SUPER_LOCAL_CHANGES).
 *
 * Files: <disk>/draft-NAME.*, in no superblock.  Sealing makes them durable under that name, renames
 * them to L<gen>.* and commits all disks by one root, so a crash leaves either the generation or
 * leftovers that the next start removes.
 */
#pragma once

#include "engine/vm.h"

#define DRAFTS_MAX 16
#define DRAFT_STRIPES 64

enum draft_state {
    DRAFT_MAKING, /* its files are being made */
    DRAFT_OPEN,
    DRAFT_ENDING, /* being sealed or dropped: no new clients */
};

struct draft {
    struct draft *next; /* engine->drafts, oldest first; guarded by engine->lock */
    struct engine *engine;
    char *name;
    enum draft_state state;    /* guarded by engine->lock */
    uint64_t gen;              /* the generation it is over */
    int64_t created_s;         /* Unix time */
    const uint8_t *token;      /* of the seal under way: 16 bytes, or NULL */
    struct view *base;         /* NULL: over the owner */
    unsigned users;            /* open exports; guarded by engine->lock */
    struct layer *layers[DISKS_MAX]; /* by disk index */
    _Atomic uint64_t written_bytes[DISKS_MAX]; /* by clients, zeros included */
    pthread_mutex_t stripes[DRAFT_STRIPES]; /* by block: writers of one block take turns */
};

/* Opens a draft over generation `gen` (NO_GENERATION: the latest), whose number is given back.
 * EEXIST: the name is taken; EBUSY: DRAFTS_MAX are open; EINVAL: the name; EPERM: neither a
 * mirror nor an owner; ENOENT: the generation is not retained. */
int draft_create(struct engine *engine, const char *name, uint64_t gen, uint64_t *ret_generation,
                 struct error **err);

/*
 * Commits the draft for all disks by one root (T6, T7) and gives back the new generation's number.
 * ENOENT: no such draft; EBUSY: still open by clients after 5 s, or a sync is running; EPERM: it is
 * not over the latest generation; ENOSPC.  The draft stays after these, and is gone after any other
 * failure.  token: 16 bytes that the root keeps from then on, or NULL.
 */
int draft_seal(struct engine *engine, const char *name, const uint8_t *token,
               uint64_t *ret_generation, struct error **err);

/* Forgets the draft and removes its files.  ENOENT and EBUSY (clients) as draft_seal. */
int draft_drop(struct engine *engine, const char *name, struct error **err);

/* At the engine's end, when nothing else uses it: all of them go. */
void draft_abandon_all(struct engine *engine);

/* draft-owner.c: may a draft be made over the owner, of generation `gen`?  The sentence if not. */
int draft_check_owner_locked(const struct engine *engine, uint64_t gen, struct error **err);

/* Commits a draft whose layers are sealed and named over the owner.  EBUSY (a client uses the
 * disks): nothing has changed. */
int draft_commit_owner(struct draft *draft, uint64_t *ret_generation, struct error **err);

/* The draft of that name (length bytes) in any state, or NULL. */
struct draft *draft_find_locked(const struct engine *engine, const char *name, size_t length);

/* draft-io.c: bytes; offset + length inside the disk; from any thread.  0 or -errno. */
int draft_pread(struct draft *draft, struct disk *disk, void *data, uint32_t length,
                uint64_t offset);
/* The same; data NULL: zeros.  Durable only by draft_seal().  After a failure each byte of the range
 * is the old or the new one. */
int draft_pwrite(struct draft *draft, struct disk *disk, const void *data, uint32_t length,
                 uint64_t offset);
/* As view_extents(): what the draft wrote, else what its generation says. */
int draft_extents(struct draft *draft, struct disk *disk, uint64_t length, uint64_t offset,
                  int (*fn)(uint64_t offset, uint64_t length, unsigned flags, void *context),
                  void *context);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view: one generation of all disks as a reader sees it.  Immutable, counted; whoever holds one
 * pins its generation: no layer newer than it is folded into the target meanwhile.  Reading takes
 * no lock.
 */
#pragma once

#include <stdatomic.h>
#include "engine/disk.h"

struct engine;

struct view_disk {
    struct layer *layers[LAYERS_MAX + 1]; /* newest first, each referenced */
    unsigned layer_count;
};

struct view {
    struct view *next, *prev; /* engine->views; guarded by engine->lock */
    struct engine *engine;
    int refs;                 /* guarded by engine->lock */
    uint64_t gen;
    atomic_int reading;       /* reads under way */
    atomic_bool revoked;      /* reads fail with -ESHUTDOWN */
    uint64_t revoke_at_ns;    /* warned: clock_now_ns() of its end; 0: not; under engine->lock */
    unsigned disk_count;
    struct view_disk disks[];
};

/* Can a view of this generation be had (of a mirror that is not being flipped)? */
bool view_is_readable_locked(const struct engine *engine, uint64_t gen);

/* The latest generation (gen == NO_GENERATION) or an older one; a new reference in *ret_view.
 * -ENOENT: not retained; -ESHUTDOWN: the mirror is being flipped. */
int view_get(struct engine *engine, uint64_t gen, struct view **ret_view);
int view_get_locked(struct engine *engine, uint64_t gen, struct view **ret_view);
void view_put(struct view *view); /* NULL is fine */
void view_put_locked(struct view *view);

/* Bytes of the disk at that generation.  offset+length inside the disk.  0 or -errno. */
int view_pread(struct view *view, struct disk *disk, void *data, uint32_t length,
               uint64_t offset);

/* Calls fn for consecutive extents from offset on, covering at least one byte and at most
 * `length`; flags EXTENT_ZERO for what reads as zero and takes no space.  -ESHUTDOWN: revoked. */
int view_extents(struct view *view, struct disk *disk, uint64_t length, uint64_t offset,
                 int (*fn)(uint64_t offset, uint64_t length, unsigned flags, void *context),
                 void *context);

/* Where a block of this view is: its layer, or NULL for the target.  *ret_state tells DATA or ZERO
 * for a layer. */
struct layer *view_lookup(const struct view *view, const struct disk *disk, uint64_t block,
                          enum block_state *ret_state);

/* The digest kept of a block; all zero: unknown. */
int view_digest(const struct view *view, const struct disk *disk, uint64_t block,
                uint8_t ret_digest[DIGEST_SIZE]);

/*
 * Does `block` hold `data` (disk_block_length() bytes with this digest)?  Told by the digest that was
 * kept when the block landed; by reading the block where none is known, or with `bytes`.
 * scratch: BLOCK_SIZE bytes.  1, 0 or -errno.
 */
int view_holds(struct view *view, struct disk *disk, uint64_t block, const void *data,
               const uint8_t digest[DIGEST_SIZE], bool bytes, void *scratch);

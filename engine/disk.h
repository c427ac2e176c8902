/* SPDX-License-Identifier: Apache-2.0 */
/* One disk of the VM: its target, its folder in the store, and what is open of it. */
#pragma once

#include "engine/layer.h"
#include "engine/map.h"
#include "engine/target.h"

struct owner;

struct disk {
    struct io *io;
    unsigned index;       /* in the superblock */
    char *name;
    char *folder;         /* STORE/NAME */
    char *target_path;
    uint64_t size;        /* bytes, a multiple of 512 */
    uint64_t blocks;
    struct target target;
    int digest_fd;        /* "dig": 16 bytes per block of the generation in the target */
    struct map *map;      /* INIT only */
    struct owner *owner;  /* owner modes only */
    bool target_empty;    /* INIT: what was not written reads zero */
    bool preseed;         /* INIT: the target holds an old copy */

    /* Guarded by engine->lock: */
    struct layer *layers[LAYERS_MAX + 2]; /* sealed, oldest first, as in the superblock */
    unsigned layer_count;
    uint64_t oldest_readable; /* smallest generation a view may still be made of */

    /* Owned by the operation that loads (one at a time): */
    struct layer *loading; /* T4..T6: not yet in the superblock */
};

void disk_done(struct disk *disk); /* closes everything */

/* "FOLDER/L<gen>"; the caller frees.  NULL: out of memory. */
char *disk_layer_stem(const struct disk *disk, uint64_t gen);
char *disk_map_path(const struct disk *disk, uint64_t epoch);

/* T2's data sync: target and digests durable. context: struct disk. */
int disk_sync_target(void *disk);

/* Removes layer files that neither the superblock (`super`) nor `loading` names, map files of other
 * epochs, and, at the start of an engine, what is left of `drafts`. */
struct super;
int disk_sweep(struct disk *disk, const struct super *super, bool drafts);

/* Bytes of block `block` (the last one may be short). */
static inline uint32_t disk_block_length(const struct disk *disk, uint64_t block)
{
    uint64_t left = disk->size - block * BLOCK_SIZE;

    return left < BLOCK_SIZE ? (uint32_t)left : (uint32_t)BLOCK_SIZE;
}

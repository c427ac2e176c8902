/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The missing masks of one disk: 16 bits per block, one per 4 KiB sub-block; bit set = "these
 * 4 KiB of TARGET are not yet the truth".  Bits only go from 1 to 0 inside an epoch.
 *
 * In memory: 2 bytes per block.  On disk (map.EPOCH): page pairs of 2032 masks each; in INIT a
 * page that was never written means "all missing".
 *
 * Bits are cleared by any thread, after the data has been written; the checkpoint is taken by one
 * thread at a time.
 */
#pragma once

#include <stdatomic.h>
#include "engine/format.h"
#include "engine/pagefile.h"

#define MAP_PAGE_BLOCKS (PAGE_PAYLOAD / 2)
#define MISSING_ALL 0xffff

struct map {
    struct io *io;
    int fd;
    uint64_t blocks;
    uint32_t page_count;
    _Atomic uint16_t *missing;
    atomic_bool *dirty;
    _Atomic uint64_t missing_blocks; /* blocks with any bit set */
    struct pagefile file;
};

/* Makes the file and syncs it and its folder; everything is missing. */
int map_create(struct io *io, const char *path, const char *folder, uint64_t epoch,
               uint64_t blocks, struct map **ret_map);
int map_open(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
             struct map **ret_map);
/* map_open() that opens the file for reading only and changes nothing. */
int map_inspect(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                struct map **ret_map);
void map_free(struct map *map); /* closes; NULL is fine */

/* The bits of `bits` become "present". */
void map_clear(struct map *map, uint64_t block, uint16_t bits);

/* First block >= from with a missing sub-block, or map->blocks. */
uint64_t map_find(const struct map *map, uint64_t from);

/* T2: copies the dirty pages, calls sync_data (which makes the target's data durable), then writes
 * the copies and makes them durable. */
int map_checkpoint(struct map *map, int (*sync_data)(void *context), void *context);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The missing masks of one disk: 16 bits per block, one per 4 KiB sub-block; bit set = "these
 * 4 KiB of TARGET are not yet the truth".  Bits only go from 1 to 0 inside an epoch.
 *
 * In memory: 2 bytes per block; in owner mode they lie in the live file.  On disk (map.EPOCH): page
 * pairs of 2032 masks each.  A page that was never written means what the masks were when the epoch
 * began: all missing in INIT, what the layers' change sets say in owner mode (owner.h).
 *
 * Bits are cleared by any thread, after the data has been written; the checkpoint is taken by one
 * thread at a time.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include "engine/format.h"
#include "engine/pagefile.h"

#define MAP_PAGE_BLOCKS (PAGE_PAYLOAD / 2)
#define MISSING_ALL 0xffff
#define KIND_MAP_MISSING 0x4d4d /* "MM" */

static inline uint32_t map_pages(uint64_t blocks)
{
    return (uint32_t)((blocks + MAP_PAGE_BLOCKS - 1) / MAP_PAGE_BLOCKS);
}

struct map {
    struct io *io;
    int fd;
    uint64_t blocks;
    uint32_t page_count;
    _Atomic uint16_t *missing;
    bool foreign;              /* `missing` is not ours to free */
    _Atomic uint64_t missing_blocks; /* blocks with any bit set */
    pthread_mutex_t lock;      /* clearing bits together with `changed`; copies of pages */
    uint32_t *changed, *durable; /* per page: counts its changes; what of them is on disk */
    pthread_mutex_t sync_lock; /* of the file, together with `failed` */
    atomic_bool failed;        /* an fdatasync of the file did */
    atomic_bool touched;       /* some page has changed since the last checkpoint began */
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

/*
 * Owner mode: a file for the masks in `missing` (borrowed, filled by the caller) and `more` page
 * pairs behind them, all of it allocated.  No page is written: each means what the masks are now.
 * missing NULL: nothing is, and there are no masks; only the pairs behind them are used.
 * missing_blocks: how many masks have a bit set, which the caller knows without looking at them all.
 */
int map_create_over(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                    uint32_t more, _Atomic uint16_t *missing, uint64_t missing_blocks,
                    struct map **ret_map);

/*
 * The file of an epoch that goes on.  `missing` holds what the epoch began with; adopt: it holds
 * what a killed engine left instead, and `began` says what an absent page means (may change
 * meanwhile, is not kept).  Makes durable what the killed engine wrote; then either reads the pages
 * into `missing`, or marks those that differ from it as changed.  missing NULL: as above.
 */
int map_open_over(struct io *io, const char *path, uint64_t epoch, uint64_t blocks,
                  _Atomic uint16_t *missing, const uint16_t *began, struct map **ret_map);

/* The bits of `bits` become "present". */
void map_clear(struct map *map, uint64_t block, uint16_t bits);

/* The page the block's mask is on has to be written (again) by the next checkpoint. */
void map_touch(struct map *map, uint64_t block);

/* The mask of the block as it is now is on disk. */
bool map_is_durable(struct map *map, uint64_t block);

/* First block >= from with a missing sub-block, or map->blocks. */
uint64_t map_find(const struct map *map, uint64_t from);

/*
 * fdatasync of the file, which others may have pages in as well.  After one that failed all do: the
 * kernel tells one caller that it dropped pages, and to the next it would say that all is well.
 */
int map_sync(struct map *map);

/* T2, T12: copies the changed pages, calls sync_data (which makes the target's data durable), then
 * writes the copies and makes them durable.  Pages written, or -errno; 0: sync_data was not called. */
int map_checkpoint(struct map *map, int (*sync_data)(void *context), void *context);

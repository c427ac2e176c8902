/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live file of one disk in owner mode: missing masks and dirty planes as they are this moment,
 * in memory that outlives the process (a file in /run, mapped), but not the machine.  After a
 * kill -9 the next engine goes on from it; after a power loss it is gone and the map file counts.
 *
 * The superblock names it by a nonce, so that a stale one is never taken.
 */
#pragma once

#include <stdatomic.h>
#include "engine/io.h"

#define LIVE_NONCE_SIZE 16

struct live {
    struct io *io;
    char *path;
    void *base;
    size_t size;
    uint64_t blocks;
    _Atomic uint64_t *planes[2]; /* a bit per block: written by the guest since the flip */
    _Atomic uint16_t *missing;   /* a mask per block */
};

/* Makes the file (an old one goes) with nothing missing and nothing dirty; its memory is reserved,
 * so that no access faults, that of the masks only if there will be any: else they must not be
 * looked at.  nonce as it will stand in the superblock. */
int live_create(struct io *io, const char *path, uint64_t blocks, uint64_t epoch,
                const uint8_t nonce[LIVE_NONCE_SIZE], bool masks, struct live **ret_live);

/* Takes up the file of a killed engine.  -ENOENT: not there; -ESTALE: of another nonce, epoch or
 * size, or damaged. */
int live_open(struct io *io, const char *path, uint64_t blocks, uint64_t epoch,
              const uint8_t nonce[LIVE_NONCE_SIZE], struct live **ret_live);

/* Unmaps and keeps the file (io map_unlink removes it).  NULL is fine. */
void live_free(struct live *live);
/* Gives the memory of the masks back (nothing is missing any more); they read as zero. */
void live_drop_masks(struct live *live);

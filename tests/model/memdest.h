/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A destination of failback in memory: disks with a volatile cache.  What was written is visible at
 * once and durable after a flush that began later.  A URI is "dest:DISK".
 */
#pragma once

#include "engine/reader.h"
#include "engine/writer.h"
#include "tests/model/memsource.h"

struct memdest {
    struct random random;
    uint8_t *bytes[MEM_DISKS];   /* what readers see */
    uint8_t *durable[MEM_DISKS]; /* what a crash of the destination leaves, at the least */
    bool changed[MEM_DISKS];     /* its bitmap is not clean */
    unsigned fail_at;            /* the n-th operation from now fails; 0: none */
    bool lost;                   /* connections are gone, new ones are refused */
    bool read_only, no_zero, lies; /* lies: one bit of what it reads back is another */
    uint64_t written_bytes, zeroed_bytes;
    unsigned writers;            /* open now */
};

struct memdest *memdest_new(uint64_t seed);
void memdest_free(struct memdest *dest);

/* The disk holds this, durably. */
void memdest_put(struct memdest *dest, unsigned disk, const uint8_t *bytes);

/* The destination's machine stops: of what was not flushed, sector by sector, some is kept. */
void memdest_crash(struct memdest *dest);

extern const struct writer_factory memdest_writers;
/* Reads "dest:DISK" (bitmap "changed"), and whatever memsource_readers does. */
extern const struct reader_factory memdest_readers;

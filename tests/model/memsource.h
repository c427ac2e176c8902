/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source in memory: live disks that are written to, numbered points in time of them, and readers
 * for the engine.  A URI is "mem:POINT/DISK", a bitmap "since:POINT" (blocks that differ between
 * that point and this one, in grains, with some too many).
 */
#pragma once

#include "engine/reader.h"
#include "tests/model/random.h"

#define MEM_DISKS 2
#define MEM_POINTS 48

extern const uint64_t mem_sizes[MEM_DISKS]; /* bytes; odd on purpose */

struct memsource {
    struct random random;
    uint8_t *live[MEM_DISKS];
    uint8_t *points[MEM_POINTS][MEM_DISKS];
    unsigned point_count;
    unsigned fail_read_at; /* the n-th read from now fails; 0: none */
    bool no_allocation;    /* base:allocation is not offered */
    bool shrunk;           /* says it is smaller than it is */
    void (*on_read)(unsigned disk, uint64_t offset, uint64_t length, void *context);
    void *context;
    uint64_t read_bytes;
};

/* The source the factory's readers read; one at a time. */
struct memsource *memsource_new(uint64_t seed);
void memsource_free(struct memsource *source);

/* Writes something somewhere. */
void memsource_write(struct memsource *source, uint64_t seed);

/* A new point in time: its number. */
unsigned memsource_point(struct memsource *source);

extern const struct reader_factory memsource_readers;

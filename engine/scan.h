/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads chosen blocks of one disk from a source and hands each to a judge, in any order.  What the
 * source says is zero is not transferred.  Keeps to the limits of the source.
 */
#pragma once

#include "engine/disk.h"
#include "engine/limit.h"
#include "engine/reader.h"

struct scan {
    struct reader *reader; /* stays the caller's, who closes it when this has failed */
    struct disk *disk;
    struct limits *limits;
    void *context;         /* of the next three */
    /* The first block >= from that is wanted; disk->blocks: none is. */
    uint64_t (*next)(void *context, uint64_t from);
    /* 0 or -errno, which ends the scan. */
    int (*judge)(void *context, uint64_t block, const uint8_t *data, uint32_t length);
    /* Asked again and again: 0, or -errno with a sentence to end it.  seen_bytes: judged so far. */
    int (*go_on)(void *context, uint64_t seen_bytes, struct error **err);
};

/* 0 when all have been judged.  Closes scan->reader in any case (and sets it to NULL). */
int scan_run(struct scan *scan, struct error **err);

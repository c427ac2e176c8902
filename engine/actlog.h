/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The activity log of one disk in owner mode: the regions in which the guest may have written
 * without a durable dirty bit.  A region is entered durably before the first write to it; after a
 * power loss everything in it counts as dirty.  The idea is DRBD's, without LRU and replay: the
 * whole table is one page (docs/FORMATS.md), a pair of slots written in turn.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include "engine/pagefile.h"

#define ACTLOG_REGIONS_MAX (PAGE_PAYLOAD * 8)
#define ACTLOG_REGION_MIN (UINT64_C(64) << 20)

struct actlog {
    struct io *io;
    int fd;
    uint64_t region_bytes; /* a power of two */
    uint32_t regions;
    struct pagefile file;
    pthread_mutex_t lock;  /* held while a record is written */
    bool failed;           /* a record did; under the lock */
    _Atomic uint8_t active[PAGE_PAYLOAD]; /* durable */
    _Atomic uint8_t wanted[PAGE_PAYLOAD]; /* to be entered by the next record */
};

/* Makes the file, with no region active; durable together with its folder entry. */
int actlog_create(struct io *io, const char *path, const char *folder, uint64_t epoch,
                  uint64_t disk_size, struct actlog **ret_log);
/* Makes durable what a killed engine wrote, then reads.  -EBADMSG: damaged. */
int actlog_open(struct io *io, const char *path, uint64_t epoch, uint64_t disk_size,
                struct actlog **ret_log);
/* actlog_open() that only reads. */
int actlog_inspect(struct io *io, const char *path, uint64_t epoch, uint64_t disk_size,
                   struct actlog **ret_log);
void actlog_free(struct actlog *log); /* closes; NULL is fine */

/* All regions of the range are durably active when it returns 0.  Several callers share a record.
 * After one that failed none is written: it may be lost, and the next would go over the one before,
 * the only one that is sure to be good. */
int actlog_activate(struct actlog *log, uint64_t offset, uint64_t length);

bool actlog_is_active(const struct actlog *log, uint32_t region);

/* No region is active any more, durably.  Only while no guest write is under way. */
int actlog_clear(struct actlog *log);

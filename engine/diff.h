/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diff: what changed between two generations of a mirror that are both retained.  The layers tell
 * which blocks were written; these are read through views of both generations and compared, since
 * a block may have been written with the bytes it had.
 *
 * Holds both views, so syncs and readers go on and nothing is folded that it needs; a flip ends it.
 */
#pragma once

#include "engine/vm.h"

#define DIFF_EXTENTS_MAX 1000 /* told at a time */

struct diff_extent {
    uint64_t offset, length; /* bytes */
};

/* Called with 1 to DIFF_EXTENTS_MAX extents of a disk, ascending; they are borrowed. */
typedef void diff_extents_fn(const struct disk *disk, const struct diff_extent *extents,
                             unsigned count, void *context);

struct diff_request {
    uint64_t from;            /* NO_GENERATION: the one before `to` */
    uint64_t to;              /* NO_GENERATION: the latest */
    const struct disk *disk;  /* NULL: all */
    bool fast;                /* every block that was written counts; nothing is read */
    diff_extents_fn *extents; /* may be NULL */
    progress_fn *progress;    /* may be NULL; phase "diff", bytes of the disks */
    void *context;            /* of both */
};

struct diff_disk {
    uint64_t changed_bytes; /* in blocks that differ */
    uint64_t written_bytes; /* in blocks that a layer between the two has */
    uint64_t extent_count;  /* of what differs; neighbours are one */
};

/* One diff that runs; zeroed before. */
struct diff {
    struct diff *next; /* engine->diffs; guarded by engine->lock */
    atomic_bool cancel;
    uint64_t from, to; /* the result: the generations that were compared */
    struct diff_disk disks[DISKS_MAX]; /* the result, by index of the disk */
};

/*
 * Compares block by block (64 KiB; the last one of a disk may be short), in bounded memory and
 * without a lock during I/O.  Any number may run at a time.
 * EPERM: not a mirror; EINVAL: from > to; ENOENT: not retained; ECANCELED: cancelled, ended by a
 * flip, or by want of room (engine/room.h).
 */
int diff_run(struct diff *diff, struct engine *engine, const struct diff_request *request,
             struct error **err);

/* Ends all that run; false: none does. */
bool diff_cancel_all_locked(struct engine *engine);

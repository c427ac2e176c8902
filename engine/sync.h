/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sync: brings all disks of the VM to one new point in time of the source (T2-T7).
 * The sequence for the product is sync_run(); the parts are separate so that the model test can
 * drive them one step at a time.
 */
#pragma once

#include "engine/pull.h"
#include "engine/vm.h"

struct sync_source {
    const char *name;   /* disk */
    const char *uri;
    const char *bitmap; /* meta context, or NULL */
};

struct sync_request {
    const struct sync_source *sources;
    unsigned source_count;
    const char *snapshot; /* identity of the point in time */
    bool compare;         /* ignore bitmaps: compare everything */
    bool compare_bytes;   /* a compare reads the mirror and trusts no digest */
    unsigned connections; /* per disk; 0: 4 */
    /*
     * Not NULL: a repair.  Fetches the blocks of these sets (a bit per block, by index of the disk;
     * NULL: none) once more and makes the next generation of them, which is of the same point in
     * time as the current one.  Disks without a source get an empty layer.
     */
    uint64_t *const *repair;
};

struct sync_disk {
    struct disk *disk;
    char *uri, *bitmap;
    struct reader *reader;  /* the first connection: size, extents, first puller */
    struct pull pull;
    bool pull_ready;
    bool tainted;           /* an fdatasync of the layer failed: nobody knows what of it is
                             * durable, sync_close() drops it */
    uint64_t wanted_bytes;  /* pending when the copy began */
    uint64_t changed_bytes; /* size of the change set */
    uint64_t zero_bytes;    /* known to be zero without asking for the bytes */
    uint64_t nanoseconds;   /* of the copy */
};

struct sync {
    struct engine *engine;
    struct sync_request request; /* strings are copies */
    bool initial;                /* INIT: into the targets */
    char snapshot[SNAPSHOT_ID_MAX + 1];
    struct view *base;           /* the generation a delta builds on; pinned */
    unsigned disk_count;
    struct sync_disk disks[DISKS_MAX];
    const char *phase;           /* "map", "copy", "seal"; static */
    uint64_t generation;         /* the one that was committed */
    bool already;                /* that point in time was committed before */
    atomic_bool cancel;
};

/* Every disk of the VM is named once, and no other. */
int sync_check_names(struct engine *engine, const struct sync_source *sources, unsigned count,
                     struct error **err);

/* Opens the sources, checks sizes.  On success sync_close() is owed. */
int sync_open(struct sync *sync, struct engine *engine, const struct sync_request *request,
              struct error **err);
/* Resumes or begins: maps / layers exist and say what is wanted. */
int sync_prepare(struct sync *sync, struct error **err);
/* What is durable so far: T2 or T5 for one disk.  After a failure every further one fails. */
int sync_checkpoint(struct sync *sync, unsigned index);
/* T3, or T6 and T7. */
int sync_commit(struct sync *sync, struct error **err);
void sync_close(struct sync *sync);

/* Everything, with threads; returns when the generation is committed. */
int sync_run(struct sync *sync, progress_fn *progress, void *context, struct error **err);

/* Sums over all disks, bytes. */
void sync_progress(const struct sync *sync, struct progress_report *ret_report);

/* synccopy.c: the copy of one disk with threads and checkpoints. */
int sync_copy(struct sync *sync, unsigned index, progress_fn *progress, void *context,
              struct error **err);

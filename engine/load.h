/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A push: NBD clients write the disks into the engine, through the exports "<disk>+load", instead of
 * the engine fetching them.  Before generation 0 it is the initial copy, into the targets; what is
 * never written reads zero then.  Later it is a delta, into a layer per disk; what is never written,
 * or written with what is there already, is unchanged.  Only load_commit() makes a generation, of
 * all disks at once.
 *
 *   load.c      begin, commit, abandon; who is connected
 *   load-io.c   reads, writes, zeroes, flush, and what a commit settles
 *
 * While a push is open it is the operation in progress: no sync, flip or draft.
 *
 * What a client has flushed survives the engine.  A push that was begun with a snapshot id goes on
 * when it is begun with the same one again: the client must then write again whatever it has not
 * flushed (most clients just start over).  Other interrupted pushes are dropped by the next begin.
 * A connection alone never begins a push where an interrupted one lies: a client that reconnects
 * after a crash would go on in the middle, and what it wrote before would be missing.
 *
 * Digests: a block that was written whole gets its digest at once.  Of one that was written in parts,
 * or before a crash, nothing is believed; it is read and digested at the commit ("loose").
 */
#pragma once

#include "engine/vm.h"

#define LOAD_STRIPES 64
#define LOAD_SUFFIX "+load"   /* of an export's name */
#define LOAD_OPERATION "load" /* the name of the operation */

struct load_disk {
    struct disk *disk;
    _Atomic uint64_t *loose;  /* bit per block: its digest must be made of what is here */
    _Atomic uint64_t *broken; /* bit per block: a write failed, nothing whole has come since */
    pthread_mutex_t stripes[LOAD_STRIPES]; /* by block: writers of one block take turns */
    pthread_mutex_t checkpoint_lock;
    _Atomic uint64_t received_bytes; /* written or zeroed by clients */
    _Atomic uint64_t written_bytes;  /* of them put into target or layer */
    _Atomic uint64_t zero_bytes, same_bytes;
};

struct load {
    struct engine *engine;
    char snapshot[SNAPSHOT_ID_MAX + 1];
    bool initial;          /* into the targets */
    bool named;            /* has a snapshot id of its user's: can be resumed */
    bool implicit;         /* a connection began it */
    bool resumed;
    struct view *base;     /* delta: what it builds on; pinned */
    unsigned users;        /* open exports; guarded by engine->lock */
    bool closing;          /* no new ones; guarded by engine->lock */
    atomic_bool failed;    /* an fdatasync failed: nobody knows what is durable */
    unsigned disk_count;
    struct load_disk disks[];
};

/*
 * Opens a push.  snapshot: 1 to SNAPSHOT_ID_MAX bytes, or NULL.  Again for the one that is open: fine.
 * EEXIST: the current generation is that point in time; EBUSY, EPERM: not now; EINVAL: the id.
 */
int load_begin(struct engine *engine, const char *snapshot, struct error **err);

/* What opening "<disk>+load" does: begins one without an id when none is open. */
int load_ensure(struct engine *engine, struct error **err);

/*
 * Commits: all disks of the VM, at once.  Waits up to grace_ns for connections to leave.  EBUSY: they
 * did not; EIO: a write had failed, the sentence names where; ENOENT: nothing is open.  After a
 * failure the push is still open, unless the engine has failed.
 */
struct load_result {
    uint64_t generation;
    char snapshot[SNAPSHOT_ID_MAX + 1];
    unsigned disk_count;
    struct {
        const char *disk; /* owned by the engine */
        uint64_t received_bytes, written_bytes, zero_bytes, same_bytes;
    } disks[DISKS_MAX];
};
int load_commit(struct engine *engine, uint64_t grace_ns, progress_fn *progress, void *context,
                struct load_result *ret_result, struct error **err);

/* Forgets the open push, or an interrupted one.  ENOENT: there is neither; EBUSY as load_commit. */
int load_abandon(struct engine *engine, uint64_t grace_ns, struct error **err);

/* At the engine's end: what can be resumed is made durable, the rest goes.  None is fine. */
void load_end(struct engine *engine);

/* A connection left.  Ends a push that a connection began and nobody wrote to. */
void load_left(struct engine *engine);

/* ---- load-io.c; offsets and lengths inside the disk; any thread; 0 or -errno ---- */

int load_pread(struct load *load, struct disk *disk, void *data, uint32_t length,
               uint64_t offset);
int load_pwrite(struct load *load, struct disk *disk, const void *data, uint32_t length,
                uint64_t offset);
/* flags: EXPORT_MAY_TRIM, EXPORT_FAST. */
int load_zero(struct load *load, struct disk *disk, uint64_t length, uint64_t offset,
              unsigned flags);
/* A checkpoint of this disk (T2, T5). */
int load_flush(struct load *load, struct disk *disk);
int load_extents(struct load *load, struct disk *disk, uint64_t length, uint64_t offset,
                 int (*fn)(uint64_t offset, uint64_t length, unsigned flags, void *context),
                 void *context);

/* Makes what is here complete: zeroes what was never written (initial), decides what is unchanged
 * (delta), digests what is loose.  EIO with a sentence when a write had failed. */
int load_settle(struct load *load, struct disk *disk, struct error **err);

/* Everything that is here is of unknown digest: after a crash. */
int load_loosen(struct load *load, struct disk *disk);

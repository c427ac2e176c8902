/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failback: the VM goes back to its source.  Passes send what the guest has written since the flip
 * to NBD destinations, the disks of the source, while the VM runs; the final pass does it with the
 * VM stopped and ends in mode returned: from then on the source is the truth.
 *
 * The first pass makes sure that the destination still is what was flipped (else sending the
 * difference would make a mixture), and says so in the root: mode failback.
 */
#pragma once

#include <jansson.h>
#include "engine/failback-pass.h"
#include "engine/sync.h"

/* How the first pass makes sure; and what the final one does in the end. */
enum failback_check {
    FAILBACK_CHECK_DEFAULT, /* the bitmap where one is named, else digests */
    FAILBACK_CHECK_BITMAP,  /* the source's own bitmap, begun at the flip, must be clean */
    FAILBACK_CHECK_DIGEST,  /* read the whole source; final: compare all of it with the target */
    FAILBACK_CHECK_NONE,    /* whoever asks knows */
};

struct failback_request {
    const struct sync_source *sources; /* every disk; bitmap as the check wants it */
    unsigned source_count;
    bool final;
    enum failback_check check;
    uint64_t grace_ns;      /* final: how long to wait for the VM to be gone */
    uint32_t window_blocks; /* 0: PASS_WINDOW_DEFAULT; for tests */
};

struct failback_disk {
    struct disk *disk;
    const struct sync_source *source;
    struct writer *writer;
    uint64_t sent_bytes, zero_bytes, nanoseconds;
    unsigned passes;
};

struct failback {
    struct engine *engine;
    const struct failback_request *request;
    progress_fn *progress;
    void *context;
    atomic_bool cancel;
    unsigned disk_count;
    struct failback_disk disks[DISKS_MAX];
    uint64_t checked_bytes, check_total; /* before the first pass, or after the last */
    /* Guarded by engine->lock, for the status: */
    struct progress_report report;
};

/*
 * One pass over every disk, or, with request->final, all that it takes.  *ret_result (new reference):
 *     {mode, final: bool, already: bool, dirty_bytes, disks: [{disk, sent_bytes, zero_bytes,
 *      seconds}]}
 * A failure or a cancel at any moment leaves the VM's disks as they are and everything unsent
 * dirty; the next pass goes on.
 */
int failback_run(struct failback *failback, struct engine *engine,
                 const struct failback_request *request, progress_fn *progress, void *context,
                 json_t **ret_result, struct error **err);

/* failback-check.c: is the destination what was flipped?  EPERM with a sentence when it is not. */
int failback_check_source(struct failback *failback, struct failback_disk *disk,
                          struct error **err);

/* A sample of the blocks that are not dirty is the same on both sides: EPERM when it is not. */
int failback_check_sample(struct failback *failback, struct failback_disk *disk,
                          struct error **err);

/* All of the destination is the same as the target, with the VM stopped: EIO when it is not. */
int failback_check_all(struct failback *failback, struct failback_disk *disk, struct error **err);

/* Reports progress, and ECANCELED when it is over. */
int failback_go_on(struct failback *failback, const char *phase, uint64_t done, uint64_t total,
                   struct error **err);

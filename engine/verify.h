/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify: does the source, asked again for the same point in time, hold what the current
 * generation holds?  Reads the source and compares the digest of each block with the one kept
 * when the block landed; what has no digest is read from the view.  Whole, or a random sample of
 * blocks: an audit of changed-block tracking.
 *
 * Holds a view, so readers and syncs go on; a flip ends it.
 */
#pragma once

#include <jansson.h>
#include "engine/sync.h"

#define VERIFY_EXTENTS_MAX 64 /* differing extents told per disk */

struct verify_request {
    const struct sync_source *sources; /* bitmaps are not used; disks not named are not checked */
    unsigned source_count;
    double sample_percent;             /* of the blocks, > 0 and <= 100 */
    uint64_t seed;                     /* of the sample */
    bool bytes;                        /* read what is here as well, and trust no digest */
    uint64_t **repair; /* not NULL: by index of the disk, a bit per block that is not what it should
                        * be; the arrays are made and are the caller's to free */
};

struct verify {
    atomic_bool cancel;
};

/*
 * *ret_result (new reference):
 *     {generation, snapshot, sample_percent, equal: bool, checked_bytes, differing_bytes,
 *      rotten_bytes, seconds,
 *      disks: [{disk, size_bytes, checked_bytes, differing_bytes, rotten_bytes,
 *               differing_extents: number, extents: [{offset, length}...] (the first ones)}]}
 * Differing: the source has other bytes.  Rotten: what is here is not what its digest says, it changed
 * here after it landed; found where the source disagrees with the digest, and everywhere with `bytes`.
 * A block may be both.  Extents are of either.  Equal: neither.
 * 0 also when something differs.  ECANCELED: cancelled, or ended by a flip.
 */
int verify_run(struct verify *verify, struct engine *engine, const struct verify_request *request,
               progress_fn *progress, void *context, json_t **ret_result, struct error **err);

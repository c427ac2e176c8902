/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a store from outside, without changing it: is what the superblock names there, whole,
 * and what it says?  Nothing is repaired.
 */
#pragma once

#include <jansson.h>
#include "engine/vm.h"

struct fsck_options {
    bool data;             /* also read targets and layers and compare with the stored digests */
    progress_fn *progress; /* may be NULL */
    void *context;
};

/*
 * Checks the store.  *ret_report (new reference):
 *     {store, vm, mode, generation, sound: bool, checked_bytes,
 *      findings: [{severity: "note"|"damage", thing, meaning, action}]}
 * 0 also when the store is damaged (sound is false then).  Errors: EBUSY (an engine serves the
 * store), ENOENT (no store), EPROTO (of a newer format).
 */
int fsck_run(struct io *io, const char *store, const struct fsck_options *options,
             json_t **ret_report, struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verify, and fetch again what is not what it should be: the blocks that differ from the source or
 * rotted here become a layer and the next generation, of the same point in time.  Nothing is changed
 * in place.  Exclusive: no sync comes between.
 */
#pragma once

#include "engine/verify.h"

/*
 * As verify_run().  When a sample has found something, the whole of the disks is verified, and the
 * result is of that, with "audit": that of the sample.  "repaired": {generation, bytes}, null when
 * there was nothing to repair.
 */
int repair_run(struct verify *verify, struct engine *engine, const struct verify_request *request,
               progress_fn *progress, void *context, json_t **ret_result, struct error **err);

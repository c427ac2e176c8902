/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying a plan out, and reading it back from the disks. */
#pragma once

#include "morph/guest.h"
#include "morph/plan.h"
#include "morph/report.h"

/* Makes the edits in order; the filesystems must be writable.  On failure some may be made. */
int apply_plan(struct guest *guest, const struct plan *plan, const struct report *report,
               struct error **err);

/* Mounts again and reads every edit back from the disks; fills the hashes of what programs of the
 * guest made.  -EIO with a sentence for what is not as it was made. */
int apply_verify(struct guest *guest, struct plan *plan, struct error **err);

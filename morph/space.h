/* SPDX-License-Identifier: Apache-2.0 */
/* Is there room in the guest for what a plan adds? */
#pragma once

#include "morph/guest.h"
#include "morph/plan.h"

/* -ENOSPC with a sentence when a filesystem has too few bytes or inodes for the plan. */
int space_check(struct guest *guest, const struct plan *plan, struct error **err);

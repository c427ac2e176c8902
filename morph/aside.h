/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the guest that are in the way: taken out of use, kept below /var/lib/slipway/aside. */
#pragma once

#include "morph/facts.h"
#include "morph/plan.h"

#define ASIDE "/var/lib/slipway/aside"

/* Proposes to move a regular file to ASIDE/PATH, readable by root only; nothing when there is none.
 * A rename beside it would not do: programs read whole directories.  Takes what. */
int aside_move(const struct facts *facts, struct plan *plan, const char *change, const char *path,
               char *what, const char *why, struct error **err);

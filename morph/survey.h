/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the guest's root, checks that it may be changed, mounts it and fills the facts. */
#pragma once

#include "morph/facts.h"
#include "morph/guest.h"

/*
 * facts->request must be set before.  On failure the reason is that nothing can be done with this
 * guest, and nothing was changed.  facts_done() in any case.
 */
int survey_guest(struct guest *guest, struct facts *facts, struct error **err);

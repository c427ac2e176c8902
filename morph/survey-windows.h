/* SPDX-License-Identifier: Apache-2.0 */
/* A Windows guest: may it be changed, and what is it. */
#pragma once

#include "morph/facts.h"
#include "morph/guest.h"

/*
 * Mounts the volume, on which Windows was found, and fills the facts.  -EUCLEAN with a sentence
 * when Windows sleeps there or wants the filesystem checked; other errors as windows_read().
 */
int survey_windows(struct guest *guest, const struct volume *volume, struct facts *facts,
                   struct error **err);

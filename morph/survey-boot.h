/* SPDX-License-Identifier: Apache-2.0 */
/* What BIOS would start from the guest's disks. */
#pragma once

#include "morph/facts.h"
#include "morph/guest.h"

/* Fills facts->boot_code from the first sectors of the disks. */
int survey_boot_code(struct guest *guest, struct facts *facts, struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On which disks the guest's GRUB is installed: device.map, SUSE's grub_installdevice, and Debian's
 * answer to grub-pc/install_devices.  They are read when the guest updates its boot loader.
 */
#pragma once

#include "morph/facts.h"
#include "morph/plan.h"

/* Proposes (as the change "bootconfig") that no disk of the source is named there. */
int bootdisks_rewrite(struct facts *facts, struct plan *plan, struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the modules that were added to an initramfs are loaded when it runs.  Where udev or mdev runs
 * in it, the index files suffice: the virtio devices announce themselves.  The names are given all
 * the same, as each kind of initramfs knows a list of modules to load before anything else:
 *
 *   initramfs-tools  conf/modules
 *   dracut           rd.driver.pre= in etc/cmdline.d/…; Red Hat 6: a script in pre-udev
 *   mkinitcpio       MODULES= in config; with systemd inside, etc/modules-load.d
 *   mkinitfs         etc/modules
 *   SUSE's mkinitrd  RESOLVED_INITRD_MODULES= in run_all.sh and config/start.sh
 *   mkinitrd         insmod lines in init, a script of nash, which has no udev and no modprobe
 *
 * Pure.
 */
#pragma once

#include "morph/initramfs.h"

/*
 * Adds to w what makes the kernel load `names` (with the modules they need before them, in the
 * order in which they can be inserted).  -ENOTSUP, and nothing is added, where this cannot be done.
 */
int loadlist_add(struct initramfs *i, const char *const *names, size_t count,
                 struct cpio_writer *w);

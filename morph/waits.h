/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What dracut wrote into an initramfs for this one machine: devices that must be there before the
 * boot goes on, each as a hook (…/hooks/initqueue/finished/devexists-DEVICE.sh) and, with systemd
 * inside, as the time to wait for it (etc/systemd/system/DEVICE.device.d/timeout.conf, without
 * end).  A device named by the source's hardware never comes.  Pure.
 */
#pragma once

#include "morph/initramfs.h"

/* True for the name of a file that such a wait is in, for any device. */
bool wait_is_file(const char *name);

/* Adds files to w that put an end to the waits for the source's devices, and those devices to
 * `names`.  Nothing when there are none, or when that was done before. */
void waits_add(struct initramfs *i, struct cpio_writer *w, struct buffer *names);

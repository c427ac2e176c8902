/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters of lvm.conf: arrays of "a|REGEX|" (accept) and "r|REGEX|" (reject), of which the
 * first that matches any name of a device decides.  A filter that accepts the disks of the source
 * by their names and rejects the rest hides every physical volume on virtio.  Pure. Source:
 * lvm.conf(5), "devices/filter" and "devices/global_filter".
 */
#pragma once

#include <stddef.h>
#include "morph/buffer.h"

/*
 * Copies text to out with one more element, which accepts virtio's disks, behind the last element
 * of each filter that accepts disks of the source by name and nothing of virtio.  Returns how many
 * filters changed; their names are added to what.  Comments stay.
 */
size_t lvmconf_admit(const char *text, struct buffer *out, struct buffer *what);

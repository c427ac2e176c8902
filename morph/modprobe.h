/* SPDX-License-Identifier: Apache-2.0 */
/* modprobe.conf(5), as far as it keeps a driver from being loaded.  Pure. */
#pragma once

#include <stddef.h>
#include "morph/buffer.h"

/*
 * Adds text to out with every line that keeps a virtio driver away as a comment: "blacklist
 * virtio_blk", "install virtio_net /bin/false", "alias virtio_pci off".  The first such line ends
 * up in *ret_first (the caller frees; NULL when there is none).  Returns how many there were.
 */
size_t modprobe_allow_virtio(const char *text, struct buffer *out, char **ret_first);

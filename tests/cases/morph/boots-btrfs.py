# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""A guest on btrfs boots on virtio from its subvolume, not from a snapshot that looks like it."""

import morphed

morphed.boots("btrfs", {"/": "/dev/vda1[/@rootfs]", "/home": "/dev/vda1[/@home]",
                        "/.snapshots": "/dev/vda1[/@snapshots]"})

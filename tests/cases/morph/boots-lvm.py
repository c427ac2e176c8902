# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""A guest on LVM with a /boot of its own boots on virtio."""

import morphed

morphed.boots("lvm", {"/": "/dev/mapper/vg0-root", "/boot": "/dev/vda1"}, twice=True)

# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""A guest with UEFI and systemd-boot boots on virtio from firmware that knows nothing of it."""

import morphed

morphed.boots("uefi", {"/": "/dev/vda2", "/boot/efi": "/dev/vda1"},
              needs=("fstab", "network", "initramfs", "agents", "uefi", "bootconfig"))

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest with an encrypted root, whose key is given as a file, boots on virtio."""

import morphed

morphed.boots("luks", {"/": "/dev/mapper/cryptroot", "/boot": "/dev/vda1"},
              options=lambda folder: ["--key", f"/dev/sda2={folder}/key"])

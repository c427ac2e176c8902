# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest with a second disk boots on virtio with both mounted."""

import morphed

morphed.boots("two-disks", {"/": "/dev/vda1", "/srv": "/dev/vdb1"})

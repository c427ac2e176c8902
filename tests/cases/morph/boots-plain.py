# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest on one disk boots on virtio with its card, its address and its agent."""

import morphed

morphed.boots("plain", {"/": "/dev/vda1"}, twice=True)

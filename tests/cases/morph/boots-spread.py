# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest whose system is spread over two disks (/usr and /var on the second) boots on virtio."""

import morphed

morphed.boots("spread", {"/": "/dev/vda1", "/usr": "/dev/vdb1", "/var": "/dev/vdb2"})

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 3600
"""slipway-morph is killed at every edit and every phase behind: each time the draft is dropped and
the disk is the same by every digest; afterwards a whole run still works."""

import morphkill
from case import require

require("root", "nbdkit", "mkfs.ext4", morphkill.MORPH)
lab = morphkill.Lab()
for event in lab.events():
    lab.kill_at(event)
lab.whole()

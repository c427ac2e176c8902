# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""slipway-morph is killed at two moments between its first edit and its end: each time the draft
is dropped and the disk is the same by every digest; afterwards a whole run still works."""

import morphkill
from case import require

require("root", "nbdkit", "mkfs.ext4", morphkill.MORPH)
lab = morphkill.Lab()
for event in morphkill.spread(lab.events(), 2):
    lab.kill_at(event)
lab.whole()

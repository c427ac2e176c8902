# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 1200
# serial
"""A running guest of another platform is moved after a rehearsal, and from inside it nothing is
missing; then it goes back to its source with what it wrote meanwhile (./run demo --rehearse
--rollback); nothing is left behind on this machine."""

import glob

from case import build, check, require, run, source

require("root", "qemu-system-x86_64", "mmdebstrap")
before = set(glob.glob("/var/tmp/slipway-demo-*"))
text = run("/usr/bin/python3", "-u", source / "demo" / "demo.py", "--build", build, "--rehearse",
           "--rollback", timeout=1150)
check("19 of 19 proofs hold" in text, "all proofs hold")
check(text.count("  delta   ") == 2, "two deltas were synced")
check(set(glob.glob("/var/tmp/slipway-demo-*")) <= before, "nothing is left in /var/tmp")

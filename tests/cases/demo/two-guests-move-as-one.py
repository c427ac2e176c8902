# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 1200
# serial
"""Two running guests are frozen at one instant and cut over as one (./run demo --group); nothing is
left behind on this machine."""

import glob

from case import build, check, require, run, source

require("root", "qemu-system-x86_64", "mmdebstrap")
before = set(glob.glob("/var/tmp/slipway-demo-*"))
text = run("/usr/bin/python3", "-u", source / "demo" / "demo.py", "--build", build, "--group",
           timeout=1150)
check("17 of 17 proofs hold" in text, "all proofs hold")
check(set(glob.glob("/var/tmp/slipway-demo-*")) <= before, "nothing is left in /var/tmp")

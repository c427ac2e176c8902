# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 1200
# serial
"""A running guest is moved by an instant cutover (./run demo --instant): it runs before its disks
are whole, and from inside it nothing is missing."""

import glob

from case import build, check, require, run, source

require("root", "qemu-system-x86_64", "mmdebstrap")
before = set(glob.glob("/var/tmp/slipway-demo-*"))
text = run("/usr/bin/python3", "-u", source / "demo" / "demo.py", "--build", build, "--instant",
           timeout=1150)
check("14 of 14 proofs hold" in text, "all proofs hold")
check("  instant " in text, "there was an instant pass")
check(set(glob.glob("/var/tmp/slipway-demo-*")) <= before, "nothing is left in /var/tmp")

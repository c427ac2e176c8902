# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 400
# serial
"""Ctrl-C while the demo's source boots ends every process and removes every file of it."""

import glob
import signal
import subprocess
import time

from case import build, check, defer, require, source, stop, wait_until, work

require("root", "qemu-system-x86_64", "mmdebstrap")


def folders():
    return set(glob.glob("/var/tmp/slipway-demo-*"))


def processes(folder):
    return subprocess.run(["pgrep", "-f", folder], stdout=subprocess.PIPE, text=True,
                          check=False).stdout.split()


before = folders()
log = open(work / "demo.log", "wb")
demo = subprocess.Popen(["/usr/bin/python3", "-u", source / "demo" / "demo.py", "--build", build],
                        stdout=log, stderr=log, start_new_session=True)
defer(stop, demo, 60)
wait_until(lambda: "booting" in (work / "demo.log").read_text(errors="replace"),
           "the source boots", timeout=300)
(folder,) = folders() - before
check(processes(folder), "the demo has processes")
subprocess.run(["kill", "-INT", "--", f"-{demo.pid}"], check=True)  # as a terminal does
began = time.monotonic()
code = demo.wait(60)
print((work / "demo.log").read_text(errors="replace")[-1500:])
check(code != 0 and code != -signal.SIGKILL, f"the demo ends by itself and says no, not {code}")
check(time.monotonic() - began < 30, "it ends soon")
check(processes(folder) == [], f"no process is left: {processes(folder)}")
check(folders() <= before, "no file is left")

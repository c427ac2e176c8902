# SPDX-License-Identifier: Apache-2.0
# timeout: 300
"""When the disk loses writes after changes began, the exit code is 1 and the sentence says that
the draft must go; success is never reported for what is not on the disk."""

import json
import os
import subprocess
import threading

import phony
from case import build, check, require, start, wait_until, work

require("root", "nbdkit", build / "morph/slipway-morph")
disk, sock, trigger = work / "disk.raw", work / "n.sock", work / "fail-now"
phony.debian(disk)
start("nbdkit", "-f", "-U", sock, "--filter=error", "file", disk, "error-pwrite=EIO",
      "error-pwrite-rate=100%", f"error-file={trigger}")
wait_until(sock.exists, "nbdkit's socket")

morph = subprocess.Popen([build / "morph/slipway-morph", "--json", "--disk",
                          f"nbd+unix:///?socket={sock}", "--nic", "52:54:00:00:00:01"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
watchdog = threading.Timer(250, morph.kill)
watchdog.start()
lines = []
for line in morph.stderr:
    print(line, end="")
    lines.append(json.loads(line))
    if lines[-1].get("state") == "edit":
        trigger.touch()  # the first edit was taken; from now on nothing reaches the disk
output = morph.stdout.read()
code = morph.wait()
watchdog.cancel()
os.unlink(trigger)
check(code == 1, f"exit code {code}, expected 1")
check(output == "", f"a result was reported: {output}")
check("error" in lines[-1] and lines[-1]["changed"], "the last line is the failure")

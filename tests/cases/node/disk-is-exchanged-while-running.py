#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A running VM changes from NBD exports to the files below them: nothing is connected to them
any more, also when it is repeated, and a failure leaves the VM with its exports."""

import json
import os
import subprocess
from pathlib import Path

from case import build, check, defer, require, run, start, wait_until, work

require("root", "qemu-system-x86_64")
ROOT = work / "embed"
NAME = "arrived"
PROBE = [build / "tests/tools/node-probe", f"qemu:///embed?root={ROOT}", ROOT]
DISKS = ("sda", "sdb")


def node(*words, expect=0):
    return run(*PROBE, *words, expect=expect).strip()


def save(name, value):
    (work / name).write_text(json.dumps(value))
    return work / name


def opened():
    """What the VM's QEMU has open: paths and kinds."""
    pid = next(ROOT.rglob(f"{NAME}.pid")).read_text().strip()
    return [os.readlink(link) for link in Path("/proc", pid, "fd").iterdir()]


def connected(disk):
    """Connections that the server of an export has with anybody."""
    text = run("ss", "-x", "-n", "state", "established", quiet=True)
    return text.count(str(work / f"{disk}.sock"))


description = save("description.json", {
    "name": NAME, "uuid": "7f0e2b0a-0000-4000-8000-00000000e002", "memory_bytes": 64 << 20,
    "vcpus": 1, "arch": "x86_64", "machine": "pc", "firmware": "bios", "secure_boot": False,
    "disks": [{"name": disk, "size_bytes": 8 << 20} for disk in DISKS], "nics": []})
placement = save("placement.json", {
    "name": NAME, "accel": "tcg", "networks": {},
    "disks": [{"name": disk, "nbd_uri": f"nbd+unix:///{disk}?socket={work}/{disk}.sock"}
              for disk in DISKS]})
for disk in DISKS:
    run("truncate", "-s", "8M", work / f"{disk}.raw")
    start("nbdkit", "-f", "-U", work / f"{disk}.sock", "file", work / f"{disk}.raw")
    wait_until((work / f"{disk}.sock").exists, "nbdkit")
defer(lambda: subprocess.run([*PROBE, "stop", NAME, "force"], check=False))

node("define", description, placement)
node("start", NAME)
check(node("resume", NAME) == "nothing to do", "it does not stand still")
for disk in DISKS:
    check(connected(disk) > 0, f"{disk} is connected")
check("cannot open target" in node("reopen", NAME, "sda", work / "missing.raw", expect=3),
      "a target that is not there is named")
check(connected("sda") > 0 and node("state", NAME) == "running", "the VM has its export still")
for disk in DISKS:
    node("reopen", NAME, disk, work / f"{disk}.raw")
    node("reopen", NAME, disk, work / f"{disk}.raw")
    check(str(work / f"{disk}.raw") in opened(), f"{disk} is a file now")
    check(connected(disk) == 0, f"nobody is connected to {disk} any more")
check(node("state", NAME) == "running", "it has run all the time")

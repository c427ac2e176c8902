# SPDX-License-Identifier: Apache-2.0
# timeout: 600
"""A guest that must not be changed is refused with one sentence and exit code 20, wrong use with
2, and the disk stays as it was, bit for bit."""

import hashlib
import json

import phony
from case import build, check, require, run, start, wait_until, work

require("root", "nbdkit", build / "morph/slipway-morph")
MORPH = build / "morph/slipway-morph"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(sentence, *words):
    """slipway-morph ends with 20 and says so; returns nothing."""
    output = run(MORPH, "--json", *words, expect=20)
    failure = json.loads([line for line in output.splitlines() if '"error"' in line][-1])
    check(sentence in failure["error"], f"'{sentence}' is not in: {failure['error']}")
    check(failure["changed"] is False, "a refusal says that nothing was changed")


for words in ([], ["--disk", "ftp://x/y"], ["--disk", "x", "--nic", "nonsense"],
              ["--disk", "x", "--nic", "52:54:00:00:00:01=../x"], ["--disk", "x", "--accel", "no"],
              ["--disk", "x", "stray"], ["--no-such-option"]):
    run(MORPH, *words, expect=2)

for kind, sentence in (("other-system", "Slackware 15.0"), ("hibernated", "hibernated"),
                       ("errors", "fsck"), ("full", "MiB free"),
                       ("broken-loader", "grub-install"),
                       ("no-entries", "/boot/grub/grub.cfg has no entry")):
    disk = work / f"{kind}.raw"
    phony.debian(disk, kind)
    before = digest(disk)
    refused(sentence, "--disk", disk, "--nic", "52:54:00:00:00:01")
    check(digest(disk) == before, f"the disk of the guest '{kind}' was changed")
    disk.unlink()

empty = work / "empty.raw"
empty.touch()
with open(empty, "r+b") as file:
    file.truncate(16 << 20)
refused("no Linux root filesystem and no Windows", "--disk", empty)
refused("disk 2: Failed to connect", "--disk", empty, "--disk",
        f"nbd+unix:///x?socket={work}/nobody.sock")
start("nbdkit", "-f", "-r", "-U", work / "ro.sock", "memory", "16M")
wait_until((work / "ro.sock").exists, "nbdkit's socket")
refused("disk 1: Block node is read-only", "--disk", f"nbd+unix:///?socket={work}/ro.sock")

# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""Disks whose storage does not allow a change are refused with one sentence that says why and exit
code 20, and stay as they were, bit for bit."""

import hashlib
import json

import phony
import phonystorage
from case import build, check, require, run, work

require("root", "mkfs.xfs", "cryptsetup", "lvm", build / "morph/slipway-morph")
MIB = 1 << 20


def digest(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def refused(sentence, disks, *words):
    before = digest(disks)
    given = [word for disk in disks for word in ("--disk", disk)]
    output = run(build / "morph/slipway-morph", "--json", "--nic", "52:54:00:00:00:01", *given,
                 *words, expect=20, timeout=200)
    failure = json.loads([line for line in output.splitlines() if '"error"' in line][-1])
    check(sentence in failure["error"], f"'{sentence}' is not in: {failure['error']}")
    check(failure["changed"] is False, "a refusal says that nothing was changed")
    check(digest(disks) == before, f"the disk changed although it was refused: {sentence}")


disk, part = work / "disk.raw", work / "part"

phony.debian(disk, "full-inodes")
refused("free inodes", [disk])
phony.debian(disk)
refused("/dev/sda2 is not the root filesystem", [disk], "--root", "/dev/sda2")

# Two systems, and as many disks as a VM ever has.
with phonystorage.guest("/dev/sda1 / ext4\n", "Debian, the other") as tree:
    phonystorage.ext4(part, tree)
phonystorage.disk(work / "second.raw", part)
many = [disk, work / "second.raw"]
for number in range(18):
    many.append(work / f"empty{number}.raw")
    many[-1].write_bytes(bytes(MIB))
refused("choose one with --root: /dev/sda1 (Debian, phony), /dev/sdb1 (Debian, the other)", many)

# A logical volume that may not be written to.
phonystorage.volume_group(work / "pv", "vg0", part, 64, permission="r")
phonystorage.disk(disk, work / "pv")
refused("cannot be made writable", [disk])

# A root directory that the kernel does not believe.
with phonystorage.guest("/dev/sda1 / xfs\n") as tree:
    phonystorage.made_by_kernel(part, "xfs", tree, 320)
run("xfs_db", "-x", "-c", "sb 0", "-c", "addr rootino", "-c", "write -d core.magic 0", part)
phonystorage.disk(disk, part)
refused("/dev/sda1 (xfs, for /) cannot be mounted: ", [disk])

# An encrypted root, and a key that is not its key.
(work / "key").write_bytes(b"right\n")
(work / "wrong").write_bytes(b"wrong\n")
with phonystorage.guest("/dev/mapper/root / ext4\n") as tree:
    phonystorage.ext4(part, tree)
phonystorage.encrypt(part, work / "key")
phonystorage.disk(disk, part)
refused("no --key that was given opens the encrypted volume /dev/sda1", [disk], "--key",
        work / "wrong")

# SPDX-License-Identifier: Apache-2.0
# timeout: 600
"""Filesystems of three kinds that a power cut left are replayed, not refused, and are whole after
the change; among twenty disks with two systems the one is taken that --root names, in a volume
group in an encrypted volume whose key is no text."""

import json
import os

import phony
import phonystorage
from case import build, check, require, run, work

require("root", "mkfs.xfs", "mkfs.btrfs", "cryptsetup", "lvm", build / "morph/slipway-morph")
MIB = 1 << 20


def morph(disks, *words):
    given = [word for disk in disks for word in ("--disk", disk)]
    output = run(build / "morph/slipway-morph", "--json", "--nic", "52:54:00:00:00:01", *given,
                 *words, timeout=250)
    return json.loads(output.splitlines()[-1])


disks = [work / "a.raw", work / "b.raw"]
boot, root, var = work / "boot", work / "root", work / "var"
with phonystorage.guest("/dev/sda2 / xfs defaults 0 0\n/dev/sda1 /boot ext4 defaults 0 2\n"
                        "/dev/sdb1 /var btrfs defaults 0 0\n") as tree:
    (tree / "var").mkdir()
    phonystorage.made_by_kernel(var, "btrfs", tree / "var", 128, late="late")
    phonystorage.made_by_kernel(boot, "ext4", tree / "boot", 64, late="late")
    for path in sorted((tree / "boot").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    phonystorage.made_by_kernel(root, "xfs", tree, 320, late="etc/late")
phonystorage.disk(disks[0], boot, root)
phonystorage.disk(disks[1], var)
check("needs_recovery" in run("dumpe2fs", "-h", boot), "ext4 has a journal to replay")
check(run("xfs_logprint", "-t", root).count("<DIRTY>") == 1, "and xfs a log")
check("log_root\t\t0\n" not in run("btrfs", "inspect-internal", "dump-super", var), "and btrfs")
result = morph(disks)
check(result["changed"], "the guest was changed")
for number, (disk, place, name) in enumerate(((disks[0], 1, "late"), (disks[0], 2, "etc/late"),
                                              (disks[1], 1, "late"))):
    phonystorage.partition(disk, work / f"part{number}", place)
    check(phonystorage.read_back(work / f"part{number}", name) == "late\n",
          f"what was written last is there: {name} of partition {place} of {disk.name}")
fstab = phonystorage.read_back(work / "part1", "etc/fstab")
check(fstab.count("UUID=") == 3 and "/dev/sd" not in fstab, f"fstab names all by UUID: {fstab}")

# One system in the open, the other in LUKS2 in LVM, and empty disks.
key = work / "key"
key.write_bytes(b"\0\1\2" + os.urandom(61))
part = work / "part"
with phonystorage.guest("/dev/vg0/root / ext4\n", "Debian, the other") as tree:
    phonystorage.ext4(part, tree)
phonystorage.volume_group(work / "pv", "vg0", part, 64)
phonystorage.encrypt(work / "pv", key)
phonystorage.disk(work / "b.raw", work / "pv")
phony.debian(work / "a.raw")
many = [work / "a.raw"]
for number in range(18):
    many.append(work / f"empty{number}.raw")
    many[-1].write_bytes(bytes(MIB))
many.append(work / "b.raw")
result = morph(many, "--dry-run", "--root", "/dev/vg0/root", "--key", f"/dev/sdt1={key}")
check(result["os"]["pretty"] == "Debian, the other", f"the one that was named: {result['os']}")

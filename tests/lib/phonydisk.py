#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Any phony Linux family as real disks: /boot, root and swap on the first, data on the second.

    disks = phonydisk.make(FAMILIES["rocky8"], work / "rocky8", filesystem="ext4")
    with phonydisk.root(disks[0]) as path: debugfs -R "cat /etc/fstab" path
"""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import phony
import phonylinux

BOOT_MIB, ROOT_MIB, SWAP_MIB = 48, 128, 8


def _run(*argv, **options):
    subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, **options)


def _ext4(image, uuid, mib, tree, kind):
    _run("mkfs.ext4" if kind == "ext4" else f"mkfs.{kind}", "-q", "-F", "-m", "0", "-U", uuid,
         "-d", tree, image, f"{mib}M")


def _assemble(out, parts, mib):
    """parts: (image, start in MiB, size in MiB, type)."""
    with open(out, "wb") as file:
        file.truncate(mib << 20)
    table = "".join(f"start={start}MiB, size={size}MiB, type={kind}\n"
                    for _, start, size, kind in parts)
    _run("sfdisk", "-q", out, text=True, input=f"label: dos\n{table}")
    for image, start, _, _ in parts:
        _run("dd", f"if={image}", f"of={out}", "bs=1M", f"seek={start}", "conv=notrunc,sparse")
        image.unlink()


def shell_into(tree):
    """A /bin/sh that runs in the guest: this machine's dash and what it needs."""
    dash = Path(shutil.which("dash") or "/bin/dash").resolve()
    libraries = [word for line in subprocess.run(["ldd", dash], capture_output=True, text=True,
                                                 check=True).stdout.splitlines()
                 for word in line.split() if word.startswith("/")]
    for source, target in [(dash, "usr/bin/sh")] + [(lib, lib.lstrip("/")) for lib in libraries]:
        place = tree / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)


def make(family, folder, with_shell=False):
    """Writes the disks into `folder`, which is made; their paths.  The root is ext4 whatever the
    family has else; LVM is not among what can be made."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    folder.mkdir()
    tree = folder / "tree"
    phonylinux.make(family, tree)
    fstab = tree / "etc/fstab"
    fstab.write_text(fstab.read_text().replace(" xfs ", " ext4 "))
    if with_shell:
        shell_into(tree)
    boot = folder / "boot"
    shutil.move(tree / "boot", boot)
    (tree / "boot").mkdir()
    _ext4(folder / "b", phonylinux.BOOT_UUID, BOOT_MIB, boot, "ext4")
    _ext4(folder / "r", phonylinux.ROOT_UUID, ROOT_MIB, tree, "ext4")
    with open(folder / "s", "wb") as file:
        file.truncate(SWAP_MIB << 20)
    _run("mkswap", "-U", phonylinux.SWAP_UUID, folder / "s")
    root_at, swap_at = 1 + BOOT_MIB, 1 + BOOT_MIB + ROOT_MIB
    disks = [folder / "sda.raw"]
    _assemble(disks[0], [(folder / "b", 1, BOOT_MIB, "83"), (folder / "r", root_at, ROOT_MIB, "83"),
                         (folder / "s", swap_at, SWAP_MIB, "82")], swap_at + SWAP_MIB + 1)
    phony.write_boot_code(disks[0], broken=False)
    if family.disks > 1:
        (folder / "empty").mkdir()
        _ext4(folder / "d", phonylinux.HOME_UUID, 16, folder / "empty", "ext4")
        disks.append(folder / "sdb.raw")
        _assemble(disks[1], [(folder / "d", 1, 16, "83")], 18)
    return disks


@contextmanager
def root(disk):
    """The root filesystem as a file of its own, a copy."""
    image = disk.with_name("root.copy")
    _run("dd", f"if={disk}", f"of={image}", "bs=1M", f"skip={1 + BOOT_MIB}", f"count={ROOT_MIB}",
         "conv=sparse")
    try:
        yield image
    finally:
        image.unlink()

# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""The tools that are there already, on a mirror's file: loop devices with partitions, file systems
mounted read-only, mmap, O_DIRECT, qemu-img; while deltas land."""

import mmap
import os
import re
import subprocess
import time

from case import check, defer, require, run, work
from engines import MIB, Engine, Source, connect
from fusemount import Mount, unmount

require("root", "nbdkit", "qemu-img", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "sfdisk", "losetup",
        "partx")
SIZE = 700 * MIB
PARTITIONS = (("ext4", 1, 64), ("xfs", 65, 320), ("btrfs", 385, 300))

# A disk with three file systems, each with a file that says where it is.
image = work / "disk.raw"
with open(image, "wb") as file:
    file.truncate(SIZE)
run("sfdisk", "--quiet", image, stdin="label: gpt\n" + "".join(
    f"start={start}MiB, size={length}MiB, type=L\n" for _, start, length in PARTITIONS))
tree = work / "tree"
tree.mkdir()
for kind, start, length in PARTITIONS:
    (tree / "hello").write_text(f"hello from {kind}\n")
    part = work / f"{kind}.img"
    with open(part, "wb") as file:
        file.truncate(length * MIB)
    if kind == "ext4":
        run("mkfs.ext4", "-q", "-d", tree, part)
    elif kind == "btrfs":
        run("mkfs.btrfs", "-q", "--rootdir", tree, part)
    else:
        proto = work / "proto"
        proto.write_text(f"/\n0 0\nd--755 0 0\nhello ---644 0 0 {tree / 'hello'}\n$\n")
        run("mkfs.xfs", "-q", "-p", proto, part)
    with open(image, "r+b") as file:
        file.seek(start * MIB)
        file.write(part.read_bytes())
    part.unlink()

source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=SIZE).start()
engine.sync("p0", source)
mount = Mount(work / "stores")
disk = mount.path / "vm/sda.raw"

# mmap and O_DIRECT see the same.
with open(disk, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ,
                                         flags=mmap.MAP_SHARED) as mapped:
    check(mapped[512:520] == b"EFI PART", "mmap")
run("dd", f"if={disk}", f"of={work / 'direct.raw'}", "bs=1M", "iflag=direct", "conv=sparse")
run("cmp", image, work / "direct.raw")
run("qemu-img", "compare", "-f", "raw", "-F", "raw", disk, image)

# A loop device, its partitions, and what is in them.
loop = run("losetup", "-r", "-P", "-f", "--show", disk).strip()
defer(subprocess.run, ["losetup", "-d", loop])
inside = work / "inside"
inside.mkdir()


def free(path):
    run("umount", path)


def partition(number):
    """Kernel nodes of partitions need udev; a loop of the range needs nobody."""
    kind, start, length = PARTITIONS[number]
    device = run("losetup", "-r", "-f", "--show", "-o", start * MIB, "--sizelimit", length * MIB,
                 disk).strip()
    defer(subprocess.run, ["losetup", "-d", device])
    return kind, device


subprocess.run(["partx", "-a", loop], check=False)  # where nobody listens for partitions
check(os.path.exists(f"/sys/block/{os.path.basename(loop)}/{os.path.basename(loop)}p3"),
      "the kernel sees the partitions")
defer(unmount, inside)
for number in range(3):
    kind, device = partition(number)
    options = {"ext4": "ro,noload", "xfs": "ro,norecovery,nouuid", "btrfs": "ro"}[kind]
    run("mount", "-t", kind, "-o", options, device, inside)
    check((inside / "hello").read_text() == f"hello from {kind}\n", f"{kind} is read")
    if kind == "ext4":
        # Deltas land under a mounted file system: it does not change.
        writer = open(image, "r+b", buffering=0)
        text = image.read_bytes()[:70 * MIB].index(b"hello from ext4")
        for delta in range(3):
            writer.seek(text)
            writer.write(b"HELLO from ext%d" % delta)
            os.fsync(writer.fileno())
            engine.sync(f"d{delta}", source, compare=True)
        run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        check((inside / "hello").read_text() == "hello from ext4\n", "as it was")
        check(b"HELLO from ext2" in disk.read_bytes()[text:text + 20], "the name is of the latest")
    free(inside)
run("losetup", "-d", loop)
mount.stop()
engine.stop()

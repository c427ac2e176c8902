# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""The tree of a mirror, an owner and a draft: names, sizes, holes, attributes, bytes."""

import errno
import json
import os
import stat

from case import check, require, run, wait_until, work
from engines import MIB, Engine, Source, random_image
from fusemount import Mount

require("root", "nbdkit", "qemu-img")
SIZE = 8 * MIB + 512


def fails(code, function, *arguments, **more):
    try:
        function(*arguments, **more)
    except OSError as error:
        check(error.errno == code, f"{errno.errorcode[error.errno]} instead of "
                                   f"{errno.errorcode[code]}")
    else:
        check(False, f"no {errno.errorcode[code]}")


stores = work / "stores"
stores.mkdir()
(stores / "not a store").mkdir()
mount = Mount(stores)
check(os.listdir(mount.path) == [".slipwayfs.json"], "nothing is there yet")
about = json.loads((mount.path / ".slipwayfs.json").read_text())
check(about["open_disks"] == 0 and "passthrough" in about, "it says what it is")

# A VM appears, and has no disk before its first generation.
image = random_image(work / "a.raw", SIZE)
data = bytearray(image.read_bytes())
data[2 * MIB:5 * MIB] = bytes(3 * MIB)
image.write_bytes(data)
source = Source("sda", image)
small = Source("sdb", random_image(work / "b.raw", MIB, seed=2))
engine = Engine("stores/vm", sda=SIZE, sdb=MIB).start()
vm = mount.path / "vm"
check(sorted(os.listdir(mount.path)) == [".slipwayfs.json", "vm"], "the VM is there")
check(sorted(os.listdir(vm)) == ["draft", "status.json"], "without a generation no disk")
fails(errno.ENOENT, os.stat, vm / "sda.raw")
engine.sync("p0", source, small)
check(sorted(os.listdir(vm)) == ["@0", "draft", "sda.raw", "sdb.raw", "status.json"], "now it has")
check(json.loads((vm / "status.json").read_text())["snapshot"] == "p0", "the engine's status")

# The file: size, blocks, holes, bytes, attributes; the same inode by both names.
disk = vm / "sda.raw"
st = os.stat(disk)
check(st.st_size == SIZE and stat.S_IMODE(st.st_mode) == 0o440, "size and mode")
check(0 < st.st_blocks * 512 <= SIZE - 3 * MIB + 65536, f"holes are not counted: {st.st_blocks}")
check(os.stat(vm / "@0/sda.raw").st_ino == st.st_ino, "one inode per disk and generation")
check(disk.read_bytes() == data, "it reads as the source")
with open(disk, "rb") as file:
    check(os.lseek(file.fileno(), 0, os.SEEK_HOLE) == 2 * MIB, "the hole begins")
    check(os.lseek(file.fileno(), 2 * MIB, os.SEEK_DATA) == 5 * MIB, "the hole ends")
    check(os.lseek(file.fileno(), 6 * MIB, os.SEEK_HOLE) == SIZE, "the end is a hole")
    fails(errno.ENXIO, os.lseek, file.fileno(), SIZE, os.SEEK_DATA)
run("cp", "--sparse=auto", disk, work / "copy.raw")
check((work / "copy.raw").read_bytes() == data, "cp copies it")
check(os.stat(work / "copy.raw").st_blocks * 512 < SIZE - 2 * MIB, "and leaves the hole out")
check("0x300000" not in run("qemu-img", "map", "--output=human", disk), "qemu-img sees it, too")
run("qemu-img", "compare", "-f", "raw", "-F", "raw", disk, image)
check(os.getxattr(disk, "user.slipway.generation") == b"0", "the generation")
check(os.getxattr(disk, "user.slipway.mode") == b"mirror", "the mode")
check(os.getxattr(disk, "user.slipway.source") == b"p0", "the point in time")
check(sorted(os.listxattr(disk)) == ["user.slipway.digest", "user.slipway.generation",
                                     "user.slipway.mode", "user.slipway.source"], "all of them")
digest = os.getxattr(disk, "user.slipway.digest")
check(len(digest) == 32 and digest == engine.call("digest", disk="sda")["digest"].encode(),
      "the digest of the generation")
fails(errno.ENODATA, os.getxattr, disk, "user.slipway.other")

# What nobody may do.
fails(errno.EROFS, os.open, disk, os.O_RDWR)
fails(errno.EPERM, os.mkdir, vm / "x")
fails(errno.EPERM, os.unlink, disk)
fails(errno.EPERM, os.rename, disk, vm / "y")
fails(errno.ENOENT, os.stat, vm / "sda")
fails(errno.ENOENT, os.stat, vm / "@1")
fails(errno.ENOENT, os.stat, vm / "@00")
fails(errno.ENOENT, os.stat, mount.path / "not a store")
fails(errno.ENOTDIR, os.listdir, disk)

# A draft is writable, the mirror under it does not see it.
engine.call("draft-create", name="trial")
check(os.listdir(vm / "draft") == ["trial"], "the draft is there")
draft = vm / "draft/trial/sda.raw"
check(stat.S_IMODE(os.stat(draft).st_mode) == 0o660, "writable")
with open(draft, "r+b", buffering=0) as file:
    file.seek(4 * MIB + 100)
    file.write(b"changed")
    os.fsync(file.fileno())
    fails(errno.ENOSPC, os.pwrite, file.fileno(), b"x", SIZE)
    check(os.pwrite(file.fileno(), b"end", SIZE - 2) == 2, "as much as there is room for")
    os.lseek(file.fileno(), 0, os.SEEK_SET)
changed = bytearray(data)
changed[4 * MIB + 100:4 * MIB + 107] = b"changed"
changed[SIZE - 2:] = b"en"
check(draft.read_bytes() == changed, "the draft has it")
check(disk.read_bytes() == data, "the mirror has not")
fails(errno.EPERM, os.truncate, draft, 0)
wait_until(lambda: json.loads((vm / "status.json").read_text())["drafts"][0]["connections"] == 0,
           "the draft's connection ends with the last close")
engine.call("draft-drop", name="trial")
check(os.listdir(vm / "draft") == [], "the draft is gone")
fails(errno.ENOENT, os.stat, draft)

# An owner's disk is writable, with zeros.
engine.call("flip", grace_s=0)
check(sorted(os.listdir(vm)) == ["draft", "sda.raw", "sdb.raw", "status.json"], "an owner")
with open(disk, "r+b", buffering=0) as file:
    file.write(b"mine")
    run("fallocate", "--punch-hole", "--offset", 6 * MIB, "--length", MIB, disk)
    run("fallocate", "--length", SIZE + MIB, disk, expect="failure")
    os.fsync(file.fileno())
data[:4] = b"mine"
data[6 * MIB:7 * MIB] = bytes(MIB)
check(disk.read_bytes() == data, "what was written is there")
check(engine.target("sda").read_bytes()[:SIZE] == data, "and in the target")
check(os.getxattr(disk, "user.slipway.mode") == b"owner", "the mode says so")
fails(errno.ENODATA, os.getxattr, disk, "user.slipway.digest")
check("user.slipway.digest" not in os.listxattr(disk), "what changes has no digest")

# Without an engine there is a status that says so; a VM that is gone is gone.
engine.stop()
check(os.listdir(vm) == ["status.json"], "no disks without an engine")
check(json.loads((vm / "status.json").read_text()) == {"running": False}, "it is said")
run("rm", "-rf", stores / "vm")
check(os.listdir(mount.path) == [".slipwayfs.json"], "gone")
mount.stop()

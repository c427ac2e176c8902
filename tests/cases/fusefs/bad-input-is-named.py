# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""What cannot be mounted is refused in one sentence, and odd names, tiny disks, VMs and generations
that go away have the errno that fits; nothing hangs."""

import errno
import json
import os
import signal
import subprocess

from case import build, check, defer, require, run, wait_until, work
from engines import MIB, Engine, Source, random_image
from fusemount import Mount, SLIPWAYFS, fail_to_mount, unmount

require("root", "nbdkit")
stores = work / 'stores "quoted"'
stores.mkdir()
empty = work / "empty"
empty.mkdir()

fail_to_mount(expect=2, says=["MOUNTPOINT", "--help"])
fail_to_mount("--wait", "long", stores, empty, expect=2, says=["--wait", "long"])
fail_to_mount("--nonsense", stores, empty, expect=2, says=["--help"])
fail_to_mount(stores, work / "nowhere", expect=3, says=[str(work / "nowhere")])
fail_to_mount(work / "nothing", empty, expect=3, says=[str(work / "nothing")])
(work / "file").write_text("x")
fail_to_mount(stores, work / "file", expect=1, says=["no folder"])
fail_to_mount(work / "file", empty, expect=1, says=["no folder of stores"])
full = work / "full"
full.mkdir()
(full / "x").write_text("x")
fail_to_mount(stores, full, expect=1, says=["not empty", "nonempty"])
fail_to_mount("-o", "nonsense=1", stores, empty, expect=2, says=["nonsense=1"])
check("passthrough" in run(SLIPWAYFS, "--version"), "--version says what it can do")
check("MOUNTPOINT" in run(SLIPWAYFS, "--help"), "--help helps")

# By mount(8); an installed program is found by the type fuse.slipwayfs alone.
run("mount", "-t", "fuse", "-o", "wait=3", f"{SLIPWAYFS}#{stores}", empty)
check(os.path.ismount(empty), "mounted")
check(json.loads((empty / ".slipwayfs.json").read_text())["wait_s"] == 3, "with its options")
run("umount", empty)

# What mount(8) runs for the type fuse.slipwayfs; and the daemon goes to the background.
run(SLIPWAYFS, stores, empty, "-o", "rw,wait=2,nonempty")
defer(unmount, empty)
check(os.path.ismount(empty), "mounted")
check(json.loads((empty / ".slipwayfs.json").read_text())["wait_s"] == 2, "with its options")
run("umount", empty)

# A program that is killed leaves a stale mount: it is named, and umount frees it.
mount = Mount(stores)
mount.process.send_signal(signal.SIGKILL)
mount.process.wait()
fail_to_mount(stores, mount.path, expect=6, says=["umount", "gone"])
run("umount", mount.path)

# Odd names of VMs; a store with a damaged superblock; a disk of one sector.
odd = "with spaces, ümlauts & 'quotes' $(x)"
image = random_image(work / "a.raw", MIB)
tiny = random_image(work / "t.raw", 512, seed=3)
source, other = Source("sda", image), Source("t", tiny)
engine = Engine(f"{stores.name}/vm", sda=MIB, t=512).start()
engine.sync("p0", source, other)
os.rename(stores / "vm", stores / odd)
(stores / "broken").mkdir()
(stores / "broken/super").write_bytes(b"\0" * 100)
(stores / ".hidden").mkdir()
(stores / ".hidden/super").write_bytes(b"\0" * 100)
mount = Mount(stores, "--wait", "1")
check(sorted(os.listdir(mount.path)) == [".slipwayfs.json", "broken", odd], "all that are stores")
vm = mount.path / odd
check((vm / "t.raw").read_bytes() == tiny.read_bytes(), "a disk of one sector")
check((vm / "sda.raw").read_bytes() == image.read_bytes(), "and one beside it")
check(os.listdir(mount.path / "broken") == ["status.json"], "a broken store has a status only")


def errno_of(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


for name in ("@", "@-1", "@0x0", "@99999999999999999999", "draft/none", "sda.raw.raw", "..raw"):
    check(errno_of(os.stat, vm / name) == errno.ENOENT, f"no {name}")
check(errno_of(os.stat, vm / "status.json/x") == errno.ENOTDIR, "a file is no folder")
check(errno_of(os.stat, vm / ("x" * 300)) in (errno.ENAMETOOLONG, errno.ENOENT), "too long")

# The VM goes away while a file is open: what is cached stays readable, the rest is EIO.
fd = os.open(vm / "sda.raw", os.O_RDONLY | os.O_DIRECT)
engine.kill()
run("rm", "-rf", stores / odd)
check(errno_of(os.pread, fd, 4096, 0) == errno.EIO, "EIO, and no hang")
os.close(fd)
check(errno_of(os.stat, vm / "sda.raw") == errno.ENOENT, "its name is gone")
mount.stop()

# Nobody but root may look, unless it is asked for.
mount = Mount(stores)
answer = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ls",
                         mount.path], stderr=subprocess.PIPE, check=False)
check(answer.returncode != 0 and b"ermission" in answer.stderr, "others are kept out")
mount.stop()
check((build / "fusefs/slipwayfs").exists(), "and the program is still there")

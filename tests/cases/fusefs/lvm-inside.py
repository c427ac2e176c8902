# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 400
"""A mirrored disk with LVM on it is read with libguestfs through its file; and slipwayfs that is
killed under it leaves nothing that needs more than an umount."""

import os
import signal

from case import check, require, run, work
from engines import MIB, Engine, Source
from fusemount import Mount

os.environ.update(LIBGUESTFS_BACKEND="direct", LIBGUESTFS_BACKEND_SETTINGS="force_tcg")
require("root", "nbdkit", "guestfish")
SIZE = 300 * MIB
image = work / "lvm.raw"
image.write_bytes(b"")
os.truncate(image, SIZE)
run("guestfish", "--format=raw", "-a", image, "run", ":", "part-disk", "/dev/sda", "mbr", ":",
    "pvcreate", "/dev/sda1", ":", "vgcreate", "vg0", "/dev/sda1", ":", "lvcreate", "root", "vg0",
    "200", ":", "mkfs", "ext4", "/dev/vg0/root", ":", "mount", "/dev/vg0/root", "/", ":", "write",
    "/hello", "from a logical volume", timeout=300)
source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=SIZE).start()
engine.sync("p0", source)
mount = Mount(work / "stores")
output = run("guestfish", "--ro", "--format=raw", "-a", mount.path / "vm/sda.raw", "run", ":",
             "lvs", ":", "mount-ro", "/dev/vg0/root", "/", ":", "cat", "/hello", timeout=300)
check("/dev/vg0/root" in output and "from a logical volume" in output, "the volume is read")

# Killed while the file is open.
fd = os.open(mount.path / "vm/sda.raw", os.O_RDONLY)
mount.process.send_signal(signal.SIGKILL)
mount.process.wait()
try:
    os.pread(fd, 4096, SIZE - MIB)
    check(False, "nobody is there to answer")
except OSError:
    pass
os.close(fd)
run("umount", mount.path)
check(engine.status()["connections"] == 0, "the engine has let go of it")
engine.stop()

# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 600
"""A mirrored guest's files are read with guestmount while it is a mirror, and an owner's file is a
disk that QEMU boots from; what the guest wrote is in the target."""

import json
import os
import subprocess
import time

import guest
from case import check, defer, require, run, start, stop, wait_until, work
from engines import Engine, Source
from fusemount import Mount, unmount

os.environ.update(LIBGUESTFS_BACKEND="direct", LIBGUESTFS_BACKEND_SETTINGS="force_tcg")
require("root", "qemu-nbd", "qemu-img", "qemu-system-x86_64", "guestmount", "mmdebstrap")
image = guest.disks(work)[0]
size = json.loads(run("qemu-img", "info", "--output=json", image))["virtual-size"]
source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=size).start()
engine.sync("p0", source)
mount = Mount(work / "stores")
disk = mount.path / "vm/sda.raw"

# guestmount: the tool of libguestfs, on the mirror.
inside = work / "inside"
inside.mkdir()
defer(unmount, inside)
run("guestmount", "--format=raw", "-a", disk, "-i", "--ro", inside, timeout=200)
check("Debian" in (inside / "etc/os-release").read_text(), "the guest's files can be read")
check(engine.status()["pins"] != [], "the generation is held")
run("umount", inside)
wait_until(lambda: engine.status()["pins"] == [], "the end of the pin")

# The owner's file is a disk: the guest boots from it, on the hardware that it knows.
engine.call("flip", grace_s=0)
log = work / "serial.log"
argv = [word.replace("format=qcow2", "format=raw") for word in guest.foreign_argv([disk], log)]
machine = start(*argv)
guest.Console(log).wait_for("login: ", timeout=400, alive=lambda: machine.poll() is None)
dirty = engine.status()["disks"][0]["dirty_bytes"]
check(dirty > 0, f"it has written: {dirty}")

# The engine is killed and comes back under the running guest.
engine.kill()
time.sleep(1)
engine.start()
wait_until(lambda: engine.status()["connections"] > 0, "the file's connection is back")
check(machine.poll() is None, "the guest runs")
stop(machine)
subprocess.run(["sync"], check=True)
wait_until(lambda: engine.status()["connections"] == 0, "the file is closed")
run("cmp", disk, engine.target("sda"))
mount.stop()
engine.stop()

# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""slipwayd, engine, libvirt source and libvirt node together, on a VM without a guest: initial
sync, delta, cutover; the target holds what the source held, and nothing is left on the source."""

import subprocess

from case import build, check, defer, require, run, start, wait_until, work
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd", "nbdkit")
lab = Lab()
vm = lab.vm("shop", {"vda": "qcow2", "vdb": "raw"})
SOCKET = work / "slipwayd.sock"
ROOT = work / "state/node"


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, "--socket", SOCKET, **options)


def end_target():
    subprocess.run([build / "tests/tools/node-probe", f"qemu:///embed?root={ROOT}", ROOT, "stop",
                    vm.name, "force"], check=False, stdin=subprocess.DEVNULL)


def compare(disk):
    target = (work / f"pool/{vm.name}/{disk}.raw").read_bytes()
    check(target == bytes(vm.model[disk]), f"{disk}: the target is what the source was")


defer(end_target)
daemon = start(build / "orchestrator/slipwayd", "--state", work / "state", "--socket", SOCKET,
               "--node", f"qemu:///embed?root={ROOT}", "--pool", work / "pool")
wait_until(SOCKET.exists, "slipwayd")

slipway("source", "add", "lab", lab.uri)
check("shop" in slipway("vm", "list", "lab"), "the VM is listed")
vm.write("vda", 1 << 20, 1 << 20, 1)
vm.write("vdb", 2 << 20, 65536, 2)
slipway("migrate", "lab/shop", "--no-morph", "--commit-window", "none", "--accel", "tcg",
        "--shutdown-policy", "force",
        "--shutdown-timeout", "1", "--follow", "--boot-timeout", "60")
vm.write("vda", 3 << 20, 65536, 3)
slipway("sync", "shop", "--follow")
vm.write("vda", 4 << 20, 4096, 4)
vm.write("vdb", 5 << 20, 4096, 5)
slipway("cutover", "shop", "--follow")
slipway("report", "shop")
check("shut off" in lab.virsh("domstate", vm.name), "the source is off")
daemon.terminate()
daemon.wait()
end_target()
compare("vda")
compare("vdb")
check(vm.leftovers() == [] and vm.bitmaps("vda") == [], f"left on the source: {vm.leftovers()}")

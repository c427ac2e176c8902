#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""slipwayd with the real engine, a real libvirt as source and the embedded driver as node: initial
sync, deltas by dirty bitmap, kill -9 in between, cutover; the target holds every byte."""

import json

from case import check, require, stop, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
from realparts import daemon, job, lab, slipway, vm

process = daemon()
vm.write("vda", 0, 65536, 1)
vm.write("vdb", 1 << 20, 4096, 2)
slipway("source", "add", "lab", lab.uri)
check("t1" in slipway("vm", "list", "lab"), "the VM is listed")
slipway("migrate", "lab/t1", "--name", "moved", "--no-morph", "--commit-window", "none",
        "--shutdown-policy", "force",
        "--shutdown-timeout", "2", "--follow")
check(job()["generation"] == 0, "the initial sync is committed")
vm.write("vda", 131072, 65536, 3)
slipway("sync", "moved", "--follow")
vm.write("vda", 3 << 20, 65536, 4)
process.kill()
process.wait()
process = daemon()
slipway("sync", "moved", "--follow")
vm.write("vda", 5 << 20, 512, 5)
vm.write("vdb", 7 << 20, 512, 6)
slipway("cutover", "moved", "--follow", timeout=120)
check(job()["state"] == "done", f"done: {job()}")
report = json.loads(slipway("report", "moved", "--json", quiet=True))
slipway("report", "moved")
for name in ("vda", "vdb"):
    target = (work / f"pool/moved/{name}.raw").read_bytes()
    check(target == bytes(vm.model[name]), f"every byte of {name} has arrived")
deltas = [p for p in report["passes"] if p["kind"] != "initial"]
check(len(deltas) == 3, "three deltas")
check(vm.leftovers() == [], f"nothing of ours is left on the source: {vm.leftovers()}")
check("shut off" in lab.virsh("domstate", "t1"), "the source is off")
check(not (work / "st/stores/moved/control.sock").exists(), "the engine has ended")
slipway("remove", "moved")
stop(process, grace=20)
check(process.returncode == 0, "slipwayd ends cleanly")

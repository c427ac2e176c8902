#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""An instant cutover with the real engine, libvirt as source and the embedded driver as node: the
VM starts before its targets are whole, engine and slipwayd are killed while it is hydrated, and in
the end it runs on the targets themselves, with every byte and no engine."""

import json
import os
import signal

from case import check, require, stop, wait_until, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
from realparts import daemon, job, lab, slipway, vm

store = work / "st/stores/moved"


def states():
    report = json.loads(slipway("report", "moved", "--json", quiet=True))
    return [t["state"] for t in report["transitions"]]


def engine_status():
    return json.loads(slipway("engine", "status", store, "--json", quiet=True))


process = daemon()
vm.write("vda", 0, 65536, 1)
vm.write("vdb", 1 << 20, 4096, 2)
slipway("source", "add", "lab", lab.uri)
slipway("migrate", "lab/t1", "--name", "moved", "--no-morph", "--commit-window", "none",
        "--shutdown-policy", "force",
        "--shutdown-timeout", "2", "--follow")
vm.write("vda", 131072, 65536, 3)
slipway("sync", "moved", "--follow")
# Much of both disks changes; what the engine fetches in the background is slowed down.
for number in range(8):
    vm.write("vda", number << 20, 1 << 20, 10 + number)
    vm.write("vdb", number << 20, 200000, 30 + number)
slipway("engine", "limit", store, "--source-rate", "100K")
slipway("cutover", "moved", "--instant", "--detach")
wait_until(lambda: job()["state"] in ("hydrating", "failed"), "the VM runs", pause=0.2)
check(job()["state"] == "hydrating", f"{job()}")
status = engine_status()
missing = sum(disk["missing_bytes"] for disk in status["disks"])
check(status["mode"] == "owner-hydrating" and missing > 0, f"{missing} bytes are missing")
check("shut off" in lab.virsh("domstate", "t1"), "the source is off")
check(vm.leftovers() != [], "the source is served")
process.kill()
process.wait()
os.kill(status["pid"], signal.SIGKILL)
process = daemon()
wait_until(lambda: (job()["progress"] or {}).get("phase") == "hydrate", "it is hydrated again")
check(job()["progress"]["total_bytes"] > 0, f"progress: {job()['progress']}")
slipway("engine", "limit", store, "--source-rate", "0")
wait_until(lambda: not job()["active"], "it ends", timeout=120, pause=0.3)
print(" ".join(states()))
check(job()["state"] == "done" and "error" not in job(), f"done: {job()}")
check(states()[-5:] == ["hydrating", "finishing", "detaching", "committing",
                          "done"], f"{states()}")
slipway("report", "moved")
for name in ("vda", "vdb"):
    target = (work / f"pool/moved/{name}.raw").read_bytes()
    check(target == bytes(vm.model[name]), f"every byte of {name} has arrived")
check(vm.leftovers() == [], f"nothing of ours is left on the source: {vm.leftovers()}")
check(not (store / "control.sock").exists(), "the engine has ended")
qemu = [pid for pid in os.listdir("/proc") if pid.isdigit() and "guest=moved" in
        open(f"/proc/{pid}/cmdline", errors="replace").read()]
opened = [os.readlink(f"/proc/{qemu[0]}/fd/{fd}") for fd in os.listdir(f"/proc/{qemu[0]}/fd")]
for name in ("vda", "vdb"):
    check(str(work / f"pool/moved/{name}.raw") in opened, f"the VM has opened {name}: {opened}")
slipway("remove", "moved")
stop(process, grace=20)

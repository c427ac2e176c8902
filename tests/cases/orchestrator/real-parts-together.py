#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""slipwayd with the real engine, a real libvirt as source and the embedded driver as node: initial
sync, deltas by dirty bitmap, kill -9 in between, cutover; the target holds every byte."""

import json
import os
from pathlib import Path

import sourcevm
from case import build, check, defer, require, run, start, stop, wait_until, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
lab = sourcevm.Lab()
vm = lab.vm("t1", {"vda": "qcow2", "vdb": "raw"})
os.environ["SLIPWAY_SOCKET"] = str(work / "s.sock")
os.environ["SLIPWAY_ACCEL"] = "tcg"


def daemon():
    process = start(build / "orchestrator/slipwayd", "--state", work / "st", "--socket",
                    work / "s.sock", "--pool", work / "pool", log=work / "slipwayd.log")
    wait_until(lambda: "NAME" in slipway("status", expect=None, quiet=True), "slipwayd answers")
    return process


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, **options)


def job():
    return json.loads(slipway("status", "moved", "--json", quiet=True))


def show_log():
    print((work / "slipwayd.log").read_text()[-6000:])
    for log in (work / "st/stores").glob("*/engine.log"):
        print(log.read_text()[-2000:])


def end_node():
    """Ends the VM on the node by its pid; the embedded driver is gone with slipwayd."""
    for path in (work / "st/node").rglob("*.pid"):
        command = Path("/proc", path.read_text().strip(), "cmdline")
        if command.exists() and str(work) in command.read_text():
            os.kill(int(command.parent.name), 15)


defer(show_log)
defer(end_node)
process = daemon()
vm.write("vda", 0, 65536, 1)
vm.write("vdb", 1 << 20, 4096, 2)
slipway("source", "add", "lab", lab.uri)
check("t1" in slipway("vm", "list", "lab"), "the VM is listed")
slipway("migrate", "lab/t1", "--name", "moved", "--no-morph", "--shutdown-policy", "force",
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

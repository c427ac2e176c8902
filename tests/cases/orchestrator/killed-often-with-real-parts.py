#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""slipwayd with the real engine and libvirt is killed again and again while a migration runs,
each time a little later; the target holds every byte and nothing is left on the source."""

import json
import os
import time
from pathlib import Path

import sourcevm
from case import build, check, defer, require, run, start, wait_until, work

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


def go(verb, wanted):
    """Runs a verb to its end; slipwayd is killed 0.05 s, 0.1 s, … after each start of its."""
    global process
    kills, pause = 0, 0.05
    slipway(*verb, "--detach")
    while job()["active"]:
        time.sleep(pause)
        process.kill()
        process.wait()
        process = daemon()
        kills, pause = kills + 1, pause * 1.3
    print(f"{verb[0]}: {kills} kills", flush=True)
    now = job()
    check(now["state"] == wanted and "error" not in now, f"{verb[0]} ends well: {now}")
    return kills


vm.write("vda", 0, 1 << 20, 1)
vm.write("vdb", 1 << 20, 4096, 2)
slipway("source", "add", "lab", lab.uri)
kills = go(["migrate", "lab/t1", "--name", "moved", "--no-morph", "--shutdown-policy", "force",
            "--shutdown-timeout", "2"], "mirrored")
for number in (3, 4):
    vm.write("vda", number << 20, 65536, number)
    kills += go(["sync", "moved"], "mirrored")
vm.write("vda", 5 << 20, 512, 5)
vm.write("vdb", 7 << 20, 512, 6)
kills += go(["cutover", "moved"], "done")
check(kills > 10, f"killed {kills} times")
slipway("report", "moved")
for name in ("vda", "vdb"):
    target = (work / f"pool/moved/{name}.raw").read_bytes()
    check(target == bytes(vm.model[name]), f"every byte of {name} has arrived")
check(vm.leftovers() == [], f"nothing of ours is left on the source: {vm.leftovers()}")
check("shut off" in lab.virsh("domstate", "t1"), "the source is off")
check(not (work / "st/stores/moved/control.sock").exists(), "the engine has ended")

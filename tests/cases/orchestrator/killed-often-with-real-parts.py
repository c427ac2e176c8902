#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""slipwayd with the real engine and libvirt is killed again and again while a migration runs,
each time a little later; the target holds every byte and nothing is left on the source."""

import time

from case import check, require, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
from realparts import daemon, job, lab, slipway, vm

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
kills = go(["migrate", "lab/t1", "--name", "moved", "--no-morph", "--commit-window", "none",
            "--shutdown-policy", "force",
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

# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""The program dies after the first, second, … change of its journal, while a point in time begins
and while it ends, of a VM that runs and of one that is off: what is left can always be removed, and
an end that was interrupted can be told again without losing a change."""

import os

from case import check, require
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd")
lab = Lab()
vm = lab.vm("steps", {"vda": "qcow2"})


def dies(step, *words):
    """Runs the command; True when it died at this step, False when it came to its end before."""
    os.environ["SOURCE_PROBE_DIE"] = str(step)
    try:
        lab.probe(*words, expect=99)
        return True
    except SystemExit as complaint:
        check("ended with 0," in str(complaint), str(complaint))
        return False
    finally:
        del os.environ["SOURCE_PROBE_DIE"]


def steps(*words):
    """Step numbers at which the command dies, one after the other."""
    step = 1
    while dies(step, *words):
        yield step
        step += 1
    check(step > 1, "there was a step to die at")


def nothing_left(when):
    check(vm.leftovers() == [] and lab.things() == [], f"{when}: {vm.leftovers()} {lab.things()}")


for state in ("running", "off"):
    if state == "off":
        vm.stop()
    for step in steps("begin", vm.name, vm.state):
        lab.probe("cleanup")
        nothing_left(f"{state}, begin, step {step}")
    vm.end("dropped")
    for how in ("dropped", "committed"):
        vm.begin()
        for step in steps("end", vm.name, vm.state, how):
            pass  # told again until it comes to its end
        lab.probe("cleanup")
        nothing_left(f"{state}, end {how}")
vm.start()

# An interrupted commit keeps exactly one checkpoint, and it has all changes.
first = vm.begin()
vm.end("committed")
vm.write("vda", 1 << 20, 65536, 1)
second = vm.begin("--since", first["id"])
vm.write("vda", 2 << 20, 65536, 2)
for step in steps("end", vm.name, vm.state, "committed"):
    check(second["id"] in vm.checkpoints(), "the committed checkpoint is never lost")
check(vm.checkpoints() == [second["id"]], "the older one is gone at the end")
third = vm.begin("--since", second["id"])
check(vm.dirty(third, "vda") == [(2 << 20, 65536)], "the change since is there")
vm.end("dropped")
lab.probe("cleanup")
nothing_left("at the end")

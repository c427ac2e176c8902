# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Points in time of a running VM are exact, deltas name all changes and little else, a dropped
point in time loses no change, and raw disks beside qcow2 ones are said to need a full compare."""

import os

from case import check, require
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64")
lab = Lab()
vm = lab.vm("mix", {"vda": "qcow2", "vdb": "qcow2", "vdc": "raw"})
vm.write("vda", 0, 65536, 1)
vm.write("vdc", 4096, 8192, 2)

first = vm.begin()
frozen = {name: bytes(data) for name, data in vm.model.items()}
check(all("bitmap" not in d and "why_full" not in d for d in first["disks"]),
      "without `since` there is neither a bitmap nor an excuse")
room, disk = lab.probe("room", vm.state), os.statvfs(first["directory"])
check(abs(room["free"] - disk.f_bavail * disk.f_frsize) < 1 << 30 and
      room["free"] <= room["size"] <= disk.f_blocks * disk.f_frsize, f"the room to grow: {room}")
vm.write("vda", 1 << 20, 65536, 3)  # after the point in time: must not be seen in it
vm.pull(first, frozen)
vm.end("committed")
check(vm.checkpoints() == [first["id"]], "the committed point in time is the only checkpoint")
check([t["kind"] for t in lab.things()] == ["checkpoint"], "the journal has only the checkpoint")

vm.write("vdb", 2 << 20, 4096, 4)
dropped = vm.begin("--since", first["id"])
check(vm.dirty(dropped, "vda") == [(1 << 20, 65536)], "it has the write during the first pass")
check(vm.dirty(dropped, "vdb") == [(2 << 20, 65536)], "one 64 KiB granule for a small write")
check("raw" in vm.why(dropped, "vdc"), "the raw disk says why it is compared")
vm.write("vda", 3 << 20, 65536, 5)  # between a point in time that will be dropped and the next
vm.end("dropped")
check(vm.checkpoints() == [first["id"]], "the dropped checkpoint is gone, the older one is there")

second = vm.begin("--since", first["id"])
check(vm.dirty(second, "vda") == [(1 << 20, 65536), (3 << 20, 65536)], "no change was lost")
vm.pull(second)
again = vm.begin("--since", first["id"], "--resume")
check(again == second, "an interrupted point in time is taken up again")
vm.pull(again)
vm.end("committed")
check(vm.checkpoints() == [second["id"]], "the older checkpoint is deleted by the commit")

third = vm.begin("--since", second["id"])
check(vm.dirty(third, "vda") == [] and vm.dirty(third, "vdb") == [], "nothing changed")
lost_end = vm.begin("--since", third["id"], "--resume")
check(lost_end["id"] != third["id"] and vm.checkpoints() == [third["id"], lost_end["id"]],
      "a commit whose end was never told is finished by the next begin")
vm.end("dropped")

check("no VM" in lab.probe("describe", "nobody", expect=3), "an unknown VM is named")
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"nothing is left: {vm.leftovers()}")

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""When QEMU is killed, or one image loses its bitmap, the affected disks are compared as a whole
and say so; the others stay incremental; the broken checkpoints can still be removed."""

from case import check, require, run
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64")
lab = Lab()
vm = lab.vm("lossy", {"vda": "qcow2", "vdb": "qcow2"})
first = vm.begin()
vm.end("committed")

# One image loses its bitmap while the VM is off: the other disk stays incremental.
vm.write("vda", 0, 65536, 1)
vm.stop()
run("qemu-img", "bitmap", "--remove", vm.image("vdb"), first["id"])
vm.start()
vm.write("vda", 1 << 20, 65536, 2)
mixed = vm.begin("--since", first["id"])
check(vm.dirty(mixed, "vda") == [(0, 65536), (1 << 20, 65536)], "vda is incremental")
check("missing or inconsistent" in vm.why(mixed, "vdb"), "vdb says why it is compared")
vm.pull(mixed)
vm.end("committed")
check(vm.checkpoints() == [mixed["id"]], "the half broken checkpoint is deleted")
vm.write("vdb", 0, 65536, 3)
whole = vm.begin("--since", mixed["id"])
check(vm.dirty(whole, "vdb") == [(0, 65536)] and vm.dirty(whole, "vda") == [], "tracking goes on")
vm.end("committed")
check(set(vm.bitmaps("vda")) <= {whole["id"]}, "no bitmap of older points is left")

# QEMU is killed: bitmaps that were stored before are inconsistent, later ones never came to be.
vm.stop()
vm.start()
vm.kill()
off = vm.begin("--since", whole["id"])
check(all("inconsistent" in vm.why(off, disk) for disk in ("vda", "vdb")), "off: said so")
vm.pull(off)
vm.end("dropped")
vm.start()
again = vm.begin("--since", whole["id"])
check(all("inconsistent" in vm.why(again, disk) for disk in ("vda", "vdb")), "running: said so")
vm.pull(again)
vm.end("committed")
check(vm.checkpoints() == [again["id"]], "the broken checkpoint is deleted")
vm.write("vda", 0, 65536, 9)
healed = vm.begin("--since", again["id"])
check(vm.dirty(healed, "vda") == [(0, 65536)], "the next delta is incremental again")
vm.end("committed")

# A checkpoint that somebody deleted.
lab.virsh("checkpoint-delete", vm.name, healed["id"])
gone = vm.begin("--since", healed["id"])
check("not on the source any more" in vm.why(gone, "vda"), "a deleted checkpoint is named")
vm.kill()  # and QEMU dies while the point in time is being read
vm.end("dropped")
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"nothing is left: {vm.leftovers()}")
check(vm.bitmaps("vda") == [] and vm.bitmaps("vdb") == [], "no bitmap is left in the images")

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A program that dies in the middle of a point in time leaves nothing that the journal cannot
remove, and does not stand in the way of the next one."""

from pathlib import Path

from case import check, require, run
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd")
lab = Lab()
vm = lab.vm("crash", {"vda": "qcow2", "vdb": "raw"})

vm.begin("--die", expect=99)
check(len(vm.leftovers()) >= 3, f"directory, job and checkpoint are there: {vm.leftovers()}")
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"running: nothing is left: {vm.leftovers()}")
lab.probe("cleanup")

vm.begin("--die", expect=99)
check("another migration" in vm.begin(expect=6), "whoever is not told to resume keeps off")
lab.probe("cleanup")
next_one = vm.begin()
vm.pull(next_one)
vm.end("committed")
check(vm.checkpoints() == [next_one["id"]], "only the committed checkpoint is there")

vm.stop()
vm.begin("--since", next_one["id"], "--die", expect=99)
check(any("qemu-nbd" in left for left in vm.leftovers()), "qemu-nbd runs on")
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"off: nothing is left: {vm.leftovers()}")
check(vm.bitmaps("vda") == [], "no bitmap is left in the image")

# A VM that was removed meanwhile.
vm.start()
last = vm.begin()
lab.virsh("destroy", vm.name)
lab.virsh("undefine", vm.name, "--checkpoints-metadata")
vm.end("dropped")
check(not Path(last["directory"]).exists(), "a point in time of a VM that is gone can be ended")
lab.probe("cleanup")
check(lab.things() == [], "things of a VM that is gone are gone")

# A backup of somebody else is respected.
other = lab.vm("busy", {"vda": "qcow2"})
job = other.image("vda").with_suffix(".xml")
job.write_text(f"<domainbackup mode='pull'><server transport='unix' socket='{job}.sock'/><disks>"
               f"<disk name='vda' backup='yes' type='file'><scratch file='{job}.scratch'/></disk>"
               "</disks></domainbackup>")
lab.virsh("backup-begin", other.name, job)
check("another program" in other.begin(expect=6), "EBUSY, and says why")
check(lab.things() == [], "nothing was journalled for good")
run("virsh", "-q", "-c", lab.own_uri, "domjobabort", other.name)

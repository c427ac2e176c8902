# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A description names snapshots and checkpoints that are not ours, the pool of a disk and how much
of it is allocated; asking changes nothing."""

from case import check, require, work
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-img")
lab = Lab()
vm = lab.vm("told", {"vda": "qcow2"})
facts = lab.probe("facts")
check(all(int(facts[name].split(".")[0]) > 0 for name in ("libvirt", "qemu")), f"{facts}")


def kept():
    told = lab.probe("describe", vm.name)
    return told["snapshots"], told["checkpoints"]


check(kept() == (0, 0), "there is nothing yet")
lab.virsh("checkpoint-create-as", vm.name, "backup-1")
check(kept() == (0, 1), "a backup's checkpoint")
first = vm.begin()
check(kept() == (0, 1), "ours do not count")
vm.end("dropped")
lab.virsh("checkpoint-delete", vm.name, "backup-1")
vm.stop()
lab.virsh("snapshot-create-as", vm.name, "before-update")
check(kept() == (1, 0), "a snapshot")
before = lab.virsh("dumpxml", vm.name), lab.virsh("snapshot-list", vm.name)
disk = lab.probe("describe", vm.name)["disks"][0]
check(0 < disk["allocated_bytes"] < disk["size_bytes"] and "pool" not in disk, f"{disk}")
check((lab.virsh("dumpxml", vm.name), lab.virsh("snapshot-list", vm.name)) == before,
      "asking changes nothing")
lab.virsh("pool-create-as", "images", "dir", "--target", work)
check(lab.probe("describe", vm.name)["disks"][0]["pool"] == "images", "the pool it lies in")
lab.virsh("pool-destroy", "images")

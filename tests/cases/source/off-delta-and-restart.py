# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A VM that is off is read with the bitmaps that QEMU stored; when the source is started again
after that, its deltas go on without a full compare; shutdown policies do what they say."""

from case import check, require, run
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd")
lab = Lab()
vm = lab.vm("halt", {"vda": "qcow2", "vdb": "raw"})
first = vm.begin()
vm.end("committed")
vm.write("vda", 2 << 20, 65536, 1)
vm.write("vdb", 4096, 4096, 2)

# There is no guest that could react to the ACPI button.
check("did not shut down" in lab.probe("shutdown", vm.name, "1", "fail", expect=8), "fail gives up")
check(lab.probe("power", vm.name) == "running", "and leaves it running")
lab.probe("shutdown", vm.name, "1", "force")
check(lab.probe("power", vm.name) == "off", "force switches off")

final = vm.begin("--since", first["id"])
check(final["id"].startswith("off-" + first["id"] + "-"), "the id leads back to the checkpoint")
check(vm.dirty(final, "vda") == [(2 << 20, 65536)], "the stored bitmap is served")
check("raw" in vm.why(final, "vdb"), "the raw disk says why it is compared")
vm.pull(final)
check(vm.begin("--since", first["id"], "--resume") == final, "it is taken up again")
check("lock" in lab.virsh("start", vm.name, expect=1), "the images are protected meanwhile")
vm.end("committed")
check(vm.leftovers() == [f"checkpoint {first['id']}"],
      f"only the checkpoint stays: {vm.leftovers()}")
check(vm.begin("--since", final["id"])["id"] == final["id"], "same bytes, same id")
vm.end("dropped")

# The images were written behind our back: said once, and the end can be repeated.
vm.begin("--since", final["id"])
run("touch", vm.image("vda"))
check("while they were read" in vm.end("committed", expect=6), "not what it was")
vm.end("committed")

# The cutover failed: the source runs again, from the point in time that was read while it was off.
lab.probe("start", vm.name)
vm.write("vda", 5 << 20, 65536, 3)
after = vm.begin("--since", final["id"])
check(vm.dirty(after, "vda") == [(2 << 20, 65536), (5 << 20, 65536)], "a superset of the changes")
vm.pull(after)
vm.end("committed")
check(vm.checkpoints() == [after["id"]], "the old checkpoint is deleted by the commit")

# Never synchronised before it was switched off.
vm.stop()
fresh = vm.begin()
check(fresh["id"].startswith("off-none-"), "no checkpoint behind it")
vm.pull(fresh)
vm.end("committed")

# Everything goes, also while the VM is off.
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"nothing is left: {vm.leftovers()}")
check(vm.bitmaps("vda") == [], "no bitmap is left in the image")

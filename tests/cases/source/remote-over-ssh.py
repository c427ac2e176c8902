# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A source behind qemu+ssh: running and off, its disks are read through forwarded sockets, and the
tunnels go with the point in time, also when the program died."""

from case import check, require, work
from sourcevm import Lab
import sshd

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd", "/usr/sbin/sshd", "virt-ssh-helper")
server = sshd.start(work)
HOST = f"qemu+ssh://root@127.0.0.1:{server.port}/system"
lab = Lab(uri=f"{HOST}?socket={work}/src/libvirt-sock&command={server.command}&no_verify=1")
vm = lab.vm("far", {"vda": "qcow2", "vdb": "raw"})
vm.write("vda", 0, 65536, 1)

first = vm.begin()
check(all("/slipway-tunnel-" in disk["uri"] for disk in first["disks"]), "through a tunnel")
vm.pull(first)
check(vm.begin("--resume") == first, "taken up again, same tunnel")
vm.end("committed")
check(vm.leftovers() == [f"checkpoint {first['id']}"], f"the tunnel is gone: {vm.leftovers()}")

vm.write("vda", 1 << 20, 65536, 2)
delta = vm.begin("--since", first["id"])
check(vm.dirty(delta, "vda") == [(1 << 20, 65536)], "the delta is incremental")
vm.pull(delta)
vm.end("committed")

vm.write("vda", 2 << 20, 65536, 3)
lab.probe("shutdown", vm.name, "0", "force")
final = vm.begin("--since", delta["id"])
check(vm.dirty(final, "vda") == [(2 << 20, 65536)], "the stored bitmap is served")
vm.pull(final)
vm.end("committed")

lab.probe("start", vm.name)
vm.begin("--since", final["id"], "--die", expect=99)
check(any("ssh" in left for left in vm.leftovers()), "the tunnel outlives the program")
lab.probe("cleanup")
check(vm.leftovers() == [] and lab.things() == [], f"nothing is left: {vm.leftovers()}")

server.process.terminate()
server.process.wait()
check("cannot connect to source" in lab.probe("list", expect=8), "an unreachable host is named")

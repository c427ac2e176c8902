#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""A rollback with failback with the real engine, libvirt as source and the embedded driver as node:
what the VM wrote since the cutover is on the source's own disks, killed in between or not; the
source is guarded meanwhile and as it was afterwards; a commit renames it."""

import json

import nbd

from case import check, require, run, stop, wait_until, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
from realparts import daemon, job, lab, slipway, vm

store = work / "st/stores/moved"


def guest_writes(disk, offset, length, byte):
    """Through the engine, as the VM's own disk does."""
    handle = nbd.NBD()
    handle.connect_uri(f"nbd+unix:///{disk}?socket={store}/nbd.sock")
    data = bytes([byte]) * length
    handle.pwrite(data, offset)
    handle.flush()
    handle.shutdown()
    vm.model[disk][offset:offset + length] = data


def source_bytes(disk):
    """What the source's image holds, whatever its format."""
    path = next(word for line in lab.virsh("domblklist", "t1").splitlines()
                for word in line.split() if word.startswith("/") and line.split()[0] == disk)
    out = work / f"{disk}.read"
    run("qemu-img", "convert", "-U", "-O", "raw", path, out, quiet=True)
    return out.read_bytes()


process = daemon()
vm.write("vda", 0, 65536, 1)
vm.write("vdb", 1 << 20, 4096, 2)
lab.virsh("autostart", "t1")
(work / "nic.xml").write_text("<interface type='user'><mac address='52:54:00:0a:0b:0c'/>"
                              "<model type='virtio'/></interface>")
lab.virsh("attach-device", "t1", work / "nic.xml", "--config")
slipway("source", "add", "lab", lab.uri)
slipway("migrate", "lab/t1", "--name", "moved", "--no-morph", "--failback", "--shutdown-policy",
        "force", "--shutdown-timeout", "2", "--source-after-commit", "rename", "--follow")
vm.write("vda", 131072, 65536, 3)
slipway("cutover", "moved", "--follow")
check(job()["state"] == "window", f"{job()}")
check("shut off" in lab.virsh("domstate", "t1"), "the source is off")
check("disable" in lab.virsh("dominfo", "t1").split("Autostart:")[1].split()[0], "and stays so")
check("state='down'" in lab.virsh("dumpxml", "--inactive", "t1"), "its cards are disconnected")

# The engine dies while one could go back: the VM goes on.
status = json.loads(slipway("engine", "status", store, "--json", quiet=True))
check(status["mode"] == "owner", f"{status['mode']}")
guest_writes("vda", 512 * 1024, 70000, 7)
guest_writes("vdb", 3 << 20, 4096, 8)
slipway("rollback", "moved", "--detach")
wait_until(lambda: job()["state"] != "window", "it begins")
process.kill()
process.wait()
process = daemon()
wait_until(lambda: not job()["active"], "it ends", timeout=120, pause=0.3)
check(job()["state"] == "rolled-back" and "error" not in job(), f"{job()}")
check("running" in lab.virsh("domstate", "t1"), "the source runs")
check("enable" in lab.virsh("dominfo", "t1").split("Autostart:")[1].split()[0], "as it was")
check("state='down'" not in lab.virsh("dumpxml", "--inactive", "t1"), "its cards are connected")
for name in ("vda", "vdb"):
    check(source_bytes(name) == bytes(vm.model[name]), f"{name}: what the VM wrote is there")
check(not (store / "control.sock").exists(), "the engine has ended")

# Once more, and this time for good.
vm.write("vda", 1 << 20, 65536, 9)
slipway("sync", "moved", "--follow")
slipway("cutover", "moved", "--follow")
slipway("commit", "moved", "--follow")
check(job()["state"] == "done" and "error" not in job(), f"{job()}")
check("t1-migrated" in lab.virsh("list", "--all", "--name").split(), "the source's VM is renamed")
for name in ("vda", "vdb"):
    target = (work / f"pool/moved/{name}.raw").read_bytes()
    check(target == bytes(vm.model[name]), f"every byte of {name} is in the target")
check(not (store / "control.sock").exists(), "no engine any more")
slipway("remove", "moved")
stop(process, grace=20)

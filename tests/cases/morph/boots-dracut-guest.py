# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest of the Red Hat kind, whose initramfs by dracut has no virtio, boots on virtio once it is
morphed, with its card's name and static address; dracut is told to keep the drivers."""

import json
import subprocess

import guest
from agent import Agent
from case import build, check, require, run, source, start, stop, wait_until, work

require("root", "qemu-nbd", "qemu-system-x86_64", "mmdebstrap", build / "morph/slipway-morph")

BUILDER = source / "tests/guests/redhat-like/build.sh"
ADDRESS = "10.20.30.41/24"

folder = subprocess.run([str(BUILDER)], check=True, stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, text=True).stdout.strip()
disk, sock = work / "disk0.qcow2", work / "n.sock"
run("cp", "--reflink=auto", "--sparse=always", f"{folder}/disk0.qcow2", disk)
server = start("qemu-nbd", "-t", "-f", "qcow2", "-x", "sda", "-k", sock, disk)
wait_until(sock.exists, "qemu-nbd's socket")


def morph(*words):
    output = run(build / "morph/slipway-morph", "--json", "--rebuild", "never", "--disk",
                 f"nbd+unix:///sda?socket={sock}", "--nic", f"{guest.MAC}={guest.NIC}", *words,
                 timeout=300)
    return json.loads(output.splitlines()[-1])


result = morph()
changes = {(c["change"], c["kind"]) for c in result["changes"]}
check(("initramfs", "append") in changes, "an archive was appended to the initramfs")
check(("initramfs", "write") in changes, "dracut is told to keep the drivers")
check(result["guest_agent"], "the agent that will answer is announced")
check(morph()["changes"] == [], "a second run has nothing to do")
stop(server)

log, channel = work / "serial.log", work / "agent.sock"
machine = start(*guest.virtio_argv([disk], log), "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={channel},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
guest.Console(log).wait_for("login: ", timeout=400, alive=lambda: machine.poll() is None)
inside = Agent(channel)
inside.wait(timeout=60)


def address_is_there():
    return ADDRESS in inside.run(f"ip -o address show dev {guest.NIC}")


wait_until(address_is_there, f"{ADDRESS} on {guest.NIC}", timeout=60)
modules = inside.run("lsmod")
check("virtio_blk" in modules and "virtio_net" in modules, "virtio drives disk and card")
kept = inside.run("cat /etc/dracut.conf.d/10-slipway.conf")
check("virtio_blk" in kept, f"dracut's configuration names the drivers: {kept}")

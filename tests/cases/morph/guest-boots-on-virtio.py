# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""The guest of another platform, morphed over NBD, boots on virtio with its second disk mounted,
its card called ens192 with the static address, and its agent answering."""

import json
import socket
import time

import guest
from case import build, check, require, run, start, stop, wait_until, work

require("root", "qemu-nbd", "qemu-system-x86_64", "mmdebstrap", build / "morph/slipway-morph")

disks = guest.disks(work, two_disks=True)
words, servers = [], []
for number, disk in enumerate(disks):
    sock = work / f"{number}.sock"
    servers.append(start("qemu-nbd", "-t", "-f", "qcow2", "-x", f"disk{number}", "-k", sock, disk))
    wait_until(sock.exists, "qemu-nbd's socket")
    words += ["--disk", f"nbd+unix:///disk{number}?socket={sock}"]


def morph():
    output = run(build / "morph/slipway-morph", "--json", *words, "--nic", guest.MAC, timeout=300)
    return json.loads(output.splitlines()[-1])


result = morph()
check(result["guest_agent"], "the agent that will answer is announced")
check({"fstab", "network", "initramfs", "agents"} <= {c["change"] for c in result["changes"]},
      "all kinds of change were needed")
check(morph()["changes"] == [], "a second run has nothing to do")
for server in servers:
    stop(server)

log, channel = work / "serial.log", work / "agent.sock"
machine = start(*guest.virtio_argv(disks, log), "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={channel},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
guest.Console(log).wait_for("login: ", timeout=400, alive=lambda: machine.poll() is None)


def ask(command, timeout=60):
    """What the guest agent returns; it may start a little later than the login."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(channel))
            try:
                connection.sendall(json.dumps({"execute": command}).encode() + b"\n")
                return json.loads(connection.makefile().readline())["return"]
            except TimeoutError:
                continue
    return None


cards = ask("guest-network-get-interfaces")
check(cards, "the guest agent answers")
card = next((c for c in cards if c.get("hardware-address") == guest.MAC), {})
check(card.get("name") == guest.NIC, f"the card is called {card.get('name')}, not {guest.NIC}")
addresses = [f"{a['ip-address']}/{a['prefix']}" for a in card.get("ip-addresses", [])]
check(guest.ADDRESS in addresses, f"{guest.ADDRESS} is not among {addresses}")
mounts = {fs["mountpoint"]: fs["name"] for fs in ask("guest-get-fsinfo")}
check("/" in mounts and "/srv" in mounts, f"/ and /srv are mounted: {mounts}")
print(f"booted: {guest.NIC} has {addresses}, mounts {mounts}")

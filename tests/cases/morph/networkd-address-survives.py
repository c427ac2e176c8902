# SPDX-License-Identifier: Apache-2.0
# timeout: 900
"""A guest whose systemd-networkd finds its card by the old platform's driver boots on virtio with
the card's name, its MTU and its static address."""

import base64
import json
import socket
import time

import guest
from case import build, check, require, run, start, stop, wait_until, work

require("root", "qemu-nbd", "qemu-system-x86_64", "mmdebstrap", build / "morph/slipway-morph")

disks = guest.disks(work, layout="networkd")
sock = work / "nbd.sock"
server = start("qemu-nbd", "-t", "-f", "qcow2", "-x", "disk0", "-k", sock, disks[0])
wait_until(sock.exists, "qemu-nbd's socket")


def morph():
    output = run(build / "morph/slipway-morph", "--json", "--disk",
                 f"nbd+unix:///disk0?socket={sock}", "--nic", guest.MAC, timeout=300)
    return json.loads(output.splitlines()[-1])


result = morph()
changed = {change["path"] for change in result["changes"] if change["change"] == "network"}
check(changed == {"/etc/systemd/network/20-lan.link", "/etc/systemd/network/50-lan.network",
                  "/etc/systemd/network/10-slipway-lan0.link"}, f"network files: {changed}")
check(result["nics"] == [{"mac": guest.MAC, "name": "lan0"}], f"the card: {result['nics']}")
check(morph()["changes"] == [], "a second run has nothing to do")
stop(server)

log, channel = work / "serial.log", work / "agent.sock"
machine = start(*guest.virtio_argv(disks, log), "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={channel},server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
guest.Console(log).wait_for("login: ", timeout=400, alive=lambda: machine.poll() is None)


def ask(command, timeout=60, **arguments):
    """What the guest agent returns; it may start a little later than the login."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(channel))
            try:
                connection.sendall(json.dumps({"execute": command, "arguments": arguments})
                                   .encode() + b"\n")
                return json.loads(connection.makefile().readline())["return"]
            except TimeoutError:
                continue
    return None


def address():
    """The addresses of lan0, as soon as it has the one that is expected."""
    cards = ask("guest-network-get-interfaces") or []
    card = next((c for c in cards if c["name"] == "lan0"), {})
    found = [f"{a['ip-address']}/{a['prefix']}" for a in card.get("ip-addresses", [])]
    return found if guest.ADDRESS in found else None


wait_until(address, f"{guest.ADDRESS} on lan0", timeout=120)
handle = ask("guest-file-open", path="/sys/class/net/lan0/mtu", mode="r")
mtu = base64.b64decode(ask("guest-file-read", handle=handle, count=16)["buf-b64"]).strip()
check(mtu == b"1400", f"the MTU of the guest's own .link file: {mtu}")
print(f"booted: lan0 has {address()}, MTU {mtu.decode()}")

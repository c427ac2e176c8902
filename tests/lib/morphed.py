# SPDX-License-Identifier: Apache-2.0
"""A guest of another platform is morphed and then really boots on virtio.

    morphed.boots("lvm", mounts={"/": "/dev/dm-", "/boot": "/dev/vda1"})
"""

import json
import time

import guest
from agent import Agent
from case import build, check, require, run, start, stop, wait_until, work

MORPH = build / "morph/slipway-morph"


class Disks:
    """The disks of a guest, over NBD as slipway-morph gets them from an engine."""

    def __init__(self, images):
        self.servers, self.words = [], []
        for number, image in enumerate(images):
            sock = work / f"{number}.sock"
            self.servers.append(start("qemu-nbd", "-t", "-f", "qcow2", "-x", f"disk{number}",
                                      "-k", sock, image))
            wait_until(sock.exists, "qemu-nbd's socket")
            self.words += ["--disk", f"nbd+unix:///disk{number}?socket={sock}"]

    def morph(self, *more):
        """What slipway-morph reports."""
        output = run(MORPH, "--json", *self.words, "--nic", guest.MAC, *more, timeout=300)
        return json.loads(output.splitlines()[-1])

    def end(self):
        for server in self.servers:
            stop(server)


def morph(images, *options, needs=(), twice=True):
    """Morphs the disks; twice: a second run must find nothing to do (an appliance more)."""
    disks = Disks(images)
    result = disks.morph(*options)
    changes = {change["change"] for change in result["changes"]}
    check(set(needs) <= changes, f"of the changes {sorted(needs)} only {sorted(changes)} came")
    check(result["guest_agent"], "the agent that will answer is announced")
    if twice:
        again = disks.morph("--dry-run", *options)
        check(again["changes"] == [], f"a second run has nothing to do: {again['changes']}")
    disks.end()
    return result


def boot(images, firmware=None, timeout=400):
    """Boots on virtio hardware and returns the agent's connection, once there was a login."""
    log, channel = work / "serial.log", work / "agent.sock"
    machine = start(*guest.virtio_argv(images, log, firmware=firmware),
                    "-device", "virtio-serial-pci",
                    "-chardev", f"socket,id=agent,path={channel},server=on,wait=off",
                    "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
    begin = time.monotonic()
    guest.Console(log).wait_for("login: ", timeout, alive=lambda: machine.poll() is None)
    print(f"login after {time.monotonic() - begin:.0f} s", flush=True)
    agent = Agent(channel)
    agent.wait(120)
    return agent


def check_network(agent):
    """The card has its old name and its static address, on a virtio driver."""
    card = agent.run(f"cat /sys/class/net/{guest.NIC}/address; "
                     f"basename $(readlink /sys/class/net/{guest.NIC}/device/driver); "
                     f"ip -4 -o address show dev {guest.NIC}")
    check(guest.MAC in card and "virtio_net" in card and f"inet {guest.ADDRESS} " in card,
          f"{guest.NIC} is a virtio card with {guest.MAC} and {guest.ADDRESS}: {card}")


def check_mounts(agent, expected):
    """{directory: beginning of its device}, and for btrfs DEVICE[/SUBVOLUME]."""
    found = {}
    for line in agent.run("findmnt -rn -o TARGET,SOURCE").splitlines():
        target, _, source = line.partition(" ")
        found[target] = source
    for directory, device in expected.items():
        check(found.get(directory, "").startswith(device),
              f"{directory} is on {found.get(directory)}, not on {device}")
    print("mounts: " + ", ".join(f"{d} {found[d]}" for d in expected), flush=True)


def check_inside(agent, mounts):
    check_network(agent)
    check_mounts(agent, mounts)
    agent.run("cd /var/lib && sha256sum -c marker.sha256")
    failed = agent.run("systemctl --failed --no-legend --plain", expect=None).strip()
    check(not failed, f"no unit failed: {failed}")


def boots(layout, mounts, needs=("fstab", "network", "initramfs", "agents"), options=None,
          between=None, also=None, twice=False):
    """The whole scenario for one layout of tests/guests.  mounts: what must be mounted where;
    needs: the changes that must have been made; options(folder): more words for slipway-morph,
    given the folder that holds the guest; between(images), also(agent): what else must
    hold of the changed disks, and inside; twice: a second run must find nothing to do."""
    require("root", "qemu-nbd", "qemu-system-x86_64", "mmdebstrap", MORPH)
    firmware = None
    if layout == "uefi":
        require(f"{guest.OVMF}/OVMF_CODE_4M.fd", "mcopy")
        firmware = guest.firmware_variables(work)
    images = guest.disks(work, layout=layout)
    words = options(guest.folder(layout=layout)) if options else ()
    morph(images, *words, needs=needs, twice=twice)
    if between:
        between(images)
    agent = boot(images, firmware)
    check_inside(agent, mounts)
    if also:
        also(agent)

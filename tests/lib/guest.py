#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The guest of tests/guests: its disks, the foreign hardware it expects, its serial console.

    disks = guest.disks(work, layout="lvm")              # private copies, built on first use
    connection.defineXML(guest.domain_xml("vm", disks, serial=work / "serial.log"))
    console = guest.Console(work / "serial.log")
    console.wait_for("login: ")
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

BUILDER = Path(__file__).resolve().parents[1] / "guests" / "build-guest.sh"
MAC = "52:54:00:10:20:30"
NIC = "ens192"
ADDRESS = "10.20.30.40/24"
MEMORY_MIB = 512
OVMF = "/usr/share/OVMF"

# vmxnet3 sits in the slot that VMware gives it, which makes udev call it ens192.  QEMU names slots
# only where PCI hotplug is not ACPI's.
DOMAIN = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
{disks}
    <controller type='scsi' index='0' model='vmpvscsi'/>
    <controller type='usb' model='none'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='9' model='pcie-root-port'>
      <target chassis='9' port='0x48'/><alias name='ua-slot192'/>
    </controller>
    <interface type='{network_type}'>
      <mac address='{mac}'/>{network}<model type='vmxnet3'/>
      <address type='pci' domain='0' bus='9' slot='0' function='0'/>
    </interface>
    <serial type='file'><source path='{serial}' append='on'/><target port='0'/></serial>
    <video><model type='none'/></video>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-global'/>
    <qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/>
  </qemu:commandline>
  <qemu:override>
    <qemu:device alias='ua-slot192'>
      <qemu:frontend><qemu:property name='slot' type='unsigned' value='192'/></qemu:frontend>
    </qemu:device>
  </qemu:override>
</domain>
"""

DISK = """    <disk type='file' device='disk'>
      <driver name='qemu' type='{format}' cache='none' discard='unmap'/>
      <source file='{path}'/><target dev='sd{letter}' bus='scsi'/>
      <address type='drive' controller='0' bus='0' target='{number}' unit='0'/>
    </disk>"""


def folder(two_disks=False, quiet=False, layout=None):
    """The cached disks' folder; builds them on first use, progress on standard error.  layout: a
    name in tests/guests/layouts."""
    argv = [str(BUILDER), "--layout", layout or ("two-disks" if two_disks else "plain")]
    result = subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL if quiet else None, text=True)
    return Path(result.stdout.strip())


def disks(directory, two_disks=False, layout=None):
    """Private copies of the guest's disks in `directory`, in order."""
    copies = []
    for image in sorted(folder(two_disks, layout=layout).glob("disk*.qcow2")):
        copies.append(Path(directory) / image.name)
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", str(image), str(copies[-1])],
                       check=True)
    return copies


def domain_xml(name, images, serial, network=None, image_format="qcow2"):
    """libvirt's XML of the guest on its foreign hardware.  network: a bridge's name, or None for
    QEMU's user network."""
    drives = "\n".join(DISK.format(format=image_format, path=image, letter="abcd"[number],
                                   number=number) for number, image in enumerate(images))
    source = f"<source bridge='{network}'/>" if network else ""
    return DOMAIN.format(name=name, memory=MEMORY_MIB, disks=drives, mac=MAC, serial=serial,
                         network_type="bridge" if network else "user", network=source)


def hardware(serial, firmware=None):
    """What both hardwares have in common.  firmware: UEFI variables, from firmware_variables()."""
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-m", str(MEMORY_MIB),
            "-machine", "q35", "-display", "none", "-monitor", "none",
            "-serial", f"file:{serial}", "-no-reboot"]
    if firmware:
        argv += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
                 "-drive", f"if=pflash,format=raw,unit=1,file={firmware}"]
    return argv


def firmware_variables(directory):
    """UEFI firmware's variables as a new machine has them: no boot entries."""
    path = Path(directory) / "uefi-variables.fd"
    shutil.copyfile(f"{OVMF}/OVMF_VARS_4M.fd", path)
    return path


def foreign_argv(images, serial, firmware=None):
    """The hardware that the guest expects, for a bare QEMU."""
    argv = hardware(serial, firmware)
    argv += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
             "-device", "pvscsi,id=scsi",
             "-device", "pcie-root-port,id=slot192,slot=192,chassis=9",
             "-netdev", "user,id=net", "-device", f"vmxnet3,netdev=net,mac={MAC},bus=slot192"]
    for number, image in enumerate(images):
        argv += ["-drive", f"file={image},if=none,id=disk{number},format=qcow2,cache=none",
                 "-device", f"scsi-hd,bus=scsi.0,drive=disk{number}"]
    return argv


def virtio_argv(images, serial, image_format="qcow2", firmware=None):
    """Virtio hardware for a bare QEMU, each device behind a port of its own as libvirt does it."""
    devices = [f"virtio-net-pci,netdev=net,mac={MAC}"]
    argv = hardware(serial, firmware) + ["-netdev", "user,id=net"]
    for number, image in enumerate(images):
        argv += ["-drive", f"file={image},if=none,id=disk{number},format={image_format},"
                           "cache=none"]
        devices.append(f"virtio-blk-pci,drive=disk{number}")
    for number, device in enumerate(devices, 1):
        argv += ["-device", f"pcie-root-port,id=port{number},chassis={number}",
                 "-device", f"{device},bus=port{number}"]
    return argv


class Console:
    """Reads a serial console that is written to a file."""

    def __init__(self, path):
        self.path = Path(path)

    def text(self):
        if not self.path.exists():
            return ""
        return self.path.read_bytes().decode("utf-8", errors="replace").replace("\r", "")

    def size(self):
        """Where the text ends now, to look only at what comes later."""
        return len(self.text())

    def wait_for(self, pattern, timeout=180, since=0, alive=None, heartbeat=None):
        """The match of a regular expression, in what came after `since`.  alive() false ends the
        wait; heartbeat(text) is called twice a second.  TimeoutError with the last lines."""
        deadline = time.monotonic() + timeout
        while True:
            text = self.text()[since:]
            found = re.search(pattern, text)
            if found:
                return found
            late = time.monotonic() > deadline
            if late or (alive and not alive()):
                why = f"not within {timeout} s" if late else "the machine ended"
                tail = "\n".join(text.splitlines()[-15:])
                raise TimeoutError(f"'{pattern}' did not come on {self.path}: {why}\n{tail}")
            if heartbeat:
                heartbeat(text)
            time.sleep(0.5)

    def recorder(self, event="record|found|last", since=0):
        """[(number, sum)] that the recorder told of, in order."""
        found = re.findall(rf"recorder: (?:{event}) (\d+) ([0-9a-f]{{64}})", self.text()[since:])
        return [(int(number), digest) for number, digest in found]


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("SLIPWAY_CACHE", "/var/cache/slipway-test")
    print(folder(two_disks=True))

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""Phony Windows guests, an old one and a new one, over NBD: the run leaves drivers, registry and
first boot as they have to be, nobody but administrators can change what runs with all rights, and a
second run leaves the disk as it is, bit for bit."""

import hashlib
import json

import hivefile
import phonywin
from case import build, check, require, run, start, stop, wait_until, work

require("root", "nbdkit", "ntfs-3g", "mkntfs", "ntfssecaudit", "genisoimage", "/dev/fuse",
        build / "morph/slipway-morph")
tree, iso = work / "virtio-win", work / "virtio-win.iso"
phonywin.drivers(tree)
phonywin.iso(iso, tree)
CS = "ControlSet001\\"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def morph(sock, *words):
    output = run(build / "morph/slipway-morph", "--json", "--windows-engine", "own", "--nic",
                 phonywin.MAC, *words, "--disk", f"nbd+unix:///?socket={sock}", timeout=300)
    return json.loads(output.splitlines()[-1])


def check_files(root, system, script, driver):
    """What was written, in C: mounted at root."""
    directory = root / ("WINDOWS" if version == "2k3" else "Windows")
    slipway = directory / "Slipway"
    hive = directory / "System32/config/SYSTEM"
    service = CS + r"Services\viostor"
    check(hivefile.read(hive, service, "Start") == 0, "viostor starts with the system")
    check(hivefile.read(hive, service, "ImagePath") == r"system32\drivers\viostor.sys",
          "the service names its driver")
    check((directory / "System32/drivers/viostor.sys").read_text() == driver, "the right driver")
    for key, name, value in system:
        check(hivefile.read(hive, key, name) == value, f"{key} has {name} = {value}")
    check(hivefile.read(hive, CS + r"Services\VMTools", "Start") == 4, "VMware Tools are off")
    check("firstboot.cmd" in hivefile.read(hive, CS + r"Services\SlipwayFirstBoot", "ImagePath"),
          "the service of the first boot runs the script")
    text = (slipway / script).read_bytes()
    check(phonywin.MAC.encode() in text and phonywin.ADDRESS.encode() in text,
          "the address is in the script, by MAC address")
    check(b"\r\n" in text and text.count(b"\n") == text.count(b"\r\n"), "lines end as in Windows")
    check((slipway / "drivers/netkvm.inf").exists(), "the packages are at hand")
    check(not list(slipway.rglob("*.pdb")), "no debugging symbols")


def check_rights(volume):
    """An ACL that interprets as 0755: no right to write but for administrators and the system."""
    for name in ("Slipway", "Slipway/drivers", "Slipway/firstboot.cmd",
                 "Slipway/drivers/netkvm.sys"):
        path = ("WINDOWS/" if version == "2k3" else "Windows/") + name
        output = run("ntfssecaudit", "-v", volume, path, quiet=True)
        check("mode 0755" in output, f"{path} may be changed by anybody: {output}")


# By what Windows reads first: a table of PCI devices, or its database of drivers.
OLD = [(CS + r"Control\CriticalDeviceDatabase\PCI#VEN_1AF4&DEV_1001&REV_00", "Service", "viostor")]
NEW = [(r"DriverDatabase\DeviceIds\PCI\VEN_1AF4&DEV_1042&REV_01", "slipway-viostor.inf",
        b"\x01\xff\0\0")]
for version, source, system, script, driver in (
        ("2k3", tree, OLD, "network.vbs", "viostor for 2k3/x86, sys\n"),
        ("2k19", iso, NEW, "network.ps1", "viostor for w10/amd64, sys\n")):
    disk, sock, volume = work / "disk.raw", work / f"{version}.sock", work / "volume"
    phonywin.windows(disk, version)
    server = start("nbdkit", "-f", "-U", sock, "file", disk)
    wait_until(sock.exists, "nbdkit's socket")
    result = morph(sock, "--virtio-win", source)
    check(result["changed"] and result["os"]["family"] == "windows", "the guest was changed")
    check(result["guest_agent"], "the agent that will answer is announced")
    check(result["hints"]["disk_bus"] == "virtio", f"the disk may be virtio: {result['hints']}")
    check(not any(n["warning"] for n in result["notes"]), f"no warnings: {result['notes']}")
    after = digest(disk)
    phonywin.volume_of(disk, volume)
    with phonywin.Mounted(volume, work / "mount", "-o", "ro") as mounted:
        check_files(mounted, system, script, driver)
    check_rights(volume)
    again = morph(sock, "--virtio-win", source)
    check(again["changes"] == [] and not again["changed"], "a second run has nothing to do")
    check(again["hints"] == result["hints"], "and it gives the same hints")
    check(digest(disk) == after, "a second run wrote to the disk")
    stop(server)
    disk.unlink()
    volume.unlink()

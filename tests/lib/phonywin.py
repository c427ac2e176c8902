# SPDX-License-Identifier: Apache-2.0
"""Disks that look like Windows guests of VMware, for slipway-morph; nothing on them could boot.

    phonywin.windows(work / "disk.raw", "2k19")
    phonywin.drivers(work / "virtio-win")

Versions: 2k3 (x86), w7, w10, 2k19, w11.  Properties: hibernated, bitlocker, marked (for a check),
damaged (its registry).  sda1 is a small boot partition, sda2 has Windows with VMware Tools and a
vmxnet3 card with a static address.  Needs root, ntfs-3g and FUSE."""

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import hivefile

BOOT_MIB, ROOT_MIB = 8, 256
MAC, ADDRESS = "00:50:56:8a:5e:c3", "10.20.0.7"
GUID = "{AAAAAAAA-0000-0000-0000-000000000001}"
NET = "{4D36E972-E325-11CE-BFC1-08002BE10318}"

# product, version, build, ProductType, architecture, osinfo's directory of drivers
VERSIONS = {
    "2k3": ("Microsoft Windows Server 2003 R2", "5.2", "3790", "ServerNT", "x86"),
    "w7": ("Windows 7 Professional", "6.1", "7601", "WinNT", "AMD64"),
    "w10": ("Windows 10 Pro", "6.3", "19045", "WinNT", "AMD64"),
    "2k19": ("Windows Server 2019 Standard", "6.3", "17763", "ServerNT", "AMD64"),
    "w11": ("Windows 10 Pro", "6.3", "22631", "WinNT", "AMD64"),
}


def software(version):
    product, number, build, kind, _ = VERSIONS[version]
    nt = {"ProductName": product, "CurrentVersion": number, "CurrentBuild": build,
          "CurrentBuildNumber": build, "EditionID": "Phony", "SystemRoot": r"C:\Windows",
          "InstallationType": "Server" if kind == "ServerNT" else "Client"}
    if int(build) > 9600:
        nt |= {"CurrentMajorVersionNumber": 10, "CurrentMinorVersionNumber": 0}
    uninstall = r"Microsoft\Windows\CurrentVersion\Uninstall\{11111111-2222-3333-4444-555555555555}"
    return {r"Microsoft\Windows NT\CurrentVersion": nt,
            r"Microsoft\Windows\CurrentVersion": {"ProgramFilesDir": r"C:\Program Files",
                                                  "DevicePath": ("expand", r"%SystemRoot%\inf")},
            r"Microsoft\Windows\CurrentVersion\RunOnce": {},
            uninstall: {"DisplayName": "VMware Tools", "DisplayVersion": "12.1.0",
                        "UninstallString":
                            "MsiExec.exe /I{11111111-2222-3333-4444-555555555555}"},
            "Policies": {}}


def system(version):
    _, number, build, kind, arch = VERSIONS[version]
    cs = "ControlSet001\\"
    tail = MAC.replace(":", "").upper()
    instance = rf"PCI\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\{tail[:6]}FFFF{tail[6:]}00"
    keys = {
        "Select": {"Current": 1, "Default": 1, "Failed": 0, "LastKnownGood": 1},
        "MountedDevices": {r"\DosDevices\C:": struct.pack("<IQ", 0xabcd1234,
                                                          (BOOT_MIB + 1) << 20)},
        cs + r"Control\ProductOptions": {"ProductType": kind},
        cs + r"Control\Session Manager\Environment": {"PROCESSOR_ARCHITECTURE": arch},
        cs + r"Control\CriticalDeviceDatabase": {},
        cs + r"Control\ComputerName\ComputerName": {"ComputerName": "PHONY"},
        cs + rf"Control\Class\{NET}\0001": {"NetCfgInstanceId": GUID, "Characteristics": 0x84,
                                            "DeviceInstanceID": instance},
        cs + rf"Control\Network\{NET}\{GUID}\Connection": {"Name": "Ethernet0"},
        cs + r"Enum": {},
        cs + r"Services\VMTools": {"Start": 2},
        cs + r"Services\Tcpip\Parameters": {"Hostname": "phony"},
        cs + rf"Services\Tcpip\Parameters\Interfaces\{GUID}": {
            "EnableDHCP": 0, "IPAddress": [ADDRESS], "SubnetMask": ["255.255.252.0"],
            "DefaultGateway": ["10.20.0.1"], "NameServer": "10.20.0.53,10.20.0.54"},
    }
    if int(build) > 9000:
        keys[r"DriverDatabase\DriverPackages"] = {}
    return keys


def program(version):
    """The smallest program header that file(1) and libguestfs tell the machine from."""
    wide = VERSIONS[version][4] != "x86"
    header = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0"
    header += struct.pack("<HHIIIHH", 0x8664 if wide else 0x14c, 1, 0, 0, 0, 0xf0, 0x22)
    header += struct.pack("<H", 0x20b if wide else 0x10b).ljust(68, b"\0") + struct.pack("<H", 3)
    return header + bytes(600)


def fill(root, version, properties):
    """The files of C:, below the mount point `root`."""
    directory = root / ("WINDOWS" if version == "2k3" else "Windows")
    system32 = directory / "System32"
    for name in ("config", "drivers", "DriverStore/FileRepository"):
        (system32 / name).mkdir(parents=True)
    for name in ("inf", "Temp", "SysWOW64"):
        (directory / name).mkdir()
    for name in ("Program Files", "Program Files (x86)", "Users/Public", "ProgramData"):
        (root / name).mkdir(parents=True)
    hivefile.write(system32 / "config/SOFTWARE", software(version))
    hivefile.write(system32 / "config/SYSTEM", system(version))
    if "damaged" in properties:
        with open(system32 / "config/SYSTEM", "r+b") as file:
            file.seek(4096)
            file.write(b"gone")
    for path in (system32 / "cmd.exe", system32 / "ntoskrnl.exe", directory / "explorer.exe"):
        path.write_bytes(program(version))
    if "hibernated" in properties:
        (root / "hiberfil.sys").write_bytes(b"hibr".ljust(65536, b"\0"))


def mark_for_check(volume):
    """Sets the flag in the record of $Volume, and in its copy, that makes Windows run chkdsk."""
    with open(volume, "r+b") as file:
        boot = file.read(512)
        cluster = struct.unpack_from("<H", boot, 11)[0] * boot[13]
        for first in struct.unpack_from("<QQ", boot, 48):
            record = first * cluster + 3 * (1 << (256 - boot[64]))
            file.seek(record)
            data = file.read(1024)
            at = struct.unpack_from("<H", data, 20)[0]
            while struct.unpack_from("<I", data, at)[0] != 0x70:
                at += struct.unpack_from("<I", data, at + 4)[0]
            value = struct.unpack_from("<H", data, at + 20)[0]
            file.seek(record + at + value + 10)
            file.write(b"\x01")


def make_volume(path, mib, start, label):
    with open(path, "wb") as file:
        file.truncate(mib << 20)
    subprocess.run(["mkntfs", "-q", "-F", "-Q", "-s", "512", "-p", str(start), "-H", "255", "-S",
                    "63", "-L", label, path], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Mounted:
    """with Mounted(volume, directory) as root: the files of an NTFS volume."""

    def __init__(self, volume, directory, *options):
        self.words = ["ntfs-3g", *options, volume, directory]
        self.directory = directory

    def __enter__(self):
        self.directory.mkdir(exist_ok=True)
        subprocess.run(self.words, check=True)
        return self.directory

    def __exit__(self, *_):
        subprocess.run(["umount", self.directory], check=True)


def windows(out, version, *properties):
    """Writes the raw disk `out`."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    work = Path(tempfile.mkdtemp(prefix="phonywin-"))
    try:
        boot, root = work / "boot", work / "root"
        make_volume(boot, BOOT_MIB, 2048, "System Reserved")
        make_volume(root, ROOT_MIB, (BOOT_MIB + 1) * 2048, "Windows")
        with Mounted(boot, work / "mount") as mounted:
            (mounted / "bootmgr").write_text("phony")
        with Mounted(root, work / "mount") as mounted:
            fill(mounted, version, properties)
        if "marked" in properties:
            mark_for_check(root)
        if "bitlocker" in properties:
            with open(root, "r+b") as file:
                file.seek(3)
                file.write(b"-FVE-FS-")
        with open(out, "wb") as file:
            file.truncate((BOOT_MIB + ROOT_MIB + 2) << 20)
        subprocess.run(["sfdisk", "-q", out], check=True, text=True,
                       input="label: dos\nlabel-id: 0xabcd1234\n"
                             f"start=1MiB, size={BOOT_MIB}MiB, type=7, bootable\n"
                             f"start={BOOT_MIB + 1}MiB, size={ROOT_MIB}MiB, type=7\n")
        for part, start in ((boot, 1), (root, BOOT_MIB + 1)):
            subprocess.run(["dd", f"if={part}", f"of={out}", "bs=1M", f"seek={start}",
                            "conv=notrunc,sparse", "status=none"], check=True)
    finally:
        shutil.rmtree(work)


def volume_of(disk, out):
    """Copies C: of a disk into a file of its own."""
    subprocess.run(["dd", f"if={disk}", f"of={out}", "bs=1M", f"skip={BOOT_MIB + 1}",
                    f"count={ROOT_MIB}", "conv=sparse", "status=none"], check=True)


def drivers(out):
    """A virtio-win tree as on the ISO, where systems share files."""
    for driver, name in (("viostor", "viostor"), ("vioscsi", "vioscsi"), ("NetKVM", "netkvm"),
                         ("Balloon", "balloon"), ("vioserial", "vioser")):
        for place in ("2k3/x86", "w7/amd64", "w10/amd64", "w10/x86", "2k19/amd64", "w11/amd64"):
            directory = out / driver / place
            directory.mkdir(parents=True)
            for ending in ("sys", "inf", "cat", "pdb"):
                first = out / driver / "w10/amd64" / f"{name}.{ending}"
                if place in ("2k19/amd64", "w11/amd64"):
                    os.link(first, directory / f"{name}.{ending}")
                else:
                    (directory / f"{name}.{ending}").write_text(f"{name} for {place}, {ending}\n")
    agent = out / "guest-agent"
    agent.mkdir()
    for arch in ("x86_64", "i386"):
        (agent / f"qemu-ga-{arch}.msi").write_text(f"agent for {arch}\n")


def iso(out, tree):
    subprocess.run(["genisoimage", "-quiet", "-J", "-r", "-cache-inodes", "-o", out, tree],
                   check=True, stderr=subprocess.DEVNULL)

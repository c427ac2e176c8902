#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The files of Linux guests of many families, as far as slipway-morph looks at them.

    family = phonylinux.FAMILIES["rocky9"]
    phonylinux.make(family, work / "root")                 a folder; make_again() for idempotence
    result = phonylinux.morph(family, work / "root", "--nic", "52:54:00:00:00:01=ens192")

Configuration files are written as the installers of that family write them; kernels and modules are
phony, initramfs files are small real ones.  tests/lib/phonyfamilies.py has the families.
"""

import json
import gzip
import lzma
import os
import subprocess
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import phonyinitramfs
from case import build, run

ROOT_UUID = "7d1b3f1e-3c5b-4a56-9c0e-2b7a9b2a1c01"
BOOT_UUID = "0f4d2d0a-8a68-4f50-8c7e-51c0fd2d1c02"
SWAP_UUID = "5f2f1f64-0be0-4fd5-a8d9-7e1d2c6b1c03"
HOME_UUID = "c2a4be38-6d5f-4d6a-8f0d-3a9de0cb1c04"
ESP_UUID = "2C1B-4A05"
MAC = "52:54:00:00:00:01"

# name → (directory, what it needs)
DRIVERS = {
    "virtio": ("drivers/virtio", []), "virtio_ring": ("drivers/virtio", ["virtio"]),
    "virtio_pci": ("drivers/virtio", ["virtio_ring", "virtio"]),
    "virtio_blk": ("drivers/block", ["virtio_ring", "virtio"]),
    "virtio_scsi": ("drivers/scsi", ["virtio_ring", "virtio"]),
    "virtio_net": ("drivers/net", ["virtio_ring", "virtio"]),
    "virtio_balloon": ("drivers/virtio", ["virtio_ring", "virtio"]),
    "virtio_console": ("drivers/char", ["virtio_ring", "virtio"]),
    "sd_mod": ("drivers/scsi", []), "ahci": ("drivers/ata", []), "ext4": ("fs/ext4", []),
    "xfs": ("fs/xfs", []), "btrfs": ("fs/btrfs", []), "vmw_pvscsi": ("drivers/scsi", []),
    "mptspi": ("drivers/message/fusion", []), "vmxnet3": ("drivers/net/vmxnet3", []),
}


@dataclass
class Family:
    name: str
    os_release: str
    kernel: str                 # version
    image: str                  # path of the kernel
    initramfs: str              # path
    layout: str                 # of phonyinitramfs
    compression: str
    files: dict                 # path → text, bytes, or (text, mode)
    links: dict = field(default_factory=dict)
    suffix: str = ".ko"         # of modules
    builtin: tuple = ()         # drivers in the kernel itself
    inside: tuple = ("ext4", "vmw_pvscsi", "ahci", "sd_mod")  # modules in the initramfs
    early: bool = False         # microcode before it
    filesystem: str = "ext4"    # of the root
    root: str = "/dev/sda2"
    lvm: bool = False
    uefi: bool = False
    directories: tuple = ()
    disks: int = 2              # the second one holds data


def module_bytes(name, suffix):
    text = f"phony {name}\n".encode()
    if suffix.endswith(".xz"):
        return lzma.compress(text, check=lzma.CHECK_CRC32)
    if suffix.endswith(".gz"):
        return gzip.compress(text, mtime=0)
    if suffix.endswith(".zst"):
        return phonyinitramfs.compress(text, "zstd")
    return text


def module_path(name, suffix):
    return f"kernel/{DRIVERS[name][0]}/{name}{suffix}"


def modules_dep(family, names):
    lines = []
    for name in names:
        needs = [n for n in DRIVERS[name][1] if n not in family.builtin]
        lines.append(module_path(name, family.suffix) + ":" +
                     "".join(" " + module_path(n, family.suffix) for n in needs))
    return "\n".join(lines) + "\n"


def _kernel_files(family):
    loadable = [name for name in DRIVERS if name not in family.builtin]
    below = f"lib/modules/{family.kernel}"
    files = {f"{below}/{module_path(n, family.suffix)}": module_bytes(n, family.suffix)
             for n in loadable}
    files[f"{below}/modules.dep"] = modules_dep(family, loadable)
    files[f"{below}/modules.builtin"] = "".join(module_path(n, ".ko") + "\n"
                                                for n in family.builtin)
    files[f"{below}/modules.alias"] = (
        "alias virtio:d00000002v* virtio_blk\nalias virtio:d00000001v* virtio_net\n"
        "alias virtio:d00000008v* virtio_scsi\nalias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n")
    files[family.image] = "not a kernel\n"
    inside = [n for n in family.inside if n in loadable]
    files[family.initramfs] = phonyinitramfs.pack(
        family.layout, family.kernel,
        {module_path(n, family.suffix): module_bytes(n, family.suffix) for n in inside},
        family.compression, family.early, modules_dep(family, inside))
    return files


def _write(tree, name, content):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = 0o644
    if isinstance(content, tuple):
        content, mode = content
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def make(family, tree):
    """Fills the folder `tree`, which must not be there yet."""
    tree = Path(tree)
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "home", "var/log", "var/lib",
                 *family.directories):
        (tree / name).mkdir(parents=True)
    (tree / "home" / "anna").mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(tree / "home" / "anna", 1000, 1000)
    merged = family.links.get("lib") == "usr/lib"
    for name, target in family.links.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if merged and target.startswith("usr/"):
            (tree / target).mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    _write(tree, "usr/lib/os-release" if merged else "etc/os-release", family.os_release)
    if merged:
        (tree / "etc").mkdir(exist_ok=True)
        (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
    for name, content in (_kernel_files(family) | family.files).items():
        _write(tree, name, content)


def volumes(family):
    """What libguestfs would tell of the disk, as morph-tree reads it."""
    root = {"device": family.root, "type": family.filesystem, "uuid": ROOT_UUID, "label": "root"}
    found = [{"device": "/dev/sda1", "disk": 0, "partition": 1, "type": "ext4",
              "uuid": BOOT_UUID, "label": "boot"}]
    if family.uefi:
        found[0] |= {"type": "vfat", "uuid": ESP_UUID, "label": "EFI"}
    if family.lvm:
        found.append({"device": "/dev/sda2", "disk": 0, "partition": 2, "type": "LVM2_member"})
        swap = family.root.rsplit("/", 1)[0] + "/swap"
        found += [root, {"device": swap, "type": "swap", "uuid": SWAP_UUID}]
    else:
        found += [root | {"disk": 0, "partition": 2},
                  {"device": "/dev/sda3", "disk": 0, "partition": 3, "type": "swap",
                   "uuid": SWAP_UUID}]
    if family.disks > 1:
        found.append({"device": "/dev/sdb1", "disk": 1, "partition": 1,
                      "type": family.filesystem,
                      "uuid": HOME_UUID, "label": "data"})
    return {"disks": family.disks, "volumes": found}


def morph(family, tree, *options, expect=0):
    """Runs the changes on the folder; the result as slipway-morph reports it."""
    tree = Path(tree)
    described = tree.with_name(tree.name + ".volumes.json")
    described.write_text(json.dumps(volumes(family)))
    output = run(build / "tests/tools/morph-tree", tree, described, *options, expect=expect,
                 quiet=True)
    return json.loads(output.splitlines()[-1]) if expect == 0 else output


def unpacked(path):
    """{name: bytes} of an initramfs, the later archive winning, as the kernel unpacks it."""
    data = Path(path).read_bytes()
    files = {}
    while data := data.lstrip(b"\0"):
        if data[:6] == b"070701":
            data = _read_archive(data, files)
            continue
        plain, data = _decompress(data)
        while plain := plain.lstrip(b"\0"):
            plain = _read_archive(plain, files)
    return files


def _decompress(data):
    if data[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(31)
        return unpack.decompress(data), unpack.unused_data
    if data[:6] == b"\xfd7zXZ\0":
        unpack = lzma.LZMADecompressor()
        return unpack.decompress(data), unpack.unused_data
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return _decompress_zstd(data)
    raise ValueError(f"unknown compression {data[:8]!r}")


def _decompress_zstd(data):
    """The zstd program does not say where a frame ends; a plain archive behind it is looked for."""
    end = data.find(b"070701")
    while True:
        frame = data if end < 0 else data[:end]
        result = subprocess.run(["zstd", "-q", "-d", "-c"], input=frame, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=False)
        if result.stdout[:6] == b"070701":
            return result.stdout, b"" if end < 0 else data[end:]
        if end < 0:
            raise ValueError("broken zstd")
        end = data.find(b"070701", end + 1)


def _read_archive(data, files):
    at = 0
    while True:
        numbers = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = data[at + 110:at + 110 + name_size - 1].decode()
        begin = (at + 110 + name_size + 3) & ~3
        at = (begin + size + 3) & ~3
        if name == "TRAILER!!!":
            return data[at:]
        if mode & 0o170000 == 0o100000:
            files[name] = data[begin:begin + size]


def remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def snapshot(tree):
    """{path: (kind, mode, owner, content)} of everything in the folder."""
    found = {}
    for directory, names, files in os.walk(tree):
        for name in names + files:
            path = Path(directory) / name
            st = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            else:
                content = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(tree))] = (st.st_mode, st.st_uid, st.st_gid, content)
    return found

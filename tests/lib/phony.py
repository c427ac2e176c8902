#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that looks like a Debian guest, for slipway-morph.

    phony.debian(work / "disk.raw", "full")

It has the files that slipway-morph reads and nothing that could boot, takes a second to make and
few MiB of room.  sda1 is the root filesystem, sda2 swap.  Properties:
  other-system   os-release of another distribution
  hibernated     swap holds a memory image
  errors         the root filesystem is marked as having errors
  full           no room in the root filesystem
  full-inodes    room, but no inodes
  broken-loader  GRUB's first stage, and nothing where it goes on
  no-entries     GRUB's configuration has no entry
"""

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSION = "6.1.0-9-amd64"
ROOT_MIB, SWAP_MIB, INODES = 64, 8, 1024
MODULES = {"virtio": "", "virtio_pci": "virtio", "virtio_blk": "virtio", "virtio_net": "virtio",
           "virtio_scsi": "virtio", "sd_mod": "", "ext4": ""}

FILES = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian, phony"\n',
    "etc/debian_version": "12.0\n",
    "etc/hostname": "phony\n",
    "etc/fstab": "/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n",
    "etc/initramfs-tools/initramfs.conf": "MODULES=dep\n",
    "etc/initramfs-tools/modules": "# List of modules\n",
    "etc/network/interfaces": "iface lo inet loopback\niface ens192 inet static\n",
    "etc/systemd/system/keep": "",
    "boot/grub/grub.cfg": "linux /boot/vmlinuz root=/dev/sda1 ro console=ttyS0,115200\n",
    f"boot/vmlinuz-{VERSION}": "not a kernel\n",
    "lib/systemd/system/open-vm-tools.service": "[Unit]\n",
    f"lib/modules/{VERSION}/modules.builtin": "",
    f"lib/modules/{VERSION}/modules.alias": "alias virtio:d00000002v* virtio_blk\n",
    f"lib/modules/{VERSION}/modules.dep": "".join(
        f"kernel/{name}.ko:{' kernel/' + needs + '.ko' if needs else ''}\n"
        for name, needs in MODULES.items()),
} | {f"lib/modules/{VERSION}/kernel/{name}.ko": f"phony {name}\n" for name in MODULES}


def make_tree(tree, properties):
    files = dict(FILES)
    if "other-system" in properties:
        files["etc/os-release"] = 'ID=slackware\nPRETTY_NAME="Slackware 15.0"\n'
    if "no-entries" in properties:
        files["boot/grub/grub.cfg"] = "# the disk was full when this was written\n"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "open-vm-tools.service").symlink_to("/lib/systemd/system/open-vm-tools.service")
    if "full" in properties:
        (tree / "var").mkdir()
        (tree / "var/ballast").write_bytes(os.urandom((ROOT_MIB - 16) << 20))


def make_initramfs(tree, work):
    """Debian's shape: a gzip'ed archive with scripts, one module, and where udev keeps names."""
    content = work / "initramfs"
    for name in ("scripts", "conf", "usr/lib/systemd/network", f"usr/lib/modules/{VERSION}/kernel"):
        (content / name).mkdir(parents=True)
    (content / "scripts/functions").write_text("# phony\n")
    (content / "conf/modules").write_text("ext4\n")
    (content / f"usr/lib/modules/{VERSION}/kernel/ext4.ko").write_text("phony ext4\n")
    names = "\n".join(str(p.relative_to(content)) for p in sorted(content.rglob("*")))
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=names.encode(),
                             stdout=subprocess.PIPE, cwd=content, check=True).stdout
    (tree / f"boot/initrd.img-{VERSION}").write_bytes(gzip.compress(archive))


def use_inodes_up(tree):
    """Leaves a few; ext4 keeps eleven for itself."""
    ballast = tree / "var/ballast"
    ballast.mkdir(parents=True)
    for number in range(INODES - 11 - sum(1 for _ in tree.rglob("*")) - 8):
        (ballast / str(number)).touch()


def write_boot_code(out, broken):
    """What is known of GRUB's first stage: its text, and the sector where it goes on."""
    with open(out, "r+b") as file:
        file.write(b"\xeb\x63\x90")
        file.seek(0x5c)
        file.write(b"\1")
        file.seek(0x180)
        file.write(b"GRUB \0Geom\0Hard Disk\0Read\0 Error\r\n")
        if not broken:
            file.seek(512)
            file.write(b"the rest of a boot loader")


def make_disk(out, tree, work, properties):
    root, swap = work / "root", work / "swap"
    if "full-inodes" in properties:
        use_inodes_up(tree)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "root", "-m", "0", "-N", str(INODES),
                    "-d", tree, root, f"{ROOT_MIB}M"], check=True)
    if "errors" in properties:
        subprocess.run(["debugfs", "-w", "-R", "ssv state 3", root], check=True,
                       stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    swap.write_bytes(b"")
    os.truncate(swap, SWAP_MIB << 20)
    subprocess.run(["mkswap", "-q", swap], check=True, stderr=subprocess.DEVNULL)
    if "hibernated" in properties:
        with open(swap, "r+b") as file:
            file.seek(4096 - 10)
            file.write(b"S1SUSPEND\0")
    with open(out, "wb") as file:
        file.truncate((ROOT_MIB + SWAP_MIB + 2) << 20)
    subprocess.run(["sfdisk", "-q", out], check=True, text=True,
                   input=f"label: dos\nstart=1MiB, size={ROOT_MIB}MiB, type=83\n"
                         f"start={ROOT_MIB + 1}MiB, size={SWAP_MIB}MiB, type=82\n")
    write_boot_code(out, broken="broken-loader" in properties)
    for part, start in ((root, 1), (swap, ROOT_MIB + 1)):
        subprocess.run(["dd", f"if={part}", f"of={out}", "bs=1M", f"seek={start}",
                        "conv=notrunc,sparse", "status=none"], check=True)


def debian(out, *properties):
    """Writes the raw disk `out`."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    work = Path(tempfile.mkdtemp(prefix="phony-"))
    try:
        make_tree(work / "tree", properties)
        make_initramfs(work / "tree", work)
        make_disk(out, work / "tree", work, properties)
    finally:
        shutil.rmtree(work)

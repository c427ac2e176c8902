# SPDX-License-Identifier: Apache-2.0
"""Disks with the phony guest of phony.py in less simple places.

    with phonystorage.guest("/dev/sda1 / xfs defaults 0 0\\n") as tree:
        phonystorage.xfs(work / "root", tree)
    phonystorage.disk(work / "disk.raw", work / "root")
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import phony

os.environ["PATH"] += ":/usr/sbin:/sbin"
MIB = 1 << 20
LVM = ("devices { filter=[\"a|%s|\",\"r|.*|\"] use_devicesfile=0 } "
       "activation { udev_sync=0 udev_rules=0 } backup { backup=0 archive=0 }")


def command(*words, **options):
    result = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
                            **options)
    assert result.returncode == 0, f"{words[0]} ended with {result.returncode}: {result.stdout}"
    return result.stdout


@contextlib.contextmanager
def guest(fstab, name="Debian, phony"):
    """A tree of files; /etc/fstab and the system's name as given."""
    work = Path(tempfile.mkdtemp(prefix="phony-"))
    try:
        tree = work / "tree"
        phony.make_tree(tree, ())
        phony.make_initramfs(tree, work)
        (tree / "etc/fstab").write_text(fstab)
        (tree / "etc/os-release").write_text(f'ID=debian\nPRETTY_NAME="{name}"\n')
        yield tree
    finally:
        shutil.rmtree(work)


def ext4(image, tree, label="root", mib=64):
    command("mkfs.ext4", "-q", "-F", "-L", label, "-m", "0", "-d", tree, image, f"{mib}M")


def made_by_kernel(image, kind, tree, mib, late=None):
    """ext4, xfs or btrfs with this tree.  late: the name of a file that was written last, before
    the power was cut, and of which only the log knows; without it all is in order."""
    source = Path(str(image) + ".mounted")
    with open(source, "wb") as file:
        file.truncate(mib * MIB)
    command(f"mkfs.{kind}", "-q", "-F" if kind == "ext4" else "-f", source)
    # In a mount namespace of its own, so that nothing stays mounted however this ends.
    command("unshare", "--mount", "bash", "-ec", """
        mkdir "$1.top"
        mount -o loop "$1" "$1.top"
        cp -a "$2/." "$1.top/"
        sync -f "$1.top"
        if [[ $4 ]]; then
            echo late >"$1.top/$4"
            sync "$1.top/$4"
            cp --sparse=always "$1" "$3"
        fi
        umount "$1.top"
        [[ $4 ]] || cp --sparse=always "$1" "$3"
        rmdir "$1.top" """, "bash", source, tree, image, late or "")
    source.unlink()


def read_back(image, name):
    """A file of a filesystem, as text, and the filesystem's own check."""
    checks = {"ext4": ["e2fsck", "-fn"], "xfs": ["xfs_repair", "-n"],
              "btrfs": ["btrfs", "check", "--readonly"]}
    kind = command("blkid", "-p", "-o", "value", "-s", "TYPE", image).strip()
    command(*checks[kind], image)
    return command("unshare", "--mount", "bash", "-ec", """
        mkdir -p "$1.top"
        mount -o loop,ro "$1" "$1.top"
        cat "$1.top/$2" """, "bash", image, name)


def volume_group(image, name, filesystem, mib, permission="rw"):
    """A physical volume whose only logical volume is root, which gets the filesystem."""
    with open(image, "wb") as file:
        file.truncate((mib + 8) * MIB)
    loop = command("losetup", "-f", "--show", image).strip()
    try:
        for words in (["pvcreate", loop], ["vgcreate", name, loop],
                      ["lvcreate", "-an", "-Zn", "-Wn", "--permission", permission, "-L",
                       f"{mib}m", "-n", "root", name]):
            command("lvm", words[0], "-q", "--driverloaded", "n", "--config", LVM % loop,
                    *words[1:])
    finally:
        command("losetup", "-d", loop)
    command("dd", f"if={filesystem}", f"of={image}", "bs=1M", "seek=1", "conv=notrunc,sparse")


def encrypt(image, key):
    """LUKS2 around what the image holds; it grows by 16 MiB."""
    with open(image, "r+b") as file:
        file.truncate(image.stat().st_size + 16 * MIB)
    command("cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "--batch-mode",
            "--reduce-device-size", "16M", "--force-offline-reencrypt", "--pbkdf", "argon2id",
            "--pbkdf-memory", "65536", "--pbkdf-force-iterations", "4", "--key-file", key, image)


def disk(out, *partitions):
    """A raw disk of these images, one partition after the other."""
    at, table = 1, "label: dos\n"
    places = []
    for image in partitions:
        mib = -(-image.stat().st_size // MIB)
        table += f"start={at}MiB, size={mib}MiB, type=83\n"
        places.append((image, at))
        at += mib
    with open(out, "wb") as file:
        file.truncate((at + 1) * MIB)
    subprocess.run(["sfdisk", "-q", out], check=True, text=True, input=table)
    phony.write_boot_code(out, broken=False)
    for image, start in places:
        command("dd", f"if={image}", f"of={out}", "bs=1M", f"seek={start}", "conv=notrunc,sparse")


def partition(disk_image, out, number):
    """Copies one partition back out."""
    line = command("sfdisk", "-d", disk_image).splitlines()
    start, size = [[int(word.split("=")[1]) for word in entry.partition(":")[2].split(",")[:2]]
                   for entry in line if entry.startswith(str(disk_image))][number - 1]
    command("dd", f"if={disk_image}", f"of={out}", "bs=512", f"skip={start}", f"count={size}",
            "conv=sparse")

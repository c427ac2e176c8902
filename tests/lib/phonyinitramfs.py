#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Small real initramfs files in the layouts of four makers, for phony guests.

    pack("dracut", "5.14.0-1.el9.x86_64", {"ext4": ".ko.xz"}, "gzip", early=True)

They have the files by which a layout is known, the modules asked for, and nothing that boots.
"""

import gzip
import lzma
import subprocess


def cpio(files):
    """A newc archive of {name: text or bytes; None: a directory; ("link", target)}."""
    out = bytearray()
    names = set()
    for name in files:
        parts = name.split("/")
        names |= {"/".join(parts[:i]) for i in range(1, len(parts))}
    everything = {name: None for name in names} | files
    for number, name in enumerate(sorted(everything), 1):
        content = everything[name]
        mode = 0o100644
        if content is None:
            mode, content = 0o40755, b""
        elif isinstance(content, tuple):
            mode, content = 0o120777, content[1]
        if isinstance(content, str):
            content = content.encode()
        _entry(out, name, number, mode, content)
    _entry(out, "TRAILER!!!", 0, 0, b"")
    out += bytes(-len(out) % 512)
    return bytes(out)


def _entry(out, name, inode, mode, content):
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    out += b"070701" + b"".join(b"%08X" % n for n in numbers) + name.encode() + b"\0"
    out += bytes(-len(out) % 4)
    out += content
    out += bytes(-len(out) % 4)


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data)
    if how == "xz":
        return lzma.compress(data, check=lzma.CHECK_CRC32)
    if how in ("zstd", "lz4"):
        argv = {"zstd": ["zstd", "-q", "-c"], "lz4": ["lz4", "-q", "-l", "-c"]}[how]
        return subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def _initramfs_tools(version):
    return {"scripts/functions": "# phony\n", "scripts/local": "# phony\n", "init": "#!/bin/sh\n",
            "conf/modules": "ext4\n", "conf/initramfs.conf": "MODULES=dep\n",
            "conf/conf.d/resume": "RESUME=/dev/sda2\n", "usr/lib/systemd/network": None,
            "lib": ("link", "usr/lib"), "usr/bin/udevadm": "elf"}


def _dracut(version):
    return {"init": ("link", "usr/lib/systemd/systemd"), "lib": ("link", "usr/lib"),
            "usr/lib/dracut/build-parameter.txt": " --kver '%s' --hostonly\n" % version,
            "usr/lib/dracut/hooks/cmdline/30-parse-lvm.sh": "#!/bin/sh\n",
            "usr/lib/dracut/modules.txt": "bash\nsystemd\nkernel-modules\nrootfs-block\n",
            "usr/lib/dracut/hostonly-files": "", "usr/lib/systemd/network": None,
            "etc/initrd-release": 'NAME="phony"\nID=phony\n', "etc/cmdline.d": None,
            "usr/bin/udevadm": "elf"}


def _dracut_old(version):
    """Of RHEL 6: dracut 004, without systemd."""
    return {"init": "#!/bin/sh\n", "dracut-004-409.el6": "", "lib/dracut-lib.sh": "# phony\n",
            "pre-trigger/01local": "#!/bin/sh\n",
            "cmdline/30parse-lvm.sh": "#!/bin/sh\n", "etc/cmdline": "", "sbin/udevd": "elf",
            "sbin/modprobe": "elf"}


def _mkinitcpio(version):
    return {"init": "#!/usr/bin/ash\n", "init_functions": "# phony\n", "lib": ("link", "usr/lib"),
            "buildconfig": "MODULES=()\nHOOKS=(base udev autodetect modconf block filesystems)\n",
            "config": 'EARLYHOOKS="udev"\nHOOKS="udev"\nMODULES=""\n', "VERSION": "37\n",
            "hooks/udev": "#!/usr/bin/ash\n", "usr/bin/kmod": "elf", "usr/bin/udevadm": "elf",
            "usr/lib/systemd/network": None}


def _mkinitfs(version):
    return {"init": "#!/bin/sh\n# this is the init script version 3.9.0\n",
            "bin/busybox": "elf", "sbin/nlplug-findfs": "elf", "etc/modules": "",
            "etc/mdev.conf": "", "etc/modprobe.d/aliases.conf": "", "newroot": None}


# Layout → its own files, where its modules are.
LAYOUTS = {"initramfs-tools": (_initramfs_tools, "usr/lib/modules"),
           "dracut": (_dracut, "usr/lib/modules"), "dracut-old": (_dracut_old, "lib/modules"),
           "mkinitcpio": (_mkinitcpio, "usr/lib/modules"), "mkinitfs": (_mkinitfs, "lib/modules")}


def pack(layout, version, modules, how, early=False, depends=""):
    """modules: {path below the version's directory: bytes}; depends: text of modules.dep."""
    make, directory = LAYOUTS[layout]
    files = make(version)
    below = f"{directory}/{version}"
    files |= {f"{below}/{path}": data for path, data in modules.items()}
    files[f"{below}/modules.dep"] = depends
    ahead = b""
    if early:
        ahead = cpio({"early_cpio": "1\n",
                      "kernel/x86/microcode/GenuineIntel.bin": b"microcode" * 100})
    return ahead + compress(cpio(files), how)

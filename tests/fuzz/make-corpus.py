#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of the fuzz targets: make-corpus.py BUILD.  They are small and stay in
the tree; run it again when a format changes."""

import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import netseeds

sys.path.append(str(Path(__file__).parents[1] / "lib"))
import hivefile

CORPUS = Path(__file__).parent / "corpus"
PAGE = 4096

PLANS = {
    "small": "plan: p\nsource: s\nnetworks: {lan: lan}\nvms: [{name: web1}]\n",
    "all": "plan: p\nsource: s\nnetworks: {lan: none}\nvms:\n- match: '*'\n  except: web2\n",
    "where": "plan: p\nsource: s\nnetworks: {lan: x}\nvms:\n"
             "- where: {state: off, vcpus: ['>= 1', '< 8'], memory_bytes: '<= 2G', os: 'deb*'}\n",
    "order": "plan: p\nsource: s\nnetworks: {lan: x}\ngroups: {g: {priority: 1}}\nvms:\n"
             "- {name: web1, group: g, after: db 1}\n- {name: db 1, target_name: d}\n",
    "circle": "plan: p\nsource: s\nnetworks: {lan: x}\nvms:\n- {name: web1, after: web2}\n"
              "- {name: web2, after: web1}\n",
    "alias": "plan: p\nsource: s\ndefaults: &d {priority: 1}\ngroups: {a: *d, b: *d}\n"
             "networks: {lan: x}\nvms:\n- {match: [web1, 'd*'], group: a}\n",
    "bomb": "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
    "quotes": "plan: \"\\x70\"\nsource: 's'\nvms: |\n  x\n--- >\n y\n",
    "storage": "plan: p\nsource: s\nnetworks: {lan: x}\nstorage: {/a: /b, /a/b: /c, vda: /d}\n"
               "vms: [{match: '*', storage: {sda: /e}, windows: ['mon-fri 22:00-05:00'],\n"
               " cutover: 2026-12-01T22:00:00Z, sync_interval: 'cron: 0 4 * * *'}]\n",
}

CALENDAR = {
    "window": "mon-fri 22:00-05:00", "days": "fri-mon,wed 1:05-24:00 UTC", "each": "02:00-02:30",
    "cron": "5/20 1-4,7 * jan,3-may mon-fri UTC", "leap": "0 0 29 2 *", "date":
    "2026-11-21T23:00:00.5+01:00", "length": "366d", "rhythm": "cron: */15 * * * *",
}

REQUESTS = {
    "status": ['{"verb": "status"}', '{"id": 1, "verb": "cancel"}', '{"verb": "stop"}'],
    "sync": ['{"verb": "sync", "args": {"disks": [{"name": "sda", "uri": "mem:0/0"}, '
             '{"name": "sdb", "uri": "mem:0/1"}], "snapshot": "a"}}',
             '{"verb": "sync", "args": {"disks": [{"name": "sda", "uri": "mem:1/0", "bitmap": '
             '"since:0"}, {"name": "sdb", "uri": "mem:1/1", "bitmap": "since:0"}], '
             '"snapshot": "b", "connections": 1}}',
             '{"verb": "flip", "args": {"grace_s": 0}}', '{"verb": "detach"}'],
    "compare": ['{"verb": "sync", "args": {"disks": [{"name": "sda", "uri": "mem:0/0"}, '
                '{"name": "sdb", "uri": "mem:0/1"}]}}',
                '{"verb": "sync", "args": {"compare": true, "disks": [{"name": "sdb", "uri": '
                '"mem:1/1"}, {"name": "sda", "uri": "mem:1/0"}]}}'],
    "draft": ['{"verb": "sync", "args": {"disks": [{"name": "sda", "uri": "mem:0/0"}, '
              '{"name": "sdb", "uri": "mem:0/1"}]}}',
              '{"verb": "draft-create", "args": {"name": "d"}}',
              '{"verb": "draft-seal", "args": {"name": "d"}}',
              '{"verb": "draft-drop", "args": {"name": "d"}}', '{"verb": "flip"}'],
    "wrong": ['{"verb": "sync", "args": {"disks": 5}}', '{"verb": 5}', '[]', 'x',
              '{"verb": "flip", "args": {"grace_s": "x"}}'],
}

VM = ('{"format": 1, "uuid": "00112233445566778899aabbccddeeff", "name": "vm", "disks": '
      '[{"name": "sda", "target": "/t/a", "size": 1024}, '
      '{"name": "sdb", "target": "/t/b", "size": 512}]}')


SOURCE = ('{"format": 1, "snapshot": "p1", "disks": [{"name": "sda", "uri": "nbd://a/x"}, '
          '{"name": "sdb", "uri": "nbd+unix:///x?socket=/s"}]}')

LIMITS = ('{"format": 1, "vm": {"source_bytes_s": 1000000}, "disks": '
          '{"sdb": {"target_iops": 5}}}')


def put(kind, name, data):
    folder = CORPUS / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def slot(kind, index, seq, epoch, payload):
    head = struct.pack("<IIQIHHQ", 0x47505753, 0, seq, index, kind, 0, epoch)
    return (head + payload).ljust(PAGE, b"\0")


def layer(phase, states):
    size = (4064 * 4 + 5) * 65536 - 512
    header = struct.pack("<QQBB6x64s", 1, size, phase, 0, b"point")
    return (b"\1" + bytes(PAGE) + slot(0x484C, 0, 1, 0, header) + bytes(PAGE) +
            slot(0x534C, 0, 1, 0, states))


def hydrating(root):
    """The superblock of a store after an instant flip, unsigned: one partial layer."""
    root = bytearray(root[PAGE:2 * PAGE])
    root[20] = 3                                    # owner-hydrating
    root[32:40] = struct.pack("<Q", 1)              # generation
    root[136:152] = bytes(range(16))                # nonce of the live files
    for disk in range(2):
        at = 256 + 128 * disk
        root[at + 8:at + 16] = struct.pack("<Q", 0)  # base generation
        root[at + 24:at + 32] = struct.pack("<Q", 2)  # map epoch
        root[at + 32] = 1                           # layers
        root[at + 56:at + 64] = struct.pack("<Q", 1)
    return bytes(root)


# The first byte chooses the kind of file: enum bootline_form.
BOOT_FILES = {
    "grub": b"\x07set default=\"${saved_entry}\"\nsubmenu 'a > b' --id s {\n"
            b"menuentry 'x' --id 'x-1' {\n"
            b"\tlinux /vmlinuz-1 root=/dev/sda1 ro resume=/dev/sda5 quiet\n"
            b"}\n}\n"
            b"set kernelopts=\"root=/dev/sda1 \"\n",
    "legacy": b"\x08default=1\n# kopt=root=/dev/hda1 ro\ntitle a\n kernel (hd0,0)/vmlinuz-1 "
              b"root=/dev/sda1 console=hvc0\ntitle b\n module /vmlinuz-1 root=/dev/sda2\n",
    "entry": b"\x09title x\nversion 1\nlinux /vmlinuz-1\noptions root=/dev/sda1 console=tty0\n",
    "extlinux": b"\x0aDEFAULT b\nLABEL a\n MENU DEFAULT\n LINUX vmlinuz-1\n APPEND root=/dev/sda1\n"
                b"label b\n kernel x\n append root=/dev/vda1 console=ttyS0\n",
    "env": b"\x0b" + (b"# GRUB Environment Block\nsaved_entry=0\nkernelopts=root=/dev/sda1 ro \n"
                      .ljust(1024, b"#")),
    "shell": b"\x0cGRUB_CMDLINE_LINUX_DEFAULT=\"quiet \\\" x\"\nGRUB_CMDLINE_LINUX='console=tty1 "
             b"cryptopts=source=/dev/sda2,x'\nroot=/dev/sda3\ndefault_kernel_opts=a\n",
    "words": b"\x0d# comment\ncryptdevice=/dev/sda2:root:opt root=/dev/mapper/root rw\nquiet\n",
    "fstab": b"\x0e/dev/sda1 / ext4 defaults,x=/dev/sdb1 0 1\r\n\t# c\n/dev/sdb1 /a\\040b",
    "lvm": b"\x0fdevices { filter = [ \"a|^/dev/sda2$|\", # x ]\n \"r|.*|\" ]\n}\n"
           b"global_filter=[\"a|sd",
}


def store(build):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([build / "engine" / "slipway-store", "create", f"{work}/s", "vm",
                        f"sda={work}/a:1048576", f"sdb={work}/b:66048"], check=True)
        return Path(work, "s", "super").read_bytes()


def cpio(*files):
    """A newc archive of (name, content); a name that ends with / is a directory."""
    out = b""
    for number, (name, content) in enumerate(files + (("TRAILER!!!", b""),)):
        mode = 0o40755 if name.endswith("/") else 0o100644
        name = name.rstrip("/").encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + content
        out += bytes(-len(out) % 4)
    return out


MODULES = "usr/lib/modules/6.1.0-9/"
INITRAMFS = {
    "initramfs-tools": [("scripts/functions", b"x"), ("conf/modules", b"ext4\n"),
                        ("lib/systemd/network/", b""), (MODULES + "kernel/ext4.ko", b"elf")],
    "dracut": [("usr/lib/dracut/x", b""), (MODULES + "kernel/ext4.ko.xz", b"elf"),
               (MODULES + "modules.dep", b"extra/x.ko: kernel/ext4.ko\n"),
               (MODULES + "modules.alias", b"alias a:b x\n")],
    "waits": [("lib/dracut/hooks/initqueue/finished/devexists-\\x2fdev\\x2fsda1.sh", b"x"),
              ("etc/systemd/system/dev-sda1.device.d/timeout.conf", b"[Unit]")],
    "dracut-old": [("lib/dracut-lib.sh", b""), ("pre-udev/", b"")],
    "mkinitcpio": [("buildconfig", b""), ("config", b'MODULES="ext4"\n'),
                   ("etc/modules-load.d/", b"")],
    "mkinitfs": [("sbin/nlplug-findfs", b""), ("etc/modules", b"af_packet")],
    "suse": [("run_all.sh", b"RESOLVED_INITRD_MODULES='a b'\n"), ("config/start.sh", b"x")],
    "nash": [("init", b"#!/bin/nash\nmkblkdevs\ninsmod /lib/a.ko\nlvm\n"), ("lib/a.ko", b"elf")],
    "unknown": [("init", b"elf")],
}


def lz4(data):
    """The kernel's legacy format, with one block that is stored as literals only."""
    assert len(data) >= 15
    extra = len(data) - 15
    block = b"\xf0" + b"\xff" * (extra // 255) + bytes([extra % 255]) + data
    return struct.pack("<II", 0x184C2102, len(block)) + block


def initramfs():
    for name, files in INITRAMFS.items():
        put("initramfs", name, cpio(*files))
        put("cpio", name, cpio(*files))
    early, later = cpio(("early_cpio", b"1")), cpio(*INITRAMFS["dracut"])
    for name, packed in (("gzip", gzip.compress(later, mtime=0)), ("xz", lzma.compress(later)),
                         ("lzma", lzma.compress(later, lzma.FORMAT_ALONE)),
                         ("bzip2", bz2.compress(later)), ("lz4", lz4(later))):
        put("initramfs", name, early + bytes(-len(early) % 512) + packed)
    put("initramfs", "padded", lz4(later) + bytes(8))
    put("modules", "some", b"kernel/a.ko: kernel/b.ko\nkernel/b.ko:\nkernel/virtio-blk.ko.xz:"
        b" kernel/b.ko\n\0alias pci:v1[a-c]* a\nalias x-y virtio_blk\n\0"
        b"softdep virtio-blk pre: a post: none\n")
    section = struct.pack("<8sIIII", b".initrd", 4, 4, 4, 0x90)
    put("unified", "one", (b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" +
                           struct.pack("<HHIIIHH", 0, 1, 0, 0, 0, 0, 0) +
                           section).ljust(0x90, b"\0") + b"0707")
    for name, text in (("array", "MODULES=(a\n b)\n"), ("quoted", "MODULES=\"\"\n"),
                       ("bare", "# MODULES=1\n MODULES=x\n"), ("open", "MODULES=('"),
                       ("none", "X=1")):
        put("wordlist", name, text.encode())


def windows():
    """A hive with a card, and the two sectors of a volume that wants to be checked."""
    card = r"ControlSet001\Control\Class\{4D36E972-E325-11CE-BFC1-08002BE10318}\0001"
    guid = "{AAAAAAAA-0000-0000-0000-000000000001}"
    tcp = rf"ControlSet001\Services\Tcpip\Parameters\Interfaces\{guid}"
    keys = {card: {"NetCfgInstanceId": guid, "NetworkAddress": "02-50-56-0A-0B-0C"},
            tcp: {"EnableDHCP": 0, "IPAddress": ["10.0.0.7", "10.0.0.8"],
                  "SubnetMask": ["255.0.0.0", "255.0.0.0"], "DefaultGateway": ["10.0.0.1"],
                  "NameServer": "10.0.0.2 10.0.0.3", "Domain": "example.net"}}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("empty", {}), ("card", keys)):
            hivefile.write(Path(folder, name), content)
            put("hive", name, Path(folder, name).read_bytes())
    boot = bytearray(512)
    boot[3:11], boot[12], boot[13], boot[48], boot[64] = b"NTFS    ", 2, 8, 4, 0xf6
    record = bytearray(1024)
    record[0:8], record[20], record[48] = struct.pack("<4sHH", b"FILE", 48, 3), 56, 7
    record[510] = record[1022] = 7
    record[56:64] = struct.pack("<II", 0x70, 40)
    record[72], record[76], record[90] = 12, 24, 1
    put("ntfs", "marked", bytes(boot + record))
    put("ntfs", "bitlocker", b"\xeb\x58\x90-FVE-FS-")
    put("ntfs", "path", b"NetKVM/w11/amd64/netkvm.sys")


def main():
    windows()
    for name, text in BOOT_FILES.items():
        put("bootline", name, text)
    initramfs()
    for name, lines in REQUESTS.items():
        put("control", name, "\n".join(lines).encode())
    put("vmjson", "good", VM.encode())
    put("vmjson", "newer", VM.replace('"format": 1', '"format": 2').encode())
    put("vmjson", "twice", VM.replace("sdb", "sda").encode())
    root = store(Path(sys.argv[1]))
    put("super", "init", root)
    put("super", "slot", root[PAGE:].rstrip(b"\0"))
    put("super", "cut", root[:5000])
    put("super", "hydrating", hydrating(root).rstrip(b"\0"))
    put("actlog", "some", b"\1" + bytes(PAGE) + slot(0x4C41, 0, 1, 1, b"\x05\x00\x11"))
    put("actlog", "none", b"\1" + slot(0x4C41, 0, 2, 1, b"") + slot(0x4C41, 0, 1, 1, b"\x01"))
    put("actlog", "unsigned", b"\0" + slot(0x4C41, 0, 2, 1, b""))
    put("live", "planes", b"\1" + bytes(range(256)))
    put("live", "masks", b"\1" + bytes(2 * PAGE) + b"\x0f\x80\0\0\xff\xff\x01" * 2)
    put("live", "header", b"\0" + b"SWLV" + bytes(60))
    put("source", "good", SOURCE.encode())
    put("source", "newer", SOURCE.replace('"format": 1', '"format": 2').encode())
    put("source", "twice", SOURCE.replace("sdb", "sda").encode())
    put("source", "kinds", b'{"format": 1, "snapshot": 7, "disks": [{"name": [], "uri": null}]}')
    put("limits", "good", LIMITS.encode())
    for name, text in CALENDAR.items():
        put("calendar", name, text.encode())
    for name, text in PLANS.items():
        put("plan", name, text.encode())
    put("limits", "foreign", LIMITS.replace("sdb", "sdc").encode())
    put("limits", "huge", LIMITS.replace("1000000", "9223372036854775807").encode())
    put("limits", "negative", LIMITS.replace("1000000", "-1").encode())
    for name, (style, wishes, text) in netseeds.SEEDS.items():
        put("netstyle", name, bytes([style, wishes]) + text.encode())
    put("layer", "loading", layer(1, b"\x1b\xe4"))
    put("layer", "sealed", layer(2, b"\xef\xfa\0\0\x02"))
    put("layer", "unsigned", b"\0" + layer(2, b"\x02")[1:])
    missing = struct.pack("<2032H", *range(2032))
    put("map", "some", b"\1" + bytes(PAGE) + slot(0x4D4D, 0, 1, 1, missing))
    put("map", "both", b"\1" + slot(0x4D4D, 0, 2, 1, missing[::-1]) +
        slot(0x4D4D, 0, 1, 1, missing) + slot(0x4D4D, 1, 2, 1, b""))


main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seed inputs of the fuzz targets: make-corpus.py BUILD.  They are small and stay in
the tree; run it again when a format changes."""

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
PAGE = 4096

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


def store(build):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([build / "engine" / "slipway-store", "create", f"{work}/s", "vm",
                        f"sda={work}/a:1048576", f"sdb={work}/b:66048"], check=True)
        return Path(work, "s", "super").read_bytes()


def main():
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
    put("limits", "foreign", LIMITS.replace("sdb", "sdc").encode())
    put("limits", "huge", LIMITS.replace("1000000", "9223372036854775807").encode())
    put("limits", "negative", LIMITS.replace("1000000", "-1").encode())
    put("layer", "loading", layer(1, b"\x1b\xe4"))
    put("layer", "sealed", layer(2, b"\xef\xfa\0\0\x02"))
    put("layer", "unsigned", b"\0" + layer(2, b"\x02")[1:])
    missing = struct.pack("<2032H", *range(2032))
    put("map", "some", b"\1" + bytes(PAGE) + slot(0x4D4D, 0, 1, 1, missing))
    put("map", "both", b"\1" + slot(0x4D4D, 0, 2, 1, missing[::-1]) +
        slot(0x4D4D, 0, 1, 1, missing) + slot(0x4D4D, 1, 2, 1, b""))


main()

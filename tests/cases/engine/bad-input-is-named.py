#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Bad input to `slipway engine`: a sentence that names the thing, the exit code of the manual, and
the last generation is as it was."""

import os
import struct

from byhand import engine, engine_json, serve_file
from case import check, require, start, wait_until, work

require("nbdkit", "qemu-nbd")
image = work / "src.img"
image.write_bytes(os.urandom(1 << 20) + bytes(3 << 20))
uri = serve_file(image)

# Making a store.
engine("create", "s", "--disk", "a=t.raw:1M", "--disk", "b=t.raw:1M", expect=2,
       says=("t.raw", "disk a", "disk b"))
(work / "t.raw").write_bytes(bytes(4096))
(work / "same.raw").symlink_to("t.raw")
engine("create", "s", "--disk", "a=t.raw", "--disk", "b=same.raw", expect=2,
       says=("same.raw", "disk a", "disk b"))
check(not (work / "s").exists(), "nothing is left of the refused store")
(work / "t.raw").unlink()
engine("create", "x" * 90 + "/s", "--disk", "a=x.raw:1M", expect=1, says=("107", "shorter"))
check(not (work / "x.raw").exists(), "no target is made for a store that could not be served")
engine("create", "slash/", "--disk", "a=slash.raw:1M")
check(engine_json("status", "slash")["vm"] == "slash", "the name is the last part of STORE")

engine("create", "s", "--disk", "sda=t.raw:4M")
engine("flip", "s", expect=5, says=("flip", "sync it first"))
engine("sync", "s", f"sda={uri}", "--snapshot", "first")


def intact():
    check((work / "t.raw").read_bytes() == image.read_bytes(), "the generation is intact")
    check(engine_json("status", "s")["snapshot"] == "first", "and it is still the latest")


# Sources.
for bad in (f"nbd+unix:///?socket={work}/nobody.sock", "nbd://127.0.0.1:1"):
    engine("sync", "s", f"sda={bad}", expect=8, says=(bad, "sda", "is the NBD server running"))
check("nbd_" not in engine_json("sync", "s", f"sda=nbd+unix:///?socket={work}/nobody.sock",
                                expect=8)["error"]["message"], "no names of functions")
start("qemu-nbd", "-r", "-t", "-f", "raw", "-x", "disk", "-k", work / "named.sock", image)
wait_until((work / "named.sock").exists, "qemu-nbd's socket")
engine("sync", "s", f"sda=nbd+unix:///wrong?socket={work}/named.sock", expect=8,
       says=("'wrong'", "nbdinfo --list"))
engine("sync", "s", f"sda={uri}", "--bitmap", "sda=base:allocation", expect=2,
       says=("base:allocation", "qemu:dirty-bitmap:"))
engine("sync", "s", f"sda={uri}", "--bitmap", "sda=qemu:dirty-bitmap:no", expect=8, says="sda")
for count in ("0", "17", "1.5", "x"):
    engine("sync", "s", f"sda={uri}", "--connections", count, expect=2,
           says=("--connections", "1 to 16"))
for name, size, code in (("small", 2 << 20, 8), ("odd", (4 << 20) + 100, 7)):
    (work / name).write_bytes(bytes(size))
    engine("sync", "s", f"sda={serve_file(work / name, name)}", expect=code,
           says=("sda", str(size)))
intact()

# Words.
for words, code in ((("frobnicate",), 2), (("status", "nope"), 3), (("stop", "nope"), 3),
                    (("create",), 2), (("status", "s", "--frob"), 2)):
    engine_json(*words, expect=code)

# A store or target that is not what it was.
sound = (work / "s/super").read_bytes()
digests = (work / "s/sda/dig").read_bytes()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_format(data, slot, number):
    page = bytearray(data[slot * 4096:slot * 4096 + 4096])
    page[16:20] = struct.pack("<I", number)
    page[4:8] = bytes(4)
    page[4:8] = struct.pack("<I", crc32c(page))
    return data[:slot * 4096] + bytes(page) + data[slot * 4096 + 4096:]


def flipped(data, *places):
    data = bytearray(data)
    for place in places:
        data[place] ^= 1
    return bytes(data)


for slot in (0, 1):
    (work / "s/super").write_bytes(with_format(sound, slot, 7))
    engine("status", "s", expect=9, says=("format 7", "knows 1"))
    engine("sync", "s", f"sda={uri}", expect=9, says="format 7")
    (work / "s/super").write_bytes(flipped(sound, slot * 4096 + 40))
    engine("status", "s")
(work / "s/super").write_bytes(flipped(sound, 40, 4096 + 40))
engine("sync", "s", f"sda={uri}", expect=9, says=("damaged", "restore"))
(work / "s/super").write_bytes(b"")
engine("status", "s", expect=9, says=("super", "restore"))
(work / "s/super").unlink()
engine("sync", "s", f"sda={uri}", expect=9, says=("super", "restore"))
(work / "s/super").write_bytes(sound)
(work / "s/sda/dig").unlink()
engine("sync", "s", f"sda={uri}", expect=9, says=("dig", "new store"))
(work / "s/sda/dig").write_bytes(digests)
os.truncate(work / "t.raw", 2 << 20)
engine("sync", "s", f"sda={uri}", expect=7, says=("t.raw", "enlarge"))
os.truncate(work / "t.raw", 4 << 20)
(work / "t.raw").rename(work / "moved.raw")
engine("sync", "s", f"sda={uri}", expect=3, says=("t.raw", "moved or deleted"))
(work / "t.raw").write_bytes(image.read_bytes())
engine("sync", "s", f"sda={uri}", expect=9, says=("t.raw", "not the target"))
(work / "moved.raw").rename(work / "t.raw")
intact()

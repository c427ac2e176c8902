# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Deltas of two disks come from persistent bitmaps through qemu-nbd, only the changed blocks are
read, and both disks move to the next generation together."""

from case import check, require, run, work
from engines import Engine, Source, read_export, refused

require("qemu-nbd", "qemu-io", "nbdkit")
BLOCK = 65536
images = {"sda": work / "a.qcow2", "sdb": work / "b.qcow2"}
sizes = {"sda": "48M", "sdb": "3146240"}  # the second one is odd: 3 MiB + 512 bytes


def write(disk, *commands):
    words = [word for command in commands for word in ("-c", command)]
    run("qemu-io", "-f", "qcow2", *words, images[disk], quiet=True)


def raw(disk):
    copy = work / "copy.raw"
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", images[disk], copy, quiet=True)
    return copy.read_bytes()


def sync(engine, snapshot, bitmap=None):
    sources = [Source(disk, image, bitmap=bitmap) for disk, image in images.items()]
    try:
        return engine.sync(snapshot, *sources)
    finally:
        for source in sources:
            source.stop()


def check_mirror(engine, suffix=""):
    for disk in images:
        check(read_export(engine.uri(disk + suffix)) == raw(disk), f"{disk} is the source's {disk}")


def mark(bitmap):
    for image in images.values():
        run("qemu-img", "bitmap", "--add", "-f", "qcow2", image, bitmap)


for disk, image in images.items():
    run("qemu-img", "create", "-q", "-f", "qcow2", image, sizes[disk])
write("sda", "write -P 1 1M 8M", "write -P 2 40M 3M")
write("sdb", "write -P 3 0 1M", "write -P 4 3145728 512")

engine = Engine(sda=48 << 20, sdb=3146240).start()
mark("b0")
result = sync(engine, "p0")
check(result["generation"] == 0, "the first generation is 0")
read = sum(p["bytes"] for p in result["passes"])
check(read <= 13 << 20, f"holes are not transferred ({read} bytes were)")
check_mirror(engine)

mark("b1")
write("sda", "write -P 5 2M 100k", "write -z 5M 1M", "write -P 6 30M 4k")
write("sdb", "write -P 7 3145728 512")
changed = 2 + 16 + 1 + 1  # blocks; the zeros are known without being read
result = sync(engine, "p1", "b0")
check(result["generation"] == 1, "the delta is generation 1")
read = sum(p["bytes"] for p in result["passes"])
check(read <= changed * BLOCK, f"only changed blocks are read ({read} bytes were)")
check_mirror(engine)

# The second disk's source is away: nothing moves, not even the first disk.
write("sda", "write -P 8 10M 1M")
write("sdb", "write -P 9 1M 64k")
before = {disk: read_export(engine.uri(disk)) for disk in images}
alone = Source("sda", images["sda"], bitmap="b1")
gone = Source("sdb", images["sdb"], bitmap="b1")
gone.stop()
gone.socket.unlink(missing_ok=True)
sentence = refused(engine.sync, "p2", alone, gone)
alone.stop()
check("sdb" in sentence, "the sentence names the disk")
check(engine.status()["generation"] == 1, "the generation stays")
for disk in images:
    check(read_export(engine.uri(disk)) == before[disk], f"{disk} is as before")

result = sync(engine, "p2", "b1")
check(result["generation"] == 2, "then it is generation 2")
check_mirror(engine)
check(sync(engine, "p2", "b1")["already"], "the same point again is done already")
engine.folded()
check_mirror(engine)
engine.stop()
for disk in images:
    check(engine.target(disk).read_bytes() == raw(disk), f"the target of {disk} holds it, folded")

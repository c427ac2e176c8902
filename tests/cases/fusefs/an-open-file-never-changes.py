# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""What is open stays as it was while deltas land, pins no longer than it is open, and the name is
of the latest generation at the next open."""

import mmap
import os
import random
import threading

from case import check, require, wait_until, work
from engines import MIB, Engine, Source, random_image
from fusemount import Mount

require("root", "nbdkit")
SIZE = 4 * MIB
CYCLES = 1000
rng = random.Random(7)
image = random_image(work / "a.raw", SIZE)
content = [image.read_bytes()]
source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=SIZE).start()
engine.sync("p0", source)
mount = Mount(work / "stores")
disk = mount.path / "vm/sda.raw"


def delta():
    new = bytearray(content[-1])
    for _ in range(4):
        at = rng.randrange(SIZE - 5000)
        new[at:at + 5000] = rng.randbytes(5000)
    image.write_bytes(new)
    content.append(bytes(new))
    engine.sync(f"p{len(content) - 1}", source, compare=True)


def pins():
    return {pin["generation"]: pin["connections"] for pin in engine.status()["pins"]}


# Nothing of it was read before: what is read later is not from a cache.
old = os.open(disk, os.O_RDONLY)
number = os.fstat(old).st_ino
mapped = mmap.mmap(old, SIZE, mmap.MAP_PRIVATE, mmap.PROT_READ)
check(list(pins()) == [0], "an open file is a pin")
for _ in range(7):
    delta()
check(os.pread(old, SIZE, 0) == content[0], "the open file is as it was")
check(mapped[:] == content[0], "and so is its mapping")
check(disk.read_bytes() == content[7], "the name is of the latest")
check(os.stat(disk).st_ino != number, "which is another inode")
check((mount.path / "vm/@3/sda.raw").read_bytes() == content[3], "one in between")
check((mount.path / "vm/@0/sda.raw").read_bytes() == content[0], "the one that is held")
again = os.open(mount.path / "vm/@0/sda.raw", os.O_RDONLY | os.O_DIRECT)
check(list(pins()) == [0], "opened twice it is the same pin")
os.close(again)
mapped.close()
check(engine.status()["disks"][0]["base_generation"] == 0, "nothing was folded")
os.close(old)
wait_until(lambda: not pins(), "the end of the pin")
engine.folded()
check(engine.status()["retained"] == [7], "the fold went on")
try:
    os.open(mount.path / "vm/@3/sda.raw", os.O_RDONLY)
    check(False, "a generation that is gone cannot be opened")
except FileNotFoundError:
    pass

# Open and close, again and again, while deltas land.
stop = threading.Event()
wrong = []


def cycles():
    for cycle in range(CYCLES // 4):
        with open(disk, "rb", buffering=0) as file:
            at = rng.randrange(SIZE // 512) * 512
            got = os.pread(file.fileno(), 512, at)
            if not any(got == c[at:at + 512] for c in content[-9:]):
                wrong.append((cycle, at))


threads = [threading.Thread(target=cycles) for _ in range(4)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    delta()
for thread in threads:
    thread.join()
check(not wrong, f"only generations that were there are read: {wrong[:3]}")
wait_until(lambda: not pins(), "no pin is left")
engine.folded()
check(disk.read_bytes() == content[-1], "and the latest is what was synced last")
print(f"{CYCLES} times opened, {len(content) - 8} deltas meanwhile")
mount.stop()
engine.stop()

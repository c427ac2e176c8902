# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""Readers and writers wait for an engine that was killed and go on; one that stays away is EIO
after a while; and whatever the engines do, the file system can be unmounted."""

import errno
import mmap
import os
import random
import subprocess
import threading
import time

from case import check, require, wait_until, work
from engines import MIB, Engine, Source, random_image
from fusemount import Mount

require("root", "nbdkit")
SIZE = 16 * MIB
image = random_image(work / "a.raw", SIZE)
data = image.read_bytes()
source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=SIZE).start()
engine.sync("p0", source)
mount = Mount(work / "stores", "--wait", "20")
disk = mount.path / "vm/sda.raw"


def expect_errno(code, function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        check(error.errno == code, f"{error} instead of {errno.errorcode[code]}")
    else:
        check(False, f"no {errno.errorcode[code]}")


# A generation that is still there after the restart: readers notice nothing.
fd = os.open(disk, os.O_RDONLY | os.O_DIRECT)
stop = threading.Event()
wrong, reads, ended = [], [0], 0


def read():
    rng = random.Random(3)
    buffer = memoryview(mmap.mmap(-1, 65536))
    while not stop.is_set():
        at = rng.randrange(SIZE // 65536) * 65536
        if os.preadv(fd, [buffer], at) != 65536 or bytes(buffer) != data[at:at + 65536]:
            wrong.append(at)
        reads[0] += 1
    global ended
    ended += 1


threads = [threading.Thread(target=read) for _ in range(3)]
for thread in threads:
    thread.start()
for end in (engine.kill, engine.stop, engine.kill, engine.stop):
    time.sleep(0.3)
    end()
    time.sleep(0.3)
    before = reads[0]
    engine.start()
    wait_until(lambda: reads[0] > before + 50, "the readers go on")
stop.set()
for thread in threads:
    thread.join()
os.close(fd)
check(not wrong, f"every read was right: {wrong[:3]}")
check(ended == len(threads), "no reader met an error, however the engine ended")
check("the engine is back" in mount.log(), "the log tells of it")

# An owner: writes, and a flush, over a kill.
fd = os.open(disk, os.O_RDONLY | os.O_DIRECT)
engine.call("flip", grace_s=0)
aligned = memoryview(mmap.mmap(-1, 4096))
expect_errno(errno.EIO, os.preadv, fd, [aligned], 0)
check("went with" in mount.log(), "a generation ended by a flip is EIO, and the log says so")
os.close(fd)
fd = os.open(disk, os.O_RDWR)
want = bytearray(data)
for number in range(3):
    piece = bytes([65 + number]) * 70000
    want[number * MIB:number * MIB + 70000] = piece
    engine.kill()
    results = []
    writer = threading.Thread(target=lambda: results.append(os.pwrite(fd, piece, number * MIB)))
    writer.start()
    time.sleep(0.5)
    check(not results, "a write waits for the engine")
    engine.start()
    writer.join(30)
    check(results == [70000], "and is done when the engine is back")
    os.fsync(fd)
check(os.pread(fd, SIZE, 0) == want, "and is there")

# Away for longer than --wait: EIO, and a line in the log; then it is back.
quick = Mount(work / "stores", "--wait", "1")
other = os.open(quick.path / "vm/sda.raw", os.O_RDONLY)
engine.kill()
expect_errno(errno.EIO, os.pread, other, 4096, 0)
check("no engine for 1 s" in quick.log(), "the log says why")
expect_errno(errno.EIO, os.pread, other, 4096, 4096)
engine.start()
wait_until(lambda: "the engine is back" in quick.log(), "it is noticed")
check(os.pread(other, 4096, 8192) == want[8192:12288], "and reading goes on")
os.close(other)

# A reader that waits can be killed, and the file system unmounted, while no engine is there.
engine.kill()
began = time.monotonic()
readers = [subprocess.Popen(["dd", f"if={disk}", "of=/dev/null", "iflag=direct"],
                            stderr=subprocess.DEVNULL) for _ in range(2)]
time.sleep(0.5)
readers[0].kill()
readers[0].wait(10)
check(time.monotonic() - began < 10, "a reader can be killed")
quick.stop()
os.close(fd)
mount.stop()
readers[1].wait(10)
check(time.monotonic() - began < 18, "unmounting does not wait for engines")

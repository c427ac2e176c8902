# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""fio verifies what it wrote to a draft and to an owner through the file system, with and without
O_DIRECT, zeros and flushes between; a flush is durable over a kill of the engine and of
slipwayfs."""

import os
import random
import signal

from case import check, require, run, work
from engines import MIB, Engine, Source, random_image
from fusemount import Mount

require("root", "nbdkit", "fio")
SIZE = 24 * MIB
image = random_image(work / "a.raw", SIZE)
source = Source("sda", image)
(work / "stores").mkdir()
engine = Engine("stores/vm", sda=SIZE).start()
engine.sync("p0", source)
mount = Mount(work / "stores")


def verify(path):
    for direct in (0, 1):
        run("fio", "--name=v", f"--filename={path}", f"--size={SIZE}", "--rw=randwrite",
            "--bsrange=4k-128k", "--ioengine=psync", f"--direct={direct}", "--verify=crc32c",
            "--verify_backlog=64", "--do_verify=1", "--fsync=16", "--number_ios=600",
            "--allow_file_create=0", "--fallocate=none", "--numjobs=1", f"--randseed={direct + 3}")


def random_operations(path, seed, count=400):
    """What fsx does: reads, writes and zeros of odd ranges against a copy in memory."""
    rng = random.Random(seed)
    fd = os.open(path, os.O_RDWR)
    want = bytearray(os.pread(fd, SIZE, 0))
    for number in range(count):
        at = rng.randrange(SIZE)
        length = min(SIZE - at, rng.choice((1, 7, 511, 512, 4096, 65536, 200000)))
        kind = rng.random()
        if kind < 0.4:
            check(os.pread(fd, length, at) == want[at:at + length], f"operation {number}: read")
        elif kind < 0.85:
            data = rng.randbytes(length)
            check(os.pwrite(fd, data, at) == length, f"operation {number}: write")
            want[at:at + length] = data
        elif kind < 0.95:
            run("fallocate", "--punch-hole", "--offset", at, "--length", length, path)
            want[at:at + length] = bytes(length)
        else:
            os.fsync(fd)
    os.fsync(fd)
    check(os.pread(fd, SIZE, 0) == want, "all of it, at the end")
    os.close(fd)
    return bytes(want)


vm = mount.path / "vm"
engine.call("draft-create", name="trial")
verify(vm / "draft/trial/sda.raw")
random_operations(vm / "draft/trial/sda.raw", 1)
engine.call("draft-drop", name="trial")
check((vm / "sda.raw").read_bytes() == image.read_bytes(), "the mirror is as it was")
engine.call("flip", grace_s=0)
verify(vm / "sda.raw")
want = random_operations(vm / "sda.raw", 2)

# What was flushed is there, whoever is killed.
engine.kill()
engine.start()
check((vm / "sda.raw").read_bytes() == want, "over a kill of the engine")
fd = os.open(vm / "sda.raw", os.O_RDWR | os.O_DSYNC)
os.pwrite(fd, b"durable", 12345)
want = want[:12345] + b"durable" + want[12352:]
mount.process.send_signal(signal.SIGKILL)
mount.process.wait()
run("umount", "-l", mount.path)
again = Mount(work / "stores")
check((again.path / "vm/sda.raw").read_bytes() == want, "over a kill of slipwayfs")
again.stop()
engine.stop()

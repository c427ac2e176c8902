# SPDX-License-Identifier: Apache-2.0
# timeout: 240
"""fio writes blocks of 512 bytes to 1 MiB at random over an owner that is hydrated from a slow
source meanwhile, and reads every one back with its checksum, also after a kill; the rest is the
source's."""

from case import check, require, run, wait_until, work
from engines import MIB, Engine, Source, random_image, read_export

require("nbdkit", "fio")
SIZE, WRITTEN = 96 * MIB, 48 * MIB


def fio(engine, *words):
    run("fio", "--name=verify", "--ioengine=nbd", f"--uri={engine.uri('sda')}",
        f"--size={WRITTEN}", "--rw=randwrite", "--bsrange=512-1M", "--blockalign=512",
        "--iodepth=16", "--serialize_overlap=1", "--verify=crc32c", "--verify_fatal=1",
        "--randseed=7", "--fsync=50", f"--aux-path={work}", *words, timeout=200)


engine = Engine(sda=SIZE).start()
image = random_image(work / "a.raw", SIZE)
slow = Source("sda", image, "delay", "rate", "rdelay=20ms", f"rate={8 * MIB * 8}")
engine.call("flip", instant=True, grace_s=0, disks=[slow.request()], snapshot="p0")
fio(engine, "--do_verify=0")
check(engine.status()["mode"] == "owner-hydrating", "it is hydrated while fio writes")
engine.kill()
engine.start()
fio(engine, "--verify_only=1")
fio(engine, "--verify_backlog=64", "--rw=randrw", "--randseed=8")
fast = Source("sda", image)
if engine.status()["mode"] == "owner-hydrating":
    engine.call("source", disks=[fast.request()])
wait_until(lambda: engine.status()["mode"] == "owner", "hydration ends", timeout=120)
check(read_export(engine.uri("sda"))[WRITTEN:] == image.read_bytes()[WRITTEN:],
      "what nobody wrote is the source's")
engine.stop()

# SPDX-License-Identifier: Apache-2.0
# timeout: 240
"""fio writes blocks of 512 bytes to 1 MiB to an owner at random, several at a time, and reads every
one of them back with its checksum, also after the engine was killed and started again."""

from case import require, run, work
from engines import MIB, Engine, Source, random_image

require("nbdkit", "fio")
SIZE = 128 * MIB


def fio(engine, *words):
    run("fio", "--name=verify", "--ioengine=nbd", f"--uri={engine.uri('sda')}", f"--size={SIZE}",
        "--rw=randwrite", "--bsrange=512-1M", "--blockalign=512", "--iodepth=16",
        "--serialize_overlap=1", "--verify=crc32c", "--verify_fatal=1", "--randseed=7",
        "--fsync=50", f"--aux-path={work}", *words, timeout=200)


engine = Engine(sda=SIZE).start()
source = Source("sda", random_image(work / "a.raw", SIZE))
engine.sync("p0", source)
source.stop()
engine.call("flip", grace_s=0)
fio(engine, "--do_verify=0")
engine.kill()
engine.start()
fio(engine, "--verify_only=1")
fio(engine, "--verify_backlog=64", "--rw=randrw", "--randseed=8")
engine.stop()

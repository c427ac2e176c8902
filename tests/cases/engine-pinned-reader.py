# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""A reader of an old generation sees it unchanged while deltas land; the fold waits for it."""

import random

from case import check, require, work
from engines import MIB, Engine, Source, connect, random_image, read_all, read_export

require("nbdkit")
SIZE = 8 * MIB + 512
rng = random.Random(5)
image = random_image(work / "a.raw", SIZE)
contents = [image.read_bytes()]
engine = Engine(sda=SIZE).start()


def sync(generation):
    source = Source("sda", image)
    check(engine.sync(f"p{generation}", source)["generation"] == generation, "it is committed")
    source.stop()


sync(0)
pinned = connect(engine.uri("sda"))
for generation in range(1, 4):
    new = bytearray(contents[-1])
    for _ in range(10):
        at = rng.randrange(SIZE - 5000)
        new[at:at + 5000] = rng.randbytes(5000)
    image.write_bytes(new)
    contents.append(bytes(new))
    sync(generation)
    check(read_all(pinned) == contents[0], "the old reader sees generation 0")
    check(read_export(engine.uri("sda")) == contents[generation], "a new one sees the latest")
for generation, content in enumerate(contents):
    check(read_export(engine.uri(f"sda@{generation}")) == content,
          f"generation {generation} is there by its number")
check(len(engine.status()["disks"][0]["layers"]) == 3, "no layer is folded under the reader")
check(pinned.is_read_only(), "a mirror is read-only")
pinned.shutdown()
engine.folded()
check(read_export(engine.uri("sda")) == contents[-1], "and folded it is the same")
check(engine.target("sda").read_bytes() == contents[-1], "in the target, too")
try:
    read_export(engine.uri("sda@0"))
    check(False, "a folded generation is gone")
except Exception as error:  # nbd.Error, made by a C extension
    print(error)

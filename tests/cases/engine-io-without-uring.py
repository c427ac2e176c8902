# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""Where io_uring is not to be had plain calls do the same, byte for byte; the status says so."""

import random

from case import check, require, work
from engines import MIB, Engine, Source, random_image, read_export

require("nbdkit")
SIZE = 24 * MIB + 512
rng = random.Random(7)
image = random_image(work / "a.raw", SIZE)
hole = bytearray(image.read_bytes())
hole[4 * MIB:9 * MIB] = bytes(5 * MIB)
image.write_bytes(hole)
engines = {None: Engine("default", sda=SIZE), "threads": Engine("threads", sda=SIZE)}
for io, engine in engines.items():
    engine.io = io
    engine.start()
kinds = [engine.status()["io"] for engine in engines.values()]
print("default:", kinds[0])
check(kinds[1] == "threads", "SLIPWAY_IO=threads is honoured")

for generation in range(3):
    for engine in engines.values():
        source = Source("sda", image)
        engine.sync(f"p{generation}", source)
        source.stop()
        check(read_export(engine.uri("sda")) == image.read_bytes(), "the mirror is the source")
    new = bytearray(image.read_bytes())
    for _ in range(40):
        at = rng.randrange(SIZE - 70000)
        new[at:at + 70000] = rng.randbytes(70000) if rng.random() < .7 else bytes(70000)
    image.write_bytes(new)
for engine in engines.values():
    engine.folded()
    engine.call("flip", grace_s=0)
    engine.stop()
check(engines[None].target("sda").read_bytes() == engines["threads"].target("sda").read_bytes(),
      "both targets are the same")

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""An old copy of the disk on the target makes the initial sync write only what differs."""

import random

from case import build, check, require, run, work
from engines import MIB, SLIPWAY, Engine, Source, random_image, read_export

require("nbdkit", "qemu-img")
SIZE = 48 * MIB + 512
rng = random.Random(5)
image = random_image(work / "a.raw", SIZE)
target = work / "old.raw"
target.write_bytes(image.read_bytes())


def blocks():
    """How many KiB the target takes up."""
    return int(run("stat", "-c", "%b", target)) // 2


# Since then: 40 blocks have changed, 4 MiB are a hole, 1 MiB of zeros is written out.
new = bytearray(image.read_bytes())
for number in rng.sample(range(10 * 16, 40 * 16), 40):
    new[number * 65536 + 77] ^= 1
new[2 * MIB:6 * MIB] = bytes(4 * MIB)
new[7 * MIB:8 * MIB] = bytes(MIB)
image.write_bytes(new)
run("fallocate", "--punch-hole", "-o", 2 * MIB, "-l", 4 * MIB, image)

store = work / "vm"
said = run(SLIPWAY, "engine", "create", work / "no", "--preseed", "--disk",
           f"sda={work / 'nothing.raw'}:16M", expect=3)
check("old copy" in said and not (work / "no").exists(), "a missing target is no old copy")
run(SLIPWAY, "engine", "create", store, "--preseed", "--disk", f"sda={target}:{SIZE}")
engine = Engine.of(store).start()
source = Source("sda", image)
before = blocks()
result = engine.sync("p0", source)["passes"][0]
check(result["written_bytes"] == 40 * 65536, "the changed blocks were written")
check(result["same_bytes"] >= SIZE - 6 * MIB - 40 * 65536 - 65536, "all others were not")
check(source.read_bytes() <= SIZE - 4 * MIB + 65536, "and the source was read once")
check(target.read_bytes()[:SIZE] == image.read_bytes(), "the target is the source now")
check(read_export(engine.uri("sda")) == image.read_bytes(), "and so is the mirror")
check(blocks() <= before - 4 * 1024, "what is a hole in the source is none of the target's space")
engine.stop()
check(run(build / "engine" / "slipway-store", "fsck", store, "--data").count('"damage"') == 0,
      "every digest is right")

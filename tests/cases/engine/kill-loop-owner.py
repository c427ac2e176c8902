# SPDX-License-Identifier: Apache-2.0
# timeout: 120
"""The engine of an owner is killed again and again while a client writes: whatever was acknowledged
is there after each restart, and what was not is old or new, never something else."""

from case import require, work
from engines import MIB, Engine, Source
from killloop import Writer, initial_image, kill_loop

require("nbdkit")
SIZE = 32 * MIB
engine = Engine(sda=SIZE).start()
source = Source("sda", initial_image(work / "a.raw", SIZE))
engine.sync("p0", source)
source.stop()
engine.call("flip", grace_s=0)
writer = Writer(engine.uri("sda"), SIZE, seed=1)
kill_loop(engine, writer, kills=10, seed=11)
writer.check_all("at the end")
engine.stop()

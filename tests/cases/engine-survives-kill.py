# SPDX-License-Identifier: Apache-2.0
# timeout: 240
"""kill -9 of the engine during the initial sync, a delta, a fold and a flip: it goes on where it
was, what was durable is not read from the source again, the last generation stays readable."""

import random
import time

from case import check, require, run, wait_until, work
from engines import MIB, Engine, Lost, Source, random_image, read_export

require("nbdkit")
SIZE = 48 * MIB
rng = random.Random(3)
kills = 0


def kill_after(engine, seconds):
    global kills
    time.sleep(seconds)
    engine.kill()
    kills += 1


def answer(engine, pending):
    try:
        return engine.end(pending)
    except Lost:
        return None


def begin_sync(engine, snapshot, source, **more):
    return engine.begin("sync", disks=[source.request()], snapshot=snapshot, **more)


# ── initial sync: 4 MiB/s, so that a checkpoint (every 5 s) comes before the kill ──
image = random_image(work / "a.raw", SIZE)
engine = Engine(sda=SIZE).start()
slow = Source("sda", image, "rate", f"rate={4 * MIB * 8}")
pending = begin_sync(engine, "p0", slow)
wait_until(lambda: engine.status()["disks"][0]["missing_bytes"] < SIZE, "progress")
kill_after(engine, 6)
check(answer(engine, pending) is None, "no answer from a killed engine")
first = slow.read_bytes()
engine.start()
missing = engine.status()["disks"][0]["missing_bytes"]
check(0 < missing < SIZE, f"progress is kept ({missing} of {SIZE} bytes are missing)")
fast = Source("sda", image)
check(engine.sync("p0", fast)["generation"] == 0, "the same point is resumed")
second = fast.read_bytes()
check(second <= missing * 1.01, f"{second:.0f} bytes read again, {missing} were missing")
check(read_export(engine.uri("sda")) == image.read_bytes(), "generation 0 is the source")
print(f"initial: {first / MIB:.0f} MiB before the kill, {second / MIB:.0f} MiB after it")

# ── a delta by compare reads everything; kills at any time leave generation 0 ──
old = image.read_bytes()
new = bytearray(old)
for _ in range(200):
    at = rng.randrange(SIZE // 4096) * 4096
    new[at:at + 4096] = rng.randbytes(4096)
image.write_bytes(new)
slow = Source("sda", image, "rate", f"rate={6 * MIB * 8}")
pending = begin_sync(engine, "p1", slow)
kill_after(engine, 3.2)  # a checkpoint of a layer comes every 2 s
check(answer(engine, pending) is None, "no answer")
slow.stop()
engine.start()
check(read_export(engine.uri("sda")) == old, "generation 0 is readable")
for _ in range(6):
    source = Source("sda", image, "rate", f"rate={6 * MIB * 8}")
    pending = begin_sync(engine, "p1", source)
    kill_after(engine, rng.uniform(0, 0.15))
    source.stop()
    done = answer(engine, pending)
    engine.start()
    check(done or engine.status()["generation"] in (0, 1), "no other generation")
source = Source("sda", image)
check(engine.sync("p1", source)["generation"] == 1, "then it completes")
again = source.read_bytes()
check(again < SIZE - 8 * MIB, f"{again / MIB:.0f} MiB read after the kills: the rest was durable")
check(read_export(engine.uri("sda")) == bytes(new), "generation 1 is the source")
print(f"delta: {again / MIB:.0f} of {SIZE / MIB:.0f} MiB compared after the kills")

# ── folds: each start begins it again ──
for generation in range(2, 5):
    for _ in range(300):
        at = rng.randrange(SIZE // 65536) * 65536
        new[at:at + 65536] = rng.randbytes(4096) * 16
    image.write_bytes(new)
    source = Source("sda", image)
    engine.sync(f"p{generation}", source)
    source.stop()
    for _ in range(3):
        kill_after(engine, rng.uniform(0, 0.03))
        engine.start()
        check(read_export(engine.uri("sda")) == bytes(new), "a fold that was killed shows nothing")
engine.folded()

# ── flip ──
source_bytes = bytes(new)
for attempt in range(20):
    pending = engine.begin("flip", grace_s=0)
    kill_after(engine, rng.uniform(0, 0.02))
    done = answer(engine, pending)
    engine.start()
    mode = engine.status()["mode"]
    check(mode == "owner" if done else mode in ("mirror", "owner"), f"mode {mode} after a kill")
    check(read_export(engine.uri("sda")) == source_bytes, f"mode {mode} has the bytes")
    if mode == "owner":
        break
else:
    engine.call("flip", grace_s=0)
engine.call("detach")
engine.stop()
check(engine.target("sda").read_bytes() == source_bytes, "the target is the last generation")
print(f"{kills} kills")

# SPDX-License-Identifier: Apache-2.0
# timeout: 200
"""The engine of an owner that is still being hydrated from a slow source is killed again and again
while a client writes: nothing that was acknowledged is lost, nothing of the source comes over it,
and what nobody wrote is the source's."""

from case import check, require, wait_until, work
from engines import MIB, Engine, Source
from killloop import Writer, initial_image, kill_loop

require("nbdkit")
SIZE = 48 * MIB
engine = Engine(sda=SIZE).start()
image = initial_image(work / "a.raw", SIZE)
# One thread a connection: nbdkit 1.32 ends by an assertion when a client goes while several of them
# are about to answer.
slow = Source("sda", image, "rate", f"rate={3 * MIB * 8}", threads=1)
engine.call("flip", instant=True, grace_s=0, disks=[slow.request()], snapshot="p0")
seen = []


def look():
    status = engine.status()
    seen.append(status["disks"][0]["missing_bytes"])
    check(status["mode"] == "owner-hydrating", f"mode {status['mode']}")


writer = Writer(engine.uri("sda"), SIZE, seed=2)
kill_loop(engine, writer, kills=10, seed=21, look=look, touched=True)
print(f"missing after each kill: {[n // MIB for n in seen]} MiB")
check(seen == sorted(seen, reverse=True), "what is here is not missing again")
check(seen[-1] > 0, "it was still being hydrated at the last kill")
fast = Source("sda", image)
engine.call("source", disks=[fast.request()])
slow.stop()
wait_until(lambda: engine.status()["mode"] == "owner", "hydration ends")
fast.stop()
writer.check_all("hydrated")
engine.kill()
engine.start()
writer.check_all("hydrated and killed")
engine.stop()

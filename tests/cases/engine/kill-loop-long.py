# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 1800
"""The kill loops of owner and hydrating owner for hundreds of kills: a new instant flip, from a
slow source, for each round of kills."""

from case import check, require, work
from engines import MIB, Engine, Source
from killloop import Writer, initial_image, kill_loop

require("nbdkit")
SIZE = 32 * MIB
OWNER_KILLS, HYDRATING_ROUNDS, HYDRATING_KILLS = 250, 20, 15
image = initial_image(work / "a.raw", SIZE)

engine = Engine("owner", sda=SIZE).start()
source = Source("sda", image)
engine.sync("p0", source)
engine.call("flip", grace_s=0)
writer = Writer(engine.uri("sda"), SIZE, seed=41)
kill_loop(engine, writer, kills=OWNER_KILLS, seed=42)
writer.check_all("at the end")
engine.stop()

hydrating = 0
for number in range(HYDRATING_ROUNDS):
    engine = Engine(f"h{number}", sda=SIZE).start()
    # One thread: nbdkit 1.32 ends when several answer a client that was killed.
    slow = Source("sda", image, "rate", f"rate={2 * MIB * 8}", threads=1)
    engine.call("flip", instant=True, grace_s=0, disks=[slow.request()], snapshot="p0")

    def look():
        global hydrating
        hydrating += engine.status()["mode"] == "owner-hydrating"

    writer = Writer(engine.uri("sda"), SIZE, seed=50 + number)
    kill_loop(engine, writer, kills=HYDRATING_KILLS, seed=90 + number, mean=0.15, look=look,
              touched=True)
    if engine.status()["mode"] == "owner-hydrating":
        engine.call("source", disks=[source.request()])
    writer.check_all("hydrated by reading")
    slow.stop()
    engine.stop()
print(f"{OWNER_KILLS} kills of owners, {HYDRATING_ROUNDS * HYDRATING_KILLS} of hydrating ones "
      f"({hydrating} before everything was here), failures: 0", flush=True)
check(hydrating > HYDRATING_ROUNDS * HYDRATING_KILLS // 2, "most kills came while hydrating")

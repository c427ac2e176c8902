# SPDX-License-Identifier: Apache-2.0
# timeout: 180
"""Many clients read a hydrating disk in every way, and the source is read once at most."""

import random
import threading

from case import check, require, run, wait_until, work
from engines import MIB, Engine, Source, connect, random_image, read_all

require("nbdkit", "fallocate")
SIZE = 96 * MIB
HOLES = 8 * MIB - 65536  # whole blocks of them
CLIENTS = 8


def punched(path):
    """A hole of whole blocks, and one that begins and ends inside of some."""
    run("fallocate", "--punch-hole", "-o", MIB, "-l", 5 * MIB, path)
    run("fallocate", "--punch-hole", "-o", 40 * MIB + 4096, "-l", 3 * MIB, path)
    return path


def sequential(handle, rng):
    first = rng.randrange(0, SIZE // 2, 65536)
    for at in range(first, first + SIZE // 4, 65536):
        check_bytes(handle, at, 65536)


def scattered(handle, rng):
    for _ in range(200):
        length = rng.choice([512, 4096, 65536, 300000])
        check_bytes(handle, rng.randrange(0, SIZE - length, 512), length)


def hinting(handle, rng):
    for _ in range(40):
        at = rng.randrange(0, SIZE - 4 * MIB, 65536)
        handle.cache(4 * MIB, at)
        check_bytes(handle, at + MIB, 65536)


def check_bytes(handle, at, length):
    if bytes(handle.pread(length, at)) != expected[at:at + length]:
        wrong.append(at)


def client(number):
    try:
        handle = connect(engine.uri("sda"))
        (sequential, scattered, hinting)[number % 3](handle, random.Random(number))
        handle.shutdown()
    except Exception as error:  # the thread's end would hide it
        wrong.append(repr(error))


image = punched(random_image(work / "a.raw", SIZE))
expected = image.read_bytes()
source = Source("sda", image, "delay", "rdelay=2ms")
engine = Engine(sda=SIZE)
engine.start()
engine.call("limit", source_bytes_s=65536)
engine.call("flip", instant=True, disks=[source.request()], snapshot="final")
wait_until(lambda: engine.status()["disks"][0]["missing_bytes"] <= SIZE - HOLES,
           "what the source knows to be zero to be cleared", pause=0.01)
engine.call("limit", source_bytes_s=0)

wrong = []
threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
check(not wrong, f"every read is right: {wrong[:5]}")
wait_until(lambda: engine.status()["mode"] == "owner", "the end of the hydration")
handle = connect(engine.uri("sda"))
check(read_all(handle) == expected, "the disk is the source")
handle.shutdown()

fetched = source.read_bytes()
print(f"{fetched / MIB:.2f} MiB fetched of {SIZE / MIB:.0f}")
check(fetched >= SIZE - 8 * MIB, "what is data was fetched")
check(fetched <= SIZE - HOLES, "no block twice, and no hole")

# SPDX-License-Identifier: Apache-2.0
# timeout: 200
"""QEMU's NBD client with reconnect-delay writes and reads while the engine is killed and started
again: it ends well, its user has seen no error, and every byte is there."""

import random
import subprocess
import time

from case import check, defer, require, run, stop, work
from engines import MIB, Engine, Source, random_image, read_export

require("nbdkit", "qemu-img", "qemu-io")
SIZE = 64 * MIB
rng = random.Random(5)
engine = Engine(sda=SIZE).start()
image = random_image(work / "a.raw", SIZE)
source = Source("sda", image)
engine.sync("p0", source)
source.stop()
engine.call("flip", grace_s=0)
NODE = (f"driver=nbd,server.type=unix,server.path={engine.store}/nbd.sock,export=sda,"
        "reconnect-delay=30,open-timeout=30")


def disturbed(*argv):
    """Runs a program to its end while the engine is killed; the number of kills."""
    print("+ " + " ".join(map(str, argv)), flush=True)
    process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    defer(stop, process)
    kills, deadline = 0, time.monotonic() + 90
    while process.poll() is None:
        check(time.monotonic() < deadline, "it comes to its end")
        time.sleep(rng.expovariate(1 / 0.2))
        engine.kill()
        kills += 1
        time.sleep(rng.uniform(0, 0.1))
        engine.start()
    text = process.stdout.read()
    print(text[-1500:], flush=True)
    check(process.returncode == 0, f"it ended with {process.returncode} after {kills} kills")
    check("error" not in text.lower(), "it saw no error")
    return kills


def bench(*options):
    return disturbed("qemu-img", "bench", *options, "-c", "60000", "-d", "16", "-s", "4096",
                     "-S", "69632", "--image-opts", NODE)


kills = bench("-w", "--pattern=90", "--flush-interval=64")
kills += bench()
content = read_export(engine.uri("sda"))
check(all(content[at:at + 4096] == b"\x5a" * 4096 for at in range(0, SIZE - 4096, 69632)),
      "what was written in the first round is there")

# Each round writes other patterns and verifies them, all while the engine comes and goes.
words = []
for number in range(1, 60):
    words += ["-c", f"aio_write -q -P {number} {number}M 260k",
              "-c", f"aio_write -q -P {number + 100} {number * 1024 + 260}k 300k"]
words += ["-c", "aio_flush"]
for number in range(1, 60):
    words += ["-c", f"read -q -P {number} {number}M 260k",
              "-c", f"read -q -P {number + 100} {number * 1024 + 260}k 300k"]
for _ in range(4):
    kills += disturbed("qemu-io", *words, "--image-opts", NODE)
check(kills >= 5, f"only {kills} kills")
print(f"{kills} kills, no error seen by QEMU")
engine.stop()

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Clients that are killed with many requests under way take nobody with them: the engine goes on,
and so do its other clients."""

import os
import random
import signal
import subprocess
import sys
import time

from case import check, require, work
from engines import MIB, Engine, Source, connect, random_image

require("nbdkit")
SIZE = 16 * MIB
KILLS = 25
image = random_image(work / "a.raw", SIZE)
CLIENT = """
import random, sys, nbd
handles = []
for _ in range(3):
    h = nbd.NBD()
    h.connect_uri(sys.argv[1])
    handles.append(h)
buffers = [bytearray(65536) for _ in range(64)]
print("at work", flush=True)
while True:
    for number, buffer in enumerate(buffers):
        h = handles[number % 3]
        at = random.randrange(int(sys.argv[2]) // 65536 // 2) * 65536
        start = h.aio_pread if random.random() < .7 else h.aio_pwrite
        start(buffer, at, completion=lambda error: 1)
    for h in handles:
        while h.aio_in_flight() > 12:
            h.poll(100)
"""

source = Source("sda", image)
engine = Engine("vm", sda=SIZE).start()
engine.sync("p0", source)
engine.call("flip", grace_s=0)
other = connect(engine.uri("sda"))
rng = random.Random(5)
half = image.read_bytes()[SIZE // 2:]
for number in range(KILLS):
    with subprocess.Popen([sys.executable, "-c", CLIENT, engine.uri("sda"), str(SIZE)],
                          stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        time.sleep(rng.uniform(0.02, 0.1))
        os.kill(client.pid, signal.SIGKILL)
        check(other.pread(MIB, SIZE - MIB) == half[-MIB:], f"another client, after {number + 1}")
    check(engine.process.poll() is None, f"the engine lives after {number + 1} kills")
check(other.pread(SIZE // 2, SIZE // 2) == half, "and nothing of it went elsewhere")
other.shutdown()
engine.stop()

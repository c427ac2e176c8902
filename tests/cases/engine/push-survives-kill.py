# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""kill -9 in a push: what was flushed is there when it goes on; nothing is committed by itself."""

import random
import threading

import nbd

from case import check, require, run, work
from engines import MIB, SLIPWAY, Engine, connect, random_image, read_all, read_export, refused

require("nbdkit", "qemu-img")
SIZE = 16 * MIB + 512
PIECE = 96 * 1024  # not a whole number of blocks
rng = random.Random(3)
engine = Engine("vm", sda=SIZE).start()


def pieces(data):
    for at in range(0, len(data), PIECE):
        yield at, data[at:at + PIECE]


def push_until_killed(data):
    """Writes and flushes until the engine dies; tells how far the last flush reached."""
    flushed = 0
    handle = connect(engine.uri("sda+load"))
    killer = threading.Timer(rng.uniform(0.005, 0.15), engine.kill)
    killer.start()
    try:
        for number, (at, piece) in enumerate(pieces(data)):
            handle.pwrite(piece, at)
            if number % 5 == 4:
                handle.flush()
                flushed = at + len(piece)
    except nbd.Error:
        pass
    killer.join()
    return flushed


def push_all(data):
    handle = connect(engine.uri("sda+load"))
    for at, piece in pieces(data):
        handle.pwrite(piece, at)
    handle.flush()
    handle.shutdown()


def once(round_number, old):
    data = random_image(work / "new.raw", SIZE, seed=round_number + 50).read_bytes()
    name = f"push{round_number}"
    engine.call("load-begin", snapshot=name)
    flushed = push_until_killed(data)
    engine.start()
    print("round", round_number, "flushed", flushed, flush=True)
    if old is not None:
        check(read_export(engine.uri("sda")) == old, "readers see the last generation")
    try:
        connect(engine.uri("sda+load"))
        check(False, "a connection alone does not go on with it")
    except nbd.Error:
        pass
    if round_number % 3 == 2:
        run(SLIPWAY, "engine", "load", "abandon", engine.store)
        check(read_export(engine.uri("sda")) == old, "abandoned, nothing of it is left")
        return old
    check(engine.call("load-begin", snapshot=name)["resumed"], "it goes on")
    handle = connect(engine.uri("sda+load"))
    check(read_all(handle)[:flushed] == data[:flushed], "what was flushed is there")
    handle.shutdown()
    push_all(data)
    engine.call("load-commit")
    check(read_export(engine.uri("sda")) == data, "the generation is what was pushed")
    return data


content = None
for number in range(9):
    content = once(number, content)
check("no push" in refused(engine.call, "load-abandon"), "nothing is left over")
engine.stop()
check('"damage"' not in run(SLIPWAY, "engine", "fsck", engine.store, "--data", "--json"),
      "the store is sound, and every digest is right")

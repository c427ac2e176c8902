# SPDX-License-Identifier: Apache-2.0
# timeout: 280
"""Writes, reads and flushes of target and store that fail, in each phase of an engine's life: the
failure is told in a sentence, what was committed stays readable, and when the disk works again
everything goes on from there, with all the bytes."""

import os

from case import check, require, work
from engines import MIB, Engine, Lost, Refused, Source, random_image, read_export

require("nbdkit")
SIZE = 12 * MIB + 5 * 4096 + 512
EIO, ENOSPC = 5, 28
# (call, file, errno): each is tried in each phase; a phase that never makes that call goes well.
FAULTS = [
    ("fdatasync", "-sda.raw", EIO), ("fdatasync", "map.1", EIO), ("fdatasync", "/dig", EIO),
    ("fdatasync", "L1.data", EIO), ("fdatasync", "L1.idx", EIO), ("fdatasync", "L1.dig", EIO),
    ("pwrite", "/super", EIO), ("pwrite", "map.1", EIO), ("pwrite", "/dig", EIO),
    ("pwrite", "L1.idx", EIO), ("pwrite", "L1.dig", ENOSPC), ("pwrite", "L1.data", ENOSPC),
    ("pwrite", "-sda.raw", EIO), ("pwrite", "-sda.raw", ENOSPC), ("open", "L1.data", ENOSPC),
    ("fsync", "/sda", EIO), ("pread", "L1.data", EIO), ("pread", "-sda.raw", EIO),
    ("fallocate", "L1.data", ENOSPC), ("fallocate", "-sda.raw", ENOSPC),
    ("short-pwrite", "", 0), ("short-pread", "", 0),
]

old = random_image(work / "old.raw", SIZE)
new_bytes = bytearray(old.read_bytes())
for at in range(0, SIZE - MIB, MIB):
    new_bytes[at + 300:at + 70000] = os.urandom(69700)
new_bytes[5 * MIB:6 * MIB] = bytes(MIB)
new = work / "new.raw"
new.write_bytes(new_bytes)
OLD, NEW = old.read_bytes(), bytes(new_bytes)
sources = {}
told = 0


def attempt(engine, action):
    """Runs something; the sentence of its refusal, or None."""
    try:
        action(engine)
    except Refused as refusal:
        check(len(str(refusal)) > 20 and "\n" not in str(refusal), f"a sentence: {refusal}")
        return str(refusal)
    except Lost:
        return "the engine ended"
    return None


def source_of(snapshot):
    """nbdkit 1.32 may fail an assertion when a client goes away in the middle of its answers."""
    source = sources.get(snapshot)
    if source is None or source.process.poll() is not None:
        source = sources[snapshot] = Source("sda", old if snapshot == "p0" else new)
    return source


def sync(snapshot):
    return lambda engine: engine.sync(snapshot, source_of(snapshot), compare=snapshot != "p0")


def flip(engine):
    if engine.status()["mode"] != "owner":
        engine.call("flip", grace_s=0)


# (what, what it does, the bytes that are readable before it, after it)
PHASES = [("initial sync", sync("p0"), None, OLD), ("delta", sync("p1"), OLD, NEW),
          ("flip", flip, NEW, NEW)]


def story(number, fault, bad_phase, io):
    global told
    engine = Engine(f"f{number}", sda=SIZE)
    engine.io = io
    engine.fault()
    engine.start()
    call, suffix, code = fault
    what = f"{call} of {suffix or 'any file'} failing with {code} in {PHASES[bad_phase][0]}, {io}"
    for index, (name, action, before, after) in enumerate(PHASES):
        if index == bad_phase:
            engine.fault(f"{call} {suffix or '.raw'} {code}", f"{call} {suffix or '.idx'} {code}")
            sentence = attempt(engine, action)
            engine.fault()
            if sentence:
                told += 1
                print(f"{what}: {sentence}", flush=True)
                if before is not None:
                    check(read_export(engine.uri("sda")) == before, f"{what}: readable after it")
                engine.stop()
                engine.start()
                if before is not None:
                    content = read_export(engine.uri("sda"))
                    check(content in (before, after), f"{what}: readable after the restart")
                check(attempt(engine, action) is None, f"{what}: goes on when the disk works")
        else:
            action(engine)
        check(read_export(engine.uri("sda")) == after, f"{what}: {name} has its bytes")
    engine.call("detach")
    engine.stop()
    check(engine.target("sda").read_bytes()[:SIZE] == NEW, f"{what}: the target has its bytes")


stories = [(fault, phase) for fault in FAULTS for phase in range(len(PHASES))]
for number, (fault, phase) in enumerate(stories):
    story(number, fault, phase, "threads")
print(f"{len(stories)} stories, {told} failures told", flush=True)
check(told >= 15, "the faults were met")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 400
# serial
"""A thousand migrations of four sources in one slipwayd, with simulated engines and hours that pass
in seconds: all get their first copy and their deltas, in 200 MiB, with threads only for what
runs, also when slipwayd is killed in the middle of it.  What answers and restarts take is told."""

import time

from case import build, check, defer, wait_until, work
from simulated import Simulated

COUNT = 1000
SLOTS = 64
MEMORY_MAX = 200 << 20
THREADS_OWN = 20  # of slipwayd and of requests; a sync has two, of its job and of the governor

sim = Simulated(build / "tests/fake/slipwayd-sim", work / "x", speed=2400)
defer(sim.stop)
sim.start("--max-syncs", str(SLOTS))


def ms(seconds):
    return " ".join(f"{1000 * s:.0f}" for s in seconds)


def measure(what):
    """Memory is judged; times depend on the machine and are told."""
    print(f"{what}: VmRSS {sim.process('VmRSS') >> 20} MiB, VmHWM {sim.process('VmHWM') >> 20} "
          f"MiB, {sim.process('Threads')} threads; GET /v1/status {ms(sim.time_status())} ms, "
          f"slipway status {ms(sim.time_command(build / 'orchestrator/slipway'))} ms", flush=True)
    check(sim.process("VmHWM") <= MEMORY_MAX, f"{what}: at most 200 MiB")
    check(sim.process("Threads") <= THREADS_OWN + 2 * SLOTS, f"{what}: threads only for what runs")


def generations():
    return [job["generation"] for job in sim.migrations()]


def restart():
    sim.kill()
    seconds = sim.start("--max-syncs", str(SLOTS))
    print(f"restart after kill -9: {1000 * seconds:.0f} ms", flush=True)


begin = time.monotonic()
sim.create(COUNT, sources=4, sync_interval="12h")
print(f"{COUNT} created in {time.monotonic() - begin:.0f} s", flush=True)
measure("while they are copied")
restart()
wait_until(lambda: set(sim.counts()) <= {"mirrored", "syncing"} and
           all(g is not None for g in generations()), "all have a copy", timeout=200, pause=1)
check(len(sim.migrations()) == COUNT, "none is lost")
# Deltas go on; killed in the middle of them.
wait_until(lambda: min(generations()) >= 1, "all have a delta", timeout=150, pause=1)
measure("with deltas")
restart()
before = generations()
wait_until(lambda: sum(map(int.__gt__, generations(), before)) > COUNT // 10, "deltas go on",
           timeout=150, pause=1)
sim.stop()
sim.speed = 1  # as ours: hardly anything becomes due
print(f"restart in order: {1000 * sim.start():.0f} ms", flush=True)
wait_until(lambda: sim.counts()["mirrored"] > COUNT * 9 // 10, "most rest", timeout=60)
measure("at rest")
check(not any("error" in job for job in sim.migrations()), "none has an error")

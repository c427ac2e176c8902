#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand migrations with simulated engines and clock in one slipwayd: its memory, how long
status takes, and a restart after kill -9.  Goals: 200 MiB, 100 ms, 2 s."""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

from rig import MIB, Programs, median, values

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "lib"))
from simulated import Simulated  # noqa: E402  pylint: disable=wrong-import-position


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(what, times):
    times = [1000 * t for t in times]
    print("%-22s %.0f ms   (%s)" % (what, median(times), values(times)))


def measure(sim, rounds):
    print("memory                 %.0f MiB, at most %.0f MiB until now"
          % (sim.process("VmRSS") / MIB, sim.process("VmHWM") / MIB))
    before = cpu_seconds(sim.daemon.pid)
    times = sim.time_status(rounds)
    used = (cpu_seconds(sim.daemon.pid) - before) / rounds
    say("GET /v1/status", times)
    print("                       %.0f ms of CPU in slipwayd" % (1000 * used))
    say("slipway status", sim.time_command(Programs.path("orchestrator", "slipway"), rounds))


def wait_for(what, sim, condition, seconds=600):
    until = time.monotonic() + seconds
    while not condition(sim.migrations()):
        if time.monotonic() > until:
            raise SystemExit("not within %d s: %s" % (seconds, what))
        time.sleep(1)


def bench(args, sim):
    sim.start()
    begin = time.monotonic()
    sim.create(args.migrations, sources=4, sync_interval="12h")
    print("%d migrations made in %.1f s" % (args.migrations, time.monotonic() - begin))
    wait_for("a delta of each", sim, lambda jobs: all((job["generation"] or 0) >= args.deltas
                                                      for job in jobs))
    print("-- each has %d deltas or more, %.0f of them go on every second"
          % (args.deltas, args.migrations / (12 * 3600 / sim.speed)))
    measure(sim, args.rounds)
    restarts = []
    for _ in range(args.rounds):
        sim.kill()
        restarts.append(sim.start())
    say("restart after kill -9", restarts)
    sim.stop()
    sim.speed = 1
    sim.start()
    print("-- at rest, after a restart")
    measure(sim, args.rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--migrations", type=int, default=1000)
    parser.add_argument("--deltas", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    Programs.build = args.build
    folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-bench-"))
    sim = Simulated(Programs.path("tests", "fake", "slipwayd-sim"), folder, speed=2400)
    try:
        bench(args, sim)
    finally:
        sim.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()

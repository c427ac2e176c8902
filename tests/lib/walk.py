# SPDX-License-Identifier: Apache-2.0
"""Walks the table of states: stories of slipwayd-fake, each of them undisturbed and then with
something going wrong at each of its points, and which transitions of the table were taken.

    walk = Walk(stride=20)
    walk.disturb(story)         kills and errors, every 20th point of them, which by a seed
    walk.directed(function)     a function that gets a Platform and leads it somewhere
    walk.tell()                 counts; fails when something went wrong or was never seen
"""

import http.client
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from case import check, stop, work
from fakes import Platform, daemon_program

# The same points each time unless asked otherwise: a change is to blame for what fails.
SEED = int(os.environ.get("SLIPWAY_SEED") or 20779)
# What goes wrong, what it is set by, and the file that says how often it can.
KINDS = {"kill": ("SLIPWAY_CRASH_AT", "points"), "error": ("SLIPWAY_FAIL_AT", "operations"),
         "engine-kill": ("FAKE_DIE_AT", "calls"), "engine-error": ("FAKE_FAIL_AT", "calls")}


def table():
    """All transitions that the tables of slipwayd know."""
    text = subprocess.run([daemon_program, "--dump-states"], check=True, text=True,
                          capture_output=True).stdout
    known = set()
    for line in text.split("## Verbs")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(cells) == 5 and cells[0] not in ("state", "---"):
            known |= {(cells[0], to) for to in re.findall(r"[a-z-]+", cells[3])}
    return known


class Story:
    """What a person does: step(p, jobs) does the next thing and is true at the end; it can be asked
    again at any time.  end(p, what) looks at what came of it."""

    def __init__(self, label, step, end, prepare=lambda p: None, steady=True, **environment):
        self.label = label
        self.step = step
        self.end = end
        self.prepare = prepare
        self.steady = steady  # the same points each time
        self.environment = environment


def retry(p, job, verbs):
    """A person looks at what has failed and says the same again."""
    verb = next((verb for verb in verbs if verb in job["verbs"]), None)
    check(verb, f"one of {verbs} goes on: {job}")
    p.api("POST", f"/v1/migrations/{job['name']}/{verb}")


class Walk:
    def __init__(self, stride):
        self.stride = stride
        self.taken = set()
        self.failures = []
        self.counts = dict.fromkeys(KINDS, 0)
        self.runs = 0
        self.points = 0

    def _see(self, p):
        told = (p.folder / "points").read_text()
        self.taken |= set(re.findall(r" after-journal ([a-z-]+):([a-z-]+)$", told, re.M))
        self.runs += 1

    def _drive(self, p, story, environment):
        deadline = time.monotonic() + 90
        p.start(**story.environment, **environment)
        died, jobs = False, None
        while True:
            check(time.monotonic() < deadline, f"it ends within 90 s: {jobs}")
            try:
                jobs = p.api("GET", "/v1/migrations")["migrations"]
                if any(job["active"] for job in jobs):
                    time.sleep(0.005)
                elif story.step(p, jobs):
                    return died
            except (OSError, http.client.HTTPException):
                p.daemon.wait(10)
                check(not died and p.daemon.returncode == -9, "slipwayd ends only once, killed")
                died = True
                p.start(**story.environment, **{k: v for k, v in environment.items()
                                                if k != "SLIPWAY_CRASH_AT"})

    def _tell(self, story, kind, number):
        what = f"{story.label}: {kind} at {number}" if kind else f"{story.label}: undisturbed"
        p = Platform(work / (f"{story.label}-{kind}-{number}" if kind else story.label))
        story.prepare(p)
        environment = {"SLIPWAY_POINTS": p.folder / "points",
                       "SLIPWAY_OPERATIONS": p.folder / "operations",
                       "FAKE_CALLS": p.folder / "calls"}
        if kind:
            environment[KINDS[kind][0]] = number
        try:
            died = self._drive(p, story, environment)
            self._see(p)
            story.end(p, what)
            check(kind != "kill" or died or not story.steady, f"{what}: it was reached")
            if kind:
                self.counts[kind] += 1
        except (SystemExit, Exception) as failure:  # pylint: disable=broad-except
            self.failures.append(f"{what}: {failure!r}")
            print(self.failures[-1], flush=True)
        finally:
            p.end()
        return p.folder

    def disturb(self, *stories):
        """Each story alone, then with what can go wrong in it."""
        with ThreadPoolExecutor(2) as pool:
            folders = list(pool.map(lambda story: self._tell(story, None, 0), stories))
            every = []
            for story, folder in zip(stories, folders):
                for kind, (_, log) in KINDS.items():
                    path = folder / log
                    lines = len(path.read_text().splitlines()) if path.exists() else 0
                    if kind == "engine-kill":  # before and after
                        lines *= 2
                    first = 0 if kind.startswith("engine") else 1
                    every += [(story, kind, n) for n in range(first, first + lines)]
            self.points += len(every)
            todo = every[SEED * 7 % self.stride::self.stride]
            list(pool.map(lambda one: self._tell(*one), todo))

    def directed(self, *functions):
        """Each leads a slipwayd of its own somewhere."""
        def lead(function):
            p = Platform(work / function.__name__)
            try:
                p.start(SLIPWAY_HOLD=p.folder / "hold", SLIPWAY_POINTS=p.folder / "points")
                p.add_source()
                function(p)
                self._see(p)
            except (SystemExit, Exception) as failure:  # pylint: disable=broad-except
                self.failures.append(f"{function.__name__}: {failure!r}")
                print(self.failures[-1], flush=True)
            finally:
                p.end()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lead, functions))

    def tell(self, never=()):
        """never: transitions that are a net only, with the reason; they must really not happen."""
        known = table()
        missed = sorted(known - self.taken - set(never))
        print(f"seed {SEED}, every {self.stride}. of {self.points} points: {self.runs} runs, "
              f"{self.counts['kill']} kills of slipwayd, {self.counts['engine-kill']} of engines, "
              f"{self.counts['error']} errors of platforms, {self.counts['engine-error']} of "
              f"engines; {len({a for a, _ in known} | {b for _, b in known})} states, "
              f"{len(known & self.taken)} of {len(known)} transitions taken")
        for pair, why in dict(never).items():
            print(f"not to be taken: {' -> '.join(pair)}: {why}")
        check(not self.failures, f"{len(self.failures)} of {self.runs} runs went wrong")
        check(not missed, "never taken: " + ", ".join(" -> ".join(pair) for pair in missed))
        check(not set(never) & self.taken, f"taken after all: {set(never) & self.taken}")
        check({pair for pair in self.taken if pair[0] != "new"} <= known,
              f"not in the table: {self.taken - known}")


def alone(p):
    """What must hold when nobody works on anything any more: nothing open, nothing left."""
    check(p.rows("select * from leftovers") == [], f"leftovers {p.rows('select * from leftovers')}")
    check(p.rows("select * from passes where ended=0") == [], "a pass is open")
    check(not list(p.state.glob("stores/*/control.sock")), "an engine runs")
    left = [path.name for pattern in ("snap-*", "writing-*", "held") for path in
            p.source.glob(f"*/{pattern}")]
    check(not left, f"left on the source: {left}")
    check(not list(p.node.glob("*-rehearsal.*")), "a rehearsal is on the node")


def clean_up(p, jobs):
    """Removes all finished migrations; true when none is left."""
    for job in jobs:
        p.api("DELETE", f"/v1/migrations/{job['name']}")
    return not jobs


def finish(p):
    """For those that end well: stops slipwayd in order and checks that it does."""
    stop(p.daemon, grace=20)
    check(p.daemon.returncode == 0, f"slipwayd ends with {p.daemon.returncode}")

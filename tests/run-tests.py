#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the unit tests of the build and the scenario files of tests/cases.

The closing line "N passed, N failed, N skipped" is the last line of the output; the exit code is
0 only when nothing failed.  tests/README.md says how a test is written.
"""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPERVISOR = ROOT / "tests" / "lib" / "supervisor.py"
SUITES = ("quick", "full", "long")
HEARTBEAT_S = 30
LOG_TAIL_LINES = 120
UNIT_TIMEOUT_FACTOR = 4  # meson's time-outs are for a quiet machine without sanitizers


@dataclass
class Test:
    """One thing that passes, fails or is skipped."""

    name: str
    argv: list
    suite: str = "full"
    timeout: float = 300
    serial: bool = False
    env: dict = field(default_factory=dict)
    cwd: str = str(ROOT)


@dataclass
class Outcome:
    test: Test
    result: str  # "pass", "fail", "skip"
    seconds: float
    log: Path
    why: str = ""


def read_headers(path):
    """`# key: value` and `# key` lines at the top of a case, before the first line of code."""
    headers = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            break
        key, _, value = line.lstrip("#! ").partition(":")
        headers[key.strip()] = value.strip()
    return headers


def scenario_files():
    """(test name, file): everything below tests/cases, and the checks of tests/style."""
    cases = ROOT / "tests" / "cases"
    for path in sorted(cases.rglob("*.py")):
        yield str(path.relative_to(cases).with_suffix("")), path
    for path in sorted((ROOT / "tests" / "style").glob("*.py")):
        if "suite" in read_headers(path):
            yield "style/" + path.stem, path


def scenario_tests(build):
    tests = []
    for name, path in scenario_files():
        headers = read_headers(path)
        suite = headers.get("suite", "full")
        if suite not in SUITES:
            sys.exit(f"{path}: suite '{suite}' is not one of {', '.join(SUITES)}")
        tests.append(Test(name, ["/usr/bin/python3", "-u", str(path)], suite,
                          float(headers.get("timeout", 300)), "serial" in headers,
                          {"SLIPWAY_BUILD": str(build)}))
    return tests


def without_wide_addresses():
    """The race detector of older compilers does not start where addresses are very random."""
    try:
        bits = int(Path("/proc/sys/vm/mmap_rnd_bits").read_text())
    except (OSError, ValueError):
        bits = 0
    return ["setarch", "-R"] if bits > 28 else []


def unit_tests(build, kind=""):
    """The tests meson knows of; those of its suite "long" run only when asked for.  kind: of its
    suite "tsan", which are for a build with the race detector, or "plain", for one without any
    sanitizer: they ask whether planted bugs are noticed, and that takes many runs."""
    prefix = without_wide_addresses() if kind == "tsan" else []
    text = subprocess.run(["meson", "introspect", "--tests", str(build)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    tests = []
    for entry in json.loads(text):
        suites = {suite.rpartition(":")[2] for suite in entry["suite"]}
        if kind != next((k for k in ("tsan", "plain") if k in suites), ""):
            continue
        suite = next((s for s in ("long", "full") if s in suites), "quick")
        if kind == "tsan":
            suite = "full"
        tests.append(Test("unit/" + entry["name"], prefix + entry["cmd"], suite,
                          (entry.get("timeout") or 30) * UNIT_TIMEOUT_FACTOR,
                          not entry.get("is_parallel", True),
                          {**entry.get("env", {}), "SLIPWAY_BUILD": str(build)},
                          entry.get("workdir") or str(build)))
    return sorted(tests, key=lambda test: test.name)


def select(tests, words):
    """Suites are cumulative: full holds quick, long holds both.  Other words are name patterns."""
    suites = [word for word in words if word in SUITES]
    patterns = [word for word in words if word not in SUITES]
    wanted = SUITES[:SUITES.index(suites[-1]) + 1] if suites else SUITES[:2]
    if not patterns:
        return [test for test in tests if test.suite in wanted]
    chosen = [test for test in tests
              if any(fnmatch.fnmatch(test.name, pattern) or
                     fnmatch.fnmatch(test.name, f"*{pattern}*") for pattern in patterns)]
    if not chosen:
        sys.exit("no test is called " + " or ".join(patterns) + "; ./run test --list names them")
    return chosen


def test_environment(test, work):
    environment = dict(os.environ)
    environment.update({
        "SLIPWAY_SOURCE": str(ROOT),
        "SLIPWAY_CACHE": environment.get("SLIPWAY_CACHE", "/var/cache/slipway-test"),
        "SLIPWAY_TEST_DIR": str(work),
        "TMPDIR": str(work),
        "PYTHONPATH": str(ROOT / "tests" / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "LIBGUESTFS_BACKEND": "direct",
        # KVM may be there and hang (nested without support); tests do without it.
        "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg",
        "SLIPWAY_ACCEL": environment.get("SLIPWAY_ACCEL", "tcg"),
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "exitcode=66:second_deadlock_stack=1:history_size=4",
    })
    environment.update(test.env)
    return environment


def run_one(test, logs):
    log = logs / (test.name.replace("/", "-") + ".log")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slipway-test-", ignore_cleanup_errors=True) as work:
        with open(log, "wb") as output:
            code = subprocess.run(
                [sys.executable, str(SUPERVISOR), str(test.timeout), *test.argv],
                env=test_environment(test, work), cwd=test.cwd, stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    seconds = time.monotonic() - started
    if code == 0:
        return Outcome(test, "pass", seconds, log)
    if code == 77:
        lines = log.read_text(errors="replace").strip().splitlines()
        return Outcome(test, "skip", seconds, log, lines[-1] if lines else "")
    why = f"no end after {test.timeout:.0f} s" if code == 124 else f"exit code {code}"
    return Outcome(test, "fail", seconds, log, why)


class Runner:
    """Runs tests, two at a time; serial ones alone."""

    def __init__(self, tests, logs, jobs):
        self.waiting = [t for t in tests if not t.serial] + [t for t in tests if t.serial]
        self.total = len(tests)
        self.logs = logs
        self.jobs = jobs
        self.running = {}  # test name → start time
        self.outcomes = []
        self.changed = threading.Condition()
        self.serial_running = False

    def take(self):
        """The next test that may start now, or None when all have been handed out."""
        with self.changed:
            while self.waiting:
                test = self.waiting[0]
                free = not self.serial_running and (not test.serial or not self.running)
                if free:
                    self.waiting.pop(0)
                    self.running[test.name] = time.monotonic()
                    self.serial_running = test.serial
                    return test
                self.changed.wait()
            return None

    def work(self):
        while (test := self.take()) is not None:
            outcome = run_one(test, self.logs)
            with self.changed:
                del self.running[test.name]
                if test.serial:
                    self.serial_running = False
                self.outcomes.append(outcome)
                self.report(outcome)
                self.changed.notify_all()

    def report(self, outcome):
        word = {"pass": "ok", "fail": "FAILED", "skip": "skipped"}[outcome.result]
        why = f"  ({outcome.why})" if outcome.why else ""
        print(f"[{len(self.outcomes):3}/{self.total}] {word:8}{outcome.seconds:7.1f} s  "
              f"{outcome.test.name}{why}", flush=True)
        if outcome.result == "fail":
            lines = outcome.log.read_text(errors="replace").splitlines()
            if len(lines) > LOG_TAIL_LINES:
                print(f"    … {len(lines) - LOG_TAIL_LINES} lines before, all in {outcome.log}")
            for line in lines[-LOG_TAIL_LINES:]:
                print("    " + line)
            sys.stdout.flush()

    def heartbeat(self):
        now = time.monotonic()
        late = [f"{name} ({now - since:.0f} s)" for name, since in self.running.items()
                if now - since >= HEARTBEAT_S]
        if late:
            print("         … running: " + ", ".join(late), flush=True)

    def run(self):
        workers = [threading.Thread(target=self.work) for _ in range(self.jobs)]
        for worker in workers:
            worker.start()
        last = time.monotonic()
        while any(worker.is_alive() for worker in workers):
            workers[0].join(1) if workers[0].is_alive() else time.sleep(1)
            if time.monotonic() - last >= HEARTBEAT_S:
                last = time.monotonic()
                with self.changed:
                    self.heartbeat()
        return self.outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="quick|full|long|NAME",
                        help="a suite (default full) or patterns of test names")
    parser.add_argument("--build", type=Path, default=ROOT / "build",
                        help="build folder the scenario tests use")
    parser.add_argument("--unit-build", type=Path, help="build folder of the unit tests")
    parser.add_argument("--races-build", type=Path,
                        help="build folder with the race detector")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="only name the tests")
    options = parser.parse_args()

    build = options.build.resolve()
    unit_build = (options.unit_build or options.build).resolve()
    races = unit_tests(options.races_build.resolve(), "tsan") if options.races_build else []
    tests = select(unit_tests(unit_build) + unit_tests(build, "plain") + races +
                   scenario_tests(build), options.words)
    if options.list:
        for test in tests:
            print(f"{test.suite:6} {test.name}")
        return 0

    logs = build / "test-logs"
    logs.mkdir(exist_ok=True)
    print(f"{len(tests)} tests, logs in {logs}", flush=True)
    started = time.monotonic()
    outcomes = Runner(tests, logs, options.jobs).run()
    count = {result: sum(o.result == result for o in outcomes)
             for result in ("pass", "fail", "skip")}
    print(f"took {time.monotonic() - started:.0f} s")
    for outcome in outcomes:
        if outcome.result == "fail":
            print(f"failed: {outcome.test.name} ({outcome.why})")
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped", flush=True)
    return 1 if count["fail"] else 0


if __name__ == "__main__":
    sys.exit(main())

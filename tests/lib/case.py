# SPDX-License-Identifier: Apache-2.0
"""What scenario tests share: skipping, requirements, commands, waiting, cleaning up.

    from case import build, check, defer, require, run, wait_until, work
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

source = Path(os.environ.get("SLIPWAY_SOURCE", Path(__file__).resolve().parents[2]))
build = Path(os.environ.get("SLIPWAY_BUILD", source / "build"))
cache = Path(os.environ.get("SLIPWAY_CACHE", "/var/cache/slipway-test"))

_deferred = []


def _work_dir():
    """The test's private folder; outside the runner one that is removed at the end."""
    if "SLIPWAY_TEST_DIR" in os.environ:
        return Path(os.environ["SLIPWAY_TEST_DIR"])
    path = Path("/tmp") / f"slipway-case-{os.getpid()}"
    path.mkdir()
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


work = _work_dir()


def skip(why):
    """Ends the test as skipped; the last line of its output says why."""
    print(f"skipped: {why}", flush=True)
    sys.exit(77)


def require(*names):
    """Skips unless every name is a program in PATH or an existing file; "root" asks for root."""
    for name in names:
        if name == "root":
            if os.geteuid() != 0:
                skip("needs root")
        elif not (shutil.which(str(name)) or Path(name).exists()):
            skip(f"needs {name}")


def check(condition, sentence):
    """Fails the test with a sentence when the condition does not hold."""
    if not condition:
        sys.exit(f"FAILED: {sentence}")


def run(*argv, expect=0, timeout=120, stdin=None, quiet=False):
    """Runs a command, shows it and its output, and returns the output (both streams in one).

    expect: the exit code that must come, "failure" for any but 0, None for any at all."""
    argv = [str(word) for word in argv]
    if not quiet:
        print("+ " + " ".join(argv), flush=True)
    result = subprocess.run(argv, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=timeout, check=False)
    if not quiet:
        print(result.stdout, end="", flush=True)
    good = (expect is None or result.returncode == expect or
            (expect == "failure" and result.returncode not in (0, 127) and result.returncode > 0))
    check(good, f"'{' '.join(argv)}' ended with {result.returncode}, expected {expect}"
                + (f"; it said: {result.stdout[-2000:]}" if quiet else ""))
    return result.stdout


def wait_until(condition, what, timeout=60, pause=0.1):
    """Waits until condition() is true and returns what it returned; fails naming `what`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {timeout} s")
        time.sleep(pause)


def defer(function, *arguments):
    """Calls function(*arguments) at the end, last deferred first, however the test ends."""
    _deferred.append((function, arguments))


def stop(process, grace=5):
    """Ends a subprocess.Popen: SIGTERM, after a while SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start(*argv, log=None, **options):
    """Starts a process that ends with the test; its output goes to the test's log or to `log`."""
    argv = [str(word) for word in argv]
    print("& " + " ".join(argv), flush=True)
    output = open(log, "ab") if log else None
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT if output else None, **options)
    if output:
        output.close()
    defer(stop, process)
    return process


def _run_deferred():
    while _deferred:
        function, arguments = _deferred.pop()
        try:
            function(*arguments)
        except Exception as error:  # the others must still be cleaned up
            print(f"cleaning up: {error}", flush=True)


atexit.register(_run_deferred)
for _number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_number, lambda number, _frame: sys.exit(128 + number))

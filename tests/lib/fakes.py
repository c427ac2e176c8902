# SPDX-License-Identifier: Apache-2.0
"""A slipwayd whose source, engine and node are files, and a client for it.

    platform = Platform(work / "x")      a source with the VM "web", a node, a state folder
    daemon = platform.start()            slipwayd-fake
    platform.api("GET", "/v1/migrations")
"""

import http.client
import json
import os
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from case import build, check, defer, stop, work

daemon_program = build / "tests" / "fake" / "slipwayd-fake"
cli_program = build / "orchestrator" / "slipway"

MORPH = """#!/bin/bash
# A morph that leaves a line in the draft.
if [ "$1" = --check ]; then
    case "$*" in *--no-such*) echo 'fake: unknown option' >&2; exit 2 ;; esac
    exit 0
fi
arguments=$*
while [ $# -gt 0 ]; do
    if [ "$1" = --disk ]; then uri=$2; shift; fi
    if [ "$1" = --wait ]; then wait=1; fi
    shift
done
store=${uri#*socket=}
store=${store%/nbd.sock}
top=$store/../../..
cp "$top/src/web/power" "$top/power-when-morph-began"
printf '%s\n' "$arguments" > "$top/morph-arguments"
if [ -n "${wait:-}" ]; then
    if [ -f "$top/no-warm-morph" ]; then exit 20; fi
    echo '{"phase": "wait", "state": "begin"}' >&2
    read -r word && [ "$word" = go ] || exit 20
fi
sleep "${FAKE_MORPH_PAUSE:-0}"
echo MORPHED >> "$store/draft-vda"
echo '{"changes": []}'
if [ -f "$store/../../fail-morph" ]; then echo 'no guest found' >&2; exit 1; fi
"""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("slipwayd")
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.unix_path)


class Platform:
    def __init__(self, folder):
        self.folder = folder
        self.source = folder / "src"
        self.vm = self.source / "web"
        self.state = folder / "st"
        self.pool = folder / "pool"
        self.node = folder / "node"
        self.socket = folder / "s.sock"
        self.libexec = folder / "libexec"
        self.daemon = None
        for path in (self.vm, self.pool, self.node, self.libexec):
            path.mkdir(parents=True)
        morph = self.libexec / "slipway-morph"
        morph.write_text(MORPH)
        morph.chmod(0o755)
        (self.vm / "power").write_text("running")
        (self.vm / "vda.img").write_text("start\n")
        self.describe(self.vm)
        defer(self.end)

    def describe(self, folder, **changes):
        vm = {"id": "1", "name": folder.name, "uuid": "11111111-2222-3333-4444-555555555555",
              "state": "running", "memory_bytes": 1 << 29, "vcpus": 1, "arch": "x86_64",
              "machine": "q35", "firmware": "bios", "serial": True, "native": "",
              "disks": [{"name": "vda", "size_bytes": 1 << 20, "format": "raw", "cbt": True}],
              "nics": [{"mac": "52:54:00:00:00:01", "model": "e1000", "network": "default",
                        "network_type": "network"}]}
        vm.update(changes)
        (folder / "vm.json").write_text(json.dumps(vm))

    def start(self, expect_ready=True, options=(), **environment):
        env = {**os.environ, "SLIPWAY_LIBEXEC": str(self.libexec), "SLIPWAY_ACCEL": "tcg",
               **{name: str(value) for name, value in environment.items()}}
        with open(self.folder / "daemon.log", "ab") as log:
            self.daemon = subprocess.Popen(
                [daemon_program, "--state", self.state, "--socket", self.socket, "--pool",
                 self.pool, "--node", f"test://{self.node}", "--log-level", "debug", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        deadline = time.monotonic() + 30
        while expect_ready and self.daemon.poll() is None:
            try:
                self.api("GET", "/v1/version")
                break
            except (OSError, http.client.HTTPException):
                check(time.monotonic() < deadline, "slipwayd-fake is ready within 30 s")
                time.sleep(0.01)
        return self.daemon

    def stop(self):
        stop(self.daemon, grace=20)
        return self.daemon.returncode

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def end(self):
        """Ends daemon and engines, also of a failed test."""
        if self.daemon:
            stop(self.daemon)
        for path in self.state.glob("stores/*/control.sock"):
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(5)
                    s.connect(str(path))
                    s.sendall(b'{"id": 1, "verb": "stop", "args": {}}\n')
                    s.recv(1000)
            except OSError:
                pass

    def raw(self, method, path, body=None):
        """(status, decoded answer)"""
        connection = _Connection(str(self.socket))
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None

    def api(self, method, path, body=None):
        return self.raw(method, path, json.dumps(body) if body is not None else None)[1]

    def job(self, name="web"):
        """The migration or None."""
        status, answer = self.raw("GET", f"/v1/migrations/{name}")
        return answer if status == 200 else None

    def add_source(self):
        self.api("POST", "/v1/sources", {"name": "src", "uri": f"test://{self.source}"})

    def wait_rest(self, name="web", timeout=60):
        """Waits until nobody works on the migration and returns it."""
        deadline = time.monotonic() + timeout
        while True:
            job = self.job(name)
            if job and not job["active"]:
                return job
            check(time.monotonic() < deadline, f"{name} comes to rest within {timeout} s: {job}")
            time.sleep(0.01)

    def migrate(self, name="web", **params):
        self.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": name,
                                          "commit_window_s": 0, **params})
        return self.wait_rest(name)

    def verb(self, verb, name="web"):
        answer = self.api("POST", f"/v1/migrations/{name}/{verb}")
        return answer if "error" in answer and "code" in answer["error"] and "name" not in answer \
            else self.wait_rest(name)

    def guest_writes(self, line):
        with open(self.vm / "vda.img", "a", encoding="utf-8") as image:
            image.write(line + "\n")

    def target(self, name="web"):
        return (self.pool / name / "vda.raw").read_text()

    def rows(self, sql):
        with sqlite3.connect(self.state / "journal.db") as db:
            return db.execute(sql).fetchall()

    def leftovers(self):
        """What is still on the source because of us."""
        return sorted(p.name for p in self.vm.iterdir() if p.name.startswith(("snap-", "check")))

    def cli(self, *argv, expect=0, stdin=None):
        """Runs slipway; returns its standard output."""
        result = subprocess.run([cli_program, *argv], input=stdin, text=True, check=False,
                                stdin=None if stdin else subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                                env={**os.environ, "SLIPWAY_SOCKET": str(self.socket)})
        print(f"+ slipway {' '.join(map(str, argv))}: {result.returncode}\n{result.stdout}"
              f"{result.stderr}", end="", flush=True)
        check(result.returncode == expect,
              f"slipway {argv[0]} ended with {result.returncode}, expected {expect}")
        return result.stdout if expect == 0 or "--json" in argv else result.stderr


def _drive(p, step, **environment):
    """Calls step(p) until it is true, across one death of the daemon.  True when it died."""
    died = False
    p.start(**environment)
    deadline = time.monotonic() + 60
    while True:
        check(time.monotonic() < deadline, f"{p.folder} comes to its end within a minute")
        try:
            if step(p):
                return died
        except (OSError, http.client.HTTPException):
            p.daemon.wait(10)
            check(not died, "the daemon dies only once")
            died = True
            p.start()


def kill_everywhere(step, check_end, prepare=lambda p: None, every=1, label="k"):
    """Runs a story once to learn its points, then once for each of them with slipwayd killed there.

    step(p) does the next thing and is true at the end of the story, check_end(p, what) looks at
    the outcome; label tells stories of one test apart."""
    def tell(number, name):
        p = Platform(work / f"{label}{number}")
        prepare(p)
        died = _drive(p, step, **({"SLIPWAY_CRASH_AT": number} if number else
                                  {"SLIPWAY_POINTS": work / f"points-{label}"}))
        check_end(p, f"killed at {name}")
        check(died == bool(number), f"point {number} {name} was reached")
        stop(p.daemon, grace=20)

    tell(0, "no point")
    points = [line.split(" ", 1) for line in (work / f"points-{label}").read_text().splitlines()]
    print(f"{len(points)} points", flush=True)
    failures = 0
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(tell, int(n), name) for n, name in points[::every]]:
            try:
                future.result()
            except SystemExit as failure:
                print(failure, flush=True)
                failures += 1
    check(failures == 0, f"{failures} of {len(points[::every])} kills went wrong")

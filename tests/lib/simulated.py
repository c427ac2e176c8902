# SPDX-License-Identifier: Apache-2.0
"""A slipwayd whose sources, engines and node are records in one file (tests/fake/sim.h), with many
migrations.

    sim = Simulated(build / "tests/fake/slipwayd-sim", work / "x", speed=600)
    sim.start()
    sim.create(1000, sources=4, sync_interval="12h")
    sim.counts()                                    how many are in which state
    sim.process("VmHWM")

Simulated time passes `speed` times as fast as ours; it goes on over restarts.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import socket
import subprocess
import time

class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("slipwayd")
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.unix_path)


class Simulated:
    def __init__(self, program, folder, speed):
        self.program = program
        self.folder = folder
        self.speed = speed
        self.socket = folder / "s.sock"
        self.daemon = None
        for name in ("pool", "st"):
            (folder / name).mkdir(parents=True)

    def start(self, *options):
        """Starts slipwayd; the seconds until it answers."""
        env = {**os.environ, "SLIPWAY_SIM_FILE": str(self.folder / "sim"),
               "SLIPWAY_SIM_SPEED": str(self.speed)}
        begin = time.monotonic()
        with open(self.folder / "daemon.log", "ab") as log:
            # pylint: disable=consider-using-with
            self.daemon = subprocess.Popen(
                [self.program, "--state", self.folder / "st", "--socket", self.socket, "--pool",
                 self.folder / "pool", "--node", "sim://node/0", "--max-syncs", "64", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        while self.daemon.poll() is None:
            try:
                self.api("GET", "/v1/version")
                return time.monotonic() - begin
            except (OSError, http.client.HTTPException):
                time.sleep(0.002)
        raise SystemExit(f"slipwayd-sim ended: {(self.folder / 'daemon.log').read_text()[-2000:]}")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def stop(self):
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def raw(self, method, path, body=None):
        """(status, the text of the answer)"""
        connection = _Connection(str(self.socket))
        try:
            connection.request(method, path, body and json.dumps(body))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def api(self, method, path, body=None):
        status, text = self.raw(method, path, body)
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {text.decode()}")
        return json.loads(text) if text else None

    def create(self, count, sources=4, **params):
        """As many migrations, of several sources, by the API."""
        each = count // sources
        for s in range(sources):
            self.api("POST", "/v1/sources", {"name": f"src{s}", "uri": f"sim://vm{s}/{each}"})
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: self.api("POST", "/v1/migrations", {
                "source": f"src{n % sources}", "vm": f"vm{n % sources}-{n // sources + 1:04}",
                "morph": False, "commit_window_s": 0, **params}), range(each * sources)))

    def migrations(self):
        return self.api("GET", "/v1/status")["migrations"]

    def counts(self):
        """How many migrations are in each state."""
        return collections.Counter(job["state"] for job in self.migrations())

    def process(self, key):
        """A number of /proc/PID/status; of memory in bytes."""
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        value = fields[key].split()
        return int(value[0]) << (10 if value[1:] == ["kB"] else 0)

    def time_status(self, times=9):
        """Seconds that GET /v1/status takes, ascending."""
        def one():
            begin = time.monotonic()
            self.raw("GET", "/v1/status")
            return time.monotonic() - begin
        return sorted(one() for _ in range(times))

    def time_command(self, program, times=5):
        """Seconds that `slipway status` takes, ascending."""
        def one():
            begin = time.monotonic()
            subprocess.run([program, "status"], check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "SLIPWAY_SOCKET": str(self.socket)})
            return time.monotonic() - begin
        return sorted(one() for _ in range(times))

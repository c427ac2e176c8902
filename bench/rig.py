# SPDX-License-Identifier: Apache-2.0
"""What the parts of the benchmark share: programs, servers, stores, medians."""
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
BLOCK = 64 << 10


class Programs:
    """Where ours are; set by --build."""
    build = "build"

    @classmethod
    def path(cls, *words):
        return os.path.join(os.path.abspath(cls.build), *words)


def run(*argv, **kw):
    kw.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(argv, check=True, stderr=subprocess.PIPE, **kw)


def wait_for(path, process, seconds=30):
    until = time.monotonic() + seconds
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("%s did not come up" % process.args[0])
        time.sleep(0.02)


class Servers:
    """Processes that are ended when the benchmark ends, however it ends."""

    def __init__(self):
        self.processes = []

    def start(self, socket, *argv):
        if os.path.exists(socket):
            os.unlink(socket)
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.processes.append(p)
        wait_for(socket, p)
        return p

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait()
        self.processes.remove(process)

    def stop_all(self):
        for p in list(self.processes):
            self.stop(p)


def make_image(path, size):
    """Half full: every second 64 MiB is random data, the rest holes."""
    with open(path, "wb") as f:
        f.truncate(size)
        for start in range(0, size, 128 * MIB):
            f.seek(start)
            for _ in range(64):
                f.write(os.urandom(MIB))
        f.flush()
        os.fsync(f.fileno())


def make_target(path, size):
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as f:
        f.truncate(size)


def uri(socket, export=""):
    return "nbd+unix:///%s?socket=%s" % (export, socket)


class Store:
    """A fresh store and a served engine."""

    def __init__(self, servers, folder, name, size):
        self.servers = servers
        self.path = os.path.join(folder, name)
        self.target = self.path + ".raw"
        shutil.rmtree(self.path, ignore_errors=True)
        if os.path.exists(self.target):
            os.unlink(self.target)
        self.slipway("create", "--disk", "sda=%s:%d" % (self.target, size))
        self.socket = os.path.join(self.path, "nbd.sock")
        self.start()

    def slipway(self, verb, *words):
        return run(Programs.path("orchestrator", "slipway"), "engine", verb, self.path,
                   *words).stdout

    def start(self):
        self.process = self.servers.start(self.socket, Programs.path("orchestrator", "slipway"),
                                          "engine", "serve", self.path)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.servers.processes.remove(self.process)

    def call(self, verb, **args):
        """A control verb; its result."""
        with socket.socket(socket.AF_UNIX) as s, s.makefile("rw") as lines:
            s.connect(os.path.join(self.path, "control.sock"))
            lines.write(json.dumps({"id": 1, "verb": verb, "args": args}) + "\n")
            lines.flush()
            for line in lines:
                answer = json.loads(line)
                if "error" in answer:
                    raise SystemExit("%s: %s" % (verb, answer["error"]["message"]))
                if "result" in answer:
                    return answer["result"]
        raise SystemExit("the engine ended during " + verb)

    def status(self):
        return self.call("status")

    def uri(self, export="sda"):
        return uri(self.socket, export)

    def sync(self, source, snapshot, *more):
        return json.loads(self.slipway("sync", "sda=" + source, "--snapshot", snapshot, "--json",
                                       *more))

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self):
        return self.memory("VmHWM")

    def memory(self, what="VmRSS"):
        """VmRSS, VmHWM, RssShmem ... in bytes."""
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith(what + ":"):
                    return int(line.split()[1]) << 10
        return 0

    def wait_folded(self):
        while any(disk["layers"] for disk in self.status()["disks"]):
            time.sleep(0.05)

    def close(self):
        self.servers.stop(self.process)
        shutil.rmtree(self.path, ignore_errors=True)
        os.unlink(self.target)


def timed(action):
    start = time.monotonic()
    action()
    return time.monotonic() - start


def settle():
    """What one contestant left in the page cache and the journal is not the next one's load."""
    os.sync()


def median(values):
    return statistics.median(values)


def fio(source, seconds, *options):
    """One measurement over NBD: {"read": …, "write": …} of fio's JSON."""
    out = run("fio", "--name=b", "--ioengine=nbd", "--uri=" + source, "--time_based",
              "--runtime=%d" % seconds, "--output-format=json", *options).stdout
    return json.loads(out[out.index(b"{"):])["jobs"][0]


def compare(rounds, contestants, measure):
    """Each contestant in turn, `rounds` times: {name: [value, …]}."""
    results = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, what in contestants.items():
            results[name].append(measure(what))
    return results


def values(numbers, form="%.0f"):
    return " ".join(form % n for n in numbers)

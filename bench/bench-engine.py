#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the engine against its peers: ./run bench engine

Every row is measured in one run, the contestants in turn (A B C A B C ...), medians of ROUNDS, the
final flush included.  Nothing here passes or fails: the table says what was measured.
"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SLIPWAY = "slipway"  # set by --build
MIB = 1 << 20
GIB = 1 << 30
BLOCK = 64 << 10


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
        run(SLIPWAY, "engine", "create", self.path, "--disk", "sda=%s:%d" % (self.target, size))
        self.socket = os.path.join(self.path, "nbd.sock")
        self.process = servers.start(self.socket, SLIPWAY, "engine", "serve", self.path)

    def sync(self, source, snapshot, *more):
        out = run(SLIPWAY, "engine", "sync", self.path, "sda=" + source, "--snapshot", snapshot,
                  "--json", *more).stdout
        return json.loads(out)

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            for line in f:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) << 10
        return 0

    def wait_folded(self):
        while True:
            status = json.loads(run(SLIPWAY, "engine", "status", self.path, "--json").stdout)
            if not any(d["layers"] for d in status["disks"]):
                return
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


def initial_sync(args, servers, folder, source):
    size = args.size
    target = os.path.join(folder, "peer.raw")
    times = {"slipway": [], "nbdcopy": [], "qemu-img": []}
    cpu, memory = [], []
    for _ in range(args.rounds):
        settle()
        store = Store(servers, folder, "store", size)
        before = store.cpu_seconds()
        times["slipway"].append(timed(lambda: store.sync(source, "s0")))
        cpu.append(store.cpu_seconds() - before)
        memory.append(store.peak_memory())
        store.close()
        settle()
        make_target(target, size)
        times["nbdcopy"].append(timed(lambda: run("nbdcopy", "--flush", source, target)))
        settle()
        make_target(target, size)
        times["qemu-img"].append(timed(lambda: run(
            "qemu-img", "convert", "-W", "-n", "-t", "none", "-m", "16", "-f", "raw", "-O", "raw",
            source, target)))
    os.unlink(target)
    data = size // 2
    medians = {k: statistics.median(v) for k, v in times.items()}
    for name, seconds in medians.items():
        print("initial sync      %-10s %7.2f s  %6.0f MiB/s of data   (%s)"
              % (name, seconds, data / MIB / seconds,
                 " ".join("%.2f" % t for t in times[name])))
    print("initial sync      slipway is %.2f x nbdcopy --flush, %.2f x qemu-img convert"
          % (medians["nbdcopy"] / medians["slipway"], medians["qemu-img"] / medians["slipway"]))
    print("initial sync      %.2f CPU-s per GiB of data, peak memory %.0f MiB"
          % (statistics.median(cpu) / (data / GIB), max(memory) / MIB))


def dirty(path, size, share, seed):
    blocks = random.Random(seed).sample(range(size // BLOCK), int(size // BLOCK * share))
    for block in blocks:
        run_io = os.urandom(BLOCK)
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, run_io, block * BLOCK)
        os.close(fd)
    return sorted(blocks)


def delta(args, servers, folder):
    """A delta of 5 % random blocks by a qcow2 bitmap, against an initial sync of as many bytes."""
    size, share = args.size, 0.05
    image, small = os.path.join(folder, "d.qcow2"), os.path.join(folder, "small.raw")
    amount = int(size // BLOCK * share) * BLOCK
    deltas, same = [], []
    with open(small, "wb") as f:
        for _ in range(amount // BLOCK):
            f.write(os.urandom(BLOCK))
    for i in range(args.rounds):
        sock = os.path.join(folder, "d.sock")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "compat=1.1", image, str(size))
        blocks = random.Random(i).sample(range(size // BLOCK), int(size // BLOCK * share))
        store = Store(servers, folder, "delta", size)
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-k", sock, "-f", "qcow2", image)
        store.sync(uri(sock), "s0")
        servers.stop(q)
        run("qemu-img", "bitmap", "--add", image, "b0")
        script = "".join("write -P %d %d 64k\n" % (1 + b % 250, b * BLOCK) for b in blocks)
        run("qemu-io", "-f", "qcow2", image, input=script.encode())
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-B", "b0", "-k", sock, "-f",
                          "qcow2", image)
        settle()
        deltas.append(timed(lambda: store.sync(uri(sock), "s1", "--bitmap",
                                               "sda=qemu:dirty-bitmap:b0")))
        servers.stop(q)
        store.close()
        settle()
        store = Store(servers, folder, "same", amount)
        q = servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "8", "-k", sock, "-f", "raw", small)
        same.append(timed(lambda: store.sync(uri(sock), "s0")))
        servers.stop(q)
        store.close()
    a, b = statistics.median(deltas), statistics.median(same)
    print("delta 5 %%         %.3f s for %d MiB in random 64 KiB blocks; the same bytes as an "
          "initial sync %.3f s: %.2f x" % (a, amount // MIB, b, a / b))


def read_speed(source, seconds, block, depth, random_access):
    out = run("fio", "--name=r", "--ioengine=nbd", "--uri=" + source, "--rw=%s" %
              ("randread" if random_access else "read"), "--bs=%d" % block, "--iodepth=%d" % depth,
              "--time_based", "--runtime=%d" % seconds, "--output-format=json").stdout
    job = json.loads(out[out.index(b"{"):])["jobs"][0]["read"]
    return job["bw_bytes"], job["iops"]


def mirror_reads(args, servers, folder, source):
    """The mirror with a base-only view, and nbdkit file on the same bytes."""
    store = Store(servers, folder, "mirror", args.size)
    store.sync(source, "s0")
    peer = os.path.join(folder, "peer.sock")
    servers.start(peer, "nbdkit", "-f", "-t", "64", "-U", peer, "file", store.target)
    contestants = {"slipway": uri(store.socket, "sda"), "nbdkit file": uri(peer)}
    # Both read through the page cache: neither is to fill it for the other.
    run("cat", store.target, stdout=subprocess.DEVNULL)
    for label, block, depth, rnd in (("64 KiB sequential", 65536, 16, False),
                                     ("4 KiB random QD16", 4096, 16, True)):
        results = {name: [] for name in contestants}
        for _ in range(args.rounds):
            for name, where in contestants.items():
                results[name].append(read_speed(where, args.seconds, block, depth, rnd)[1])
        a, b = (statistics.median(results[n]) for n in ("slipway", "nbdkit file"))
        print("mirror read       %-18s slipway %.0f IOPS, nbdkit file %.0f IOPS: %.2f x"
              % (label, a, b, a / b))
    store.close()


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = [l.split(":")[1].strip() for l in f if l.startswith("model name")]
    kernel = os.uname().release
    return "%d x %s, Linux %s" % (len(cpu), cpu[0] if cpu else "?", kernel)


def main():
    p = argparse.ArgumentParser(prog="./run bench engine", description=__doc__.split("\n")[0])
    p.add_argument("--size", type=int, default=4 * GIB, help="bytes of the image (4 GiB)")
    p.add_argument("--rounds", type=int, default=5, help="measurements of each contestant (5)")
    p.add_argument("--seconds", type=int, default=4, help="of one read measurement (4)")
    p.add_argument("--only", choices=("initial", "delta", "read"), help="one part")
    p.add_argument("--build", default="build", help="build folder (build)")
    args = p.parse_args()
    global SLIPWAY
    SLIPWAY = os.path.abspath(os.path.join(args.build, "orchestrator", "slipway"))
    folder = tempfile.mkdtemp(prefix="slipway-bench-", dir=os.environ.get("SLIPWAY_BENCH_DIR"))
    servers = Servers()
    print("machine           %s; files in %s" % (machine(), folder))
    try:
        image, sock = os.path.join(folder, "source.raw"), os.path.join(folder, "source.sock")
        if args.only != "delta":
            make_image(image, args.size)
            servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "16", "-k", sock, "-f", "raw", image)
        if args.only in (None, "initial"):
            initial_sync(args, servers, folder, uri(sock))
        if args.only in (None, "delta"):
            delta(args, servers, folder)
        if args.only in (None, "read"):
            mirror_reads(args, servers, folder, uri(sock))
    finally:
        servers.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of slipwayfs against its peers: ./run bench fusefs

The same mirror through slipwayfs, through the least file system over NBD that can be (nullfs), and
through nbdfuse; in turn (A B C A B C ...), medians of ROUNDS.  Reads are O_DIRECT: each is a
request.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from owning import make_random
from rig import GIB, MIB, Programs, Servers, Store, median, run, uri, values

READS = (("1 MiB sequential", "read", "1M", 4), ("4 KiB random QD32", "randread", "4k", 32),
         ("4 KiB random QD1", "randread", "4k", 1))


class Mounted:
    """A file system; its file, and its end."""

    def __init__(self, folder, name, file, *argv):
        self.mountpoint = os.path.join(folder, name)
        os.mkdir(self.mountpoint)
        self.file = os.path.join(self.mountpoint, file)
        self.process = subprocess.Popen([word.replace("MOUNTPOINT", self.mountpoint)
                                         for word in argv], stdout=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.exists(self.file):
                return
            time.sleep(0.05)
        self.end()
        raise SystemExit(name + " does not show its file")

    def end(self):
        subprocess.run(["umount", "-l", self.mountpoint], check=False)
        self.process.terminate()
        self.process.wait()


def rate(file, kind, block, depth, seconds):
    out = run("fio", "--name=b", "--filename=" + file, "--readonly", "--rw=" + kind,
              "--bs=" + block, "--iodepth=%d" % depth, "--ioengine=libaio", "--direct=1",
              "--time_based", "--runtime=%d" % seconds, "--output-format=json").stdout
    read = json.loads(out[out.index(b"{"):])["jobs"][0]["read"]
    return read["bw_bytes"] / MIB if block == "1M" else read["iops"]


def compare(args, mounts):
    for label, kind, block, depth in READS:
        results = {name: [] for name in mounts}
        for _ in range(args.rounds):
            for name, mounted in mounts.items():
                results[name].append(rate(mounted.file, kind, block, depth, args.seconds))
        unit = "MiB/s" if block == "1M" else "IOPS"
        own = median(results["slipwayfs"])
        print("%-18s slipwayfs %.0f %s   (%s)" % (label, own, unit,
                                                  values(results["slipwayfs"])))
        for name in mounts:
            if name != "slipwayfs":
                other = median(results[name])
                print("%-18s %s %.0f %s: %.2f x   (%s)" % ("", name, other, unit, own / other,
                                                           values(results[name])))


def main():
    p = argparse.ArgumentParser(prog="./run bench fusefs", description=__doc__.split("\n")[0])
    p.add_argument("--size", type=int, default=GIB, help="bytes of the disk (1 GiB)")
    p.add_argument("--rounds", type=int, default=5, help="measurements of each contestant (5)")
    p.add_argument("--seconds", type=int, default=4, help="of one measurement (4)")
    p.add_argument("--build", default="build", help="build folder (build)")
    args = p.parse_args()
    Programs.build = args.build
    folder = tempfile.mkdtemp(prefix="slipway-bench-", dir=os.environ.get("SLIPWAY_BENCH_DIR"))
    servers, mounts = Servers(), {}
    print("load %.1f; files in %s" % (os.getloadavg()[0], folder))
    try:
        image, sock = os.path.join(folder, "a.raw"), os.path.join(folder, "a.sock")
        make_random(image, args.size)
        servers.start(sock, "nbdkit", "-f", "-r", "-U", sock, "file", image)
        stores = os.path.join(folder, "stores")
        os.mkdir(stores)
        store = Store(servers, stores, "vm", args.size)
        store.sync(uri(sock), "s0")
        run("cat", store.target, stdout=subprocess.DEVNULL)
        mounts["slipwayfs"] = Mounted(folder, "own", "vm/sda.raw",
                                      Programs.path("fusefs", "slipwayfs"), "-f", stores,
                                      "MOUNTPOINT")
        mounts["nullfs"] = Mounted(folder, "null", "disk", Programs.path("bench", "nullfs"),
                                   store.socket, "sda", "MOUNTPOINT")
        mounts["nbdfuse"] = Mounted(folder, "nbdfuse", "disk", "nbdfuse", "-r", "MOUNTPOINT/disk",
                                    store.uri())
        compare(args, mounts)
    finally:
        for mounted in mounts.values():
            mounted.end()
        servers.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

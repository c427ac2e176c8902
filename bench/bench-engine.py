#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the engine against its peers: ./run bench engine

Every row is measured in one run, the contestants in turn (A B C A B C ...), medians of ROUNDS, the
final flush included.  Nothing here passes or fails: the table says what was measured.
"""
import argparse
import os
import shutil
import sys
import tempfile

from copying import delta, initial_sync, own_loop
from owning import detached, first_reads, hydrating_writes, owner_io
from reading import layered_reads, mirror_reads
from rig import GIB, Programs, Servers, make_image, uri
from scaling import flips, memory, restarts

PARTS = {"initial": initial_sync, "loop": own_loop, "delta": delta, "read": mirror_reads,
         "layers": layered_reads, "owner": owner_io, "detached": detached,
         "hydrating": hydrating_writes, "first-read": first_reads, "flip": flips,
         "restart": restarts, "memory": memory}


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
    p.add_argument("--only", choices=PARTS, help="one part")
    p.add_argument("--build", default="build", help="build folder (build)")
    args = p.parse_args()
    Programs.build = args.build
    folder = tempfile.mkdtemp(prefix="slipway-bench-", dir=os.environ.get("SLIPWAY_BENCH_DIR"))
    servers = Servers()
    print("machine           %s; load %.1f; files in %s" % (machine(), os.getloadavg()[0], folder))
    try:
        image, sock = os.path.join(folder, "source.raw"), os.path.join(folder, "source.sock")
        if args.only in (None, "initial", "read"):
            make_image(image, args.size)
            servers.start(sock, "qemu-nbd", "-r", "-t", "-e", "16", "-k", sock, "-f", "raw", image)
        for name, part in PARTS.items():
            if args.only in (None, name):
                part(args, servers, folder, *([uri(sock)] if name in ("initial", "read") else []))
    finally:
        servers.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

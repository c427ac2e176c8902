#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of slipway-morph against virt-v2v-in-place: ./run bench morph

The test guest (Debian 12 as another platform left it), a fresh copy for every run, in turn:
  own        slipway-morph, started warm: from the word "go" to its end, what a downtime has of it
  cold       slipway-morph, from nothing to its end
  rebuild    slipway-morph --rebuild always: the guest's own tool makes the initramfs (warm)
  replay     the same with the recipe of a rehearsal (warm)
  v2v        virt-v2v-in-place -i disk, from nothing to its end
Medians of ROUNDS; all use the same appliance cache.  Without KVM everything is emulated.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from rig import Programs, median, run, values

MAC = "52:54:00:10:20:30"
HERE = os.path.dirname(os.path.abspath(__file__))


class Guest:
    """The disk of the test guest, raw, and copies of it."""

    def __init__(self, folder):
        self.folder = folder
        self.source = os.path.join(folder, "source.raw")
        self.copy_path = os.path.join(folder, "copy.raw")
        built = subprocess.run([os.path.join(HERE, "..", "tests", "guests", "build-guest.sh")],
                               stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        run("qemu-img", "convert", "-O", "raw", os.path.join(built, "disk0.qcow2"), self.source)

    def copy(self):
        run("cp", "--sparse=always", self.source, self.copy_path)
        os.sync()
        return self.copy_path


def own(disk, *words, warm=True):
    """Seconds of slipway-morph and its result; warm: from the word to the end."""
    argv = [Programs.path("morph", "slipway-morph"), "--json", "--disk", disk, "--nic",
            MAC + "=ens192", *words] + (["--wait"] if warm else [])
    began = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    lines = []
    for line in p.stderr:
        lines.append(line)
        if warm and '"phase":"wait","state":"begin"' in line:
            began = time.monotonic()
            p.stdin.write("go\n")
            p.stdin.flush()
    output = p.stdout.read()
    if p.wait() != 0:
        sys.exit("slipway-morph failed: " + "".join(lines[-3:]))
    return time.monotonic() - began, json.loads(output)


def v2v(disk):
    began = time.monotonic()
    result = subprocess.run(["virt-v2v-in-place", "-i", "disk", disk], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            check=False)
    if result.returncode != 0:
        sys.exit("virt-v2v-in-place failed:\n" + result.stdout[-2000:])
    return time.monotonic() - began


def environment(folder):
    """What makes both use the same backend and cache."""
    cache = os.environ.get("SLIPWAY_CACHE", "/var/cache/slipway-test")
    os.environ.update({"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_CACHEDIR": cache + "/guestfs",
                       "SLIPWAY_CACHE": cache, "TMPDIR": folder})
    os.makedirs(cache + "/guestfs", exist_ok=True)
    if os.environ.get("SLIPWAY_ACCEL", "tcg") == "tcg":
        os.environ["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
        os.environ["SLIPWAY_ACCEL"] = "tcg"


def contestants(args, guest):
    recipe = os.path.join(guest.folder, "recipe")
    rebuild = ("--rebuild", "always")
    all_of_them = {
        "own": lambda: own(guest.copy())[0],
        "cold": lambda: own(guest.copy(), warm=False)[0],
        "rebuild": lambda: own(guest.copy(), *rebuild, "--record", recipe)[0],
        "replay": lambda: own(guest.copy(), *rebuild, "--replay", recipe)[0],
        "v2v": lambda: v2v(guest.copy()),
    }
    return {name: all_of_them[name] for name in args.only.split(",")}


def main():
    p = argparse.ArgumentParser(prog="./run bench morph", description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5, help="measurements of each contestant (5)")
    p.add_argument("--only", default="own,cold,rebuild,replay,v2v",
                   help="contestants, by commas (own,cold,rebuild,replay,v2v)")
    p.add_argument("--build", default="build", help="build folder (build)")
    args = p.parse_args()
    Programs.build = args.build
    folder = tempfile.mkdtemp(prefix="slipway-bench-", dir=os.environ.get("SLIPWAY_BENCH_DIR"))
    environment(folder)
    print("load %.1f; files in %s" % (os.getloadavg()[0], folder), flush=True)
    try:
        guest = Guest(folder)
        own(guest.copy())  # the appliance's cache is filled
        results = {}
        for number in range(args.rounds):
            for name, measure in contestants(args, guest).items():
                results.setdefault(name, []).append(measure())
                print("round %d %-8s %7.2f s" % (number + 1, name, results[name][-1]), flush=True)
        peer = median(results["v2v"]) if "v2v" in results else None
        for name, seconds in results.items():
            print("%-8s %7.2f s%s   (%s)" % (
                name, median(seconds), "  1/%.1f of v2v" % (peer / median(seconds)) if peer else "",
                values(seconds, "%.1f")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

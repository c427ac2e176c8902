#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""diff tells which bytes changed between two generations that are retained, exactly: what was
written with the bytes it had does not count."""

import json
import os
import subprocess

from byhand import engine, engine_json, program, serve_file
from case import check, require, run, start, wait_until, work

require("nbdkit")
BLOCK = 65536
TAIL = 4096  # of the last block of sda
SIZES = {"sda": 40 * BLOCK + TAIL, "sdb": 2500 * BLOCK}
images = {name: work / f"{name}.img" for name in SIZES}
images["sda"].write_bytes(os.urandom(SIZES["sda"]))
with open(images["sdb"], "wb") as sdb:
    sdb.truncate(SIZES["sdb"])
uris = [f"{name}={serve_file(image, name)}" for name, image in images.items()]


def write(name, offset, data):
    with open(images[name], "r+b") as file:
        file.seek(offset)
        file.write(data)


def sync(snapshot):
    engine("sync", "s", *uris, "--snapshot", snapshot, "--compare")


def disk(report, name="sda"):
    return next(d for d in report["disks"] if d["name"] == name)


def diff(*words):
    return disk(engine_json("diff", "s", *words))


engine("create", "s", *(f"--disk={name}=t-{name}.raw:{size}" for name, size in SIZES.items()),
       "--keep", "7")
engine("diff", "s", expect=5, says="init")
engine("sync", "s", *uris, "--snapshot", "p0")
engine("diff", "s", expect=3, says=("no two generations", "only 0 is", "--keep"))

# Generation 1: three blocks, two of them neighbours, a hole, and the short last block.
first = images["sda"].read_bytes()[:1]
write("sda", 0, bytes([first[0] ^ 1]))
write("sda", 5 * BLOCK + 7, b"changed")
write("sda", 6 * BLOCK, b"changed")
write("sda", 10 * BLOCK, bytes(2 * BLOCK))
write("sda", SIZES["sda"] - 1, bytes([images["sda"].read_bytes()[-1] ^ 1]))
sync("p1")
ONE = [[0, BLOCK], [5 * BLOCK, 2 * BLOCK], [10 * BLOCK, 2 * BLOCK], [40 * BLOCK, TAIL]]
found = diff("0", "1")
check(found["extents"] == ONE, f"exactly what was changed: {found}")
check(found["changed_bytes"] == found["written_bytes"] == 5 * BLOCK + TAIL, "and how much")
check(disk(engine_json("diff", "s"), "sdb")["extents"] == [], "the other disk is as it was")

# Generation 2: a block gets back what it had; one is new.
write("sda", 0, first)
write("sda", 20 * BLOCK, b"changed")
sync("p2")
check(diff("@1", "@2")["extents"] == [[0, BLOCK], [20 * BLOCK, BLOCK]], "from 1 to 2")
check(diff() == diff("1", "2"), "the two latest when none is named")
check(diff("0") == diff("0", "2"), "up to the latest when one is named")
both = diff("0", "2")
check(both["extents"] == ONE[1:3] + [[20 * BLOCK, BLOCK], ONE[3]], f"written back: {both}")
check(both["written_bytes"] == both["changed_bytes"] + BLOCK, "it was written nevertheless")
fast = diff("0", "2", "--fast")
check(fast["extents"] == sorted(both["extents"] + [[0, BLOCK]]), f"and counts when fast: {fast}")
check(diff("2", "2")["extents"] == [], "a generation is what it is")

# For people.
said = engine("diff", "s", "0", "2")
check("from generation 0 to 2" in said, "which ones")
check("324 KiB changed in 4 extents, 388 KiB written" in said, "how much")
check("unchanged" in said.split("sdb")[1] and "offset" not in said, "and not more")
said = engine("diff", "s", "0", "2", "--disk", "sda", "-v")
check("sdb" not in said and f"offset {5 * BLOCK}, length {2 * BLOCK} (128 KiB at 320 KiB)" in said,
      "where, when asked")
check(said == engine("diff", "s", "0", "2", "--disk", "sda", "--extents"), "-v is --extents")

# What makes no sense.
engine("diff", "s", "0", "3", expect=3, says=("generation 3", "0 to 2 are"))
engine("diff", "s", "2", "1", expect=2, says=("2 is newer than 1", "older one first"))
engine("diff", "s", "two", expect=2, says="'two'")
engine("diff", "s", "0", "1", "2", expect=2, says="'2'")
engine("diff", "s", "--disk", "sdc", expect=3, says="sdc")
engine("diff", "nothing", expect=3)
error = engine_json("diff", "s", "0", "3", expect=3)["error"]
check(error["code"] == "ENOENT", "a script sees it, too")

# More extents than one line of the control socket holds.
with open(images["sdb"], "r+b") as sdb:
    for block in range(0, 2400, 2):
        sdb.seek(block * BLOCK)
        sdb.write(b"x")
sync("p3")
found = disk(engine_json("diff", "s", "2", "3"), "sdb")
check(found["extents"] == [[block * BLOCK, BLOCK] for block in range(0, 2400, 2)], "many extents")

# Of the store that slipwayd keeps for a VM, while an engine serves it.
(work / "state/stores").mkdir(parents=True)
(work / "s").rename(work / "state/stores/web")
start(program, "engine", "serve", work / "state/stores/web")
wait_until((work / "state/stores/web/control.sock").exists, "the engine")
vm = [program, "diff", "--state", work / "state"]
answer = subprocess.run([*vm, "web", "1", "2", "--json"], check=True, timeout=60,
                        stdout=subprocess.PIPE).stdout
check(disk(json.loads(answer))["changed_bytes"] == 2 * BLOCK, "a VM by its name")
check("75.0 MiB changed in 1200 extents" in run(*vm, "web"), "its last sync")
check("no store of a VM 'db'" in run(*vm, "db", expect=3), "no such VM")
check("expected" in run(*vm, expect=2), "no name")
bare = subprocess.run([*vm, "web", "--files", "2", "3"], text=True, check=False, timeout=60,
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/nowhere"})
check(bare.returncode == 3 and "libguestfs-tools" in bare.stderr and "sdb" in bare.stdout,
      f"without virt-diff the bytes are told, and what to install: {bare}")

# Not of an owner.
engine("flip", "state/stores/web")
engine("diff", "state/stores/web", "2", "3", expect=5, says="owner")
engine("stop", "state/stores/web")

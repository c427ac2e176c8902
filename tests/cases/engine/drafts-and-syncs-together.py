#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""Several drafts, over the latest and over older generations, while syncs land: each reads as it
should, only one over the latest generation can be sealed, and nothing is left of the others."""

import json
import os
import threading
import time

import nbd

from byhand import engine, engine_json, program, serve_file
from case import check, require, run, start, wait_until, work

require("nbdkit", "nbdcopy", "qemu-img")
BLOCK = 65536
SIZE = 48 * BLOCK
image = work / "src.img"
content = [bytearray(os.urandom(SIZE // 2) + bytes(SIZE // 2))]
image.write_bytes(content[0])
uri = serve_file(image)
engine("create", "s", "--disk", f"sda=t.raw:{SIZE}")
engine("draft", "list", "s", expect=5, says="slipway engine serve")
start(program, "engine", "serve", work / "s")
wait_until((work / "s/control.sock").exists, "the engine")
engine("draft", "create", "s", "early", expect=5, says=("draft-create", "init", "sync it first"))
engine("sync", "s", f"sda={uri}", "--snapshot", "p0")


def next_generation():
    fresh = bytearray(content[-1])
    at = len(content) * BLOCK
    fresh[at:at + BLOCK] = os.urandom(BLOCK)
    content.append(fresh)
    image.write_bytes(fresh)
    engine("sync", "s", f"sda={uri}", "--snapshot", f"p{len(content) - 1}", "--compare")


def export(name):
    return f"nbd+unix:///{name}?socket={work}/s/nbd.sock"


def connect(name):
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.connect_uri(export(name))
    return h


def check_reads(name, want):
    got = work / "got.raw"
    run("nbdcopy", export(name), got)
    check(got.read_bytes() == bytes(want), f"{name} reads as it should")


# Two drafts over generation 0 and a reader of it; syncs go on.
for name in ("one", "two"):
    check(engine_json("draft", "create", "s", name)["generation"] == 0, "over generation 0")
engine("draft", "create", "s", "one", expect=4, says="one")
engine("draft", "create", "s", "x/y", expect=2, says="x/y")
engine("draft", "create", "s", "later", "--generation", "5", expect=3, says="generation 5")
reader = connect("sda")
draft = {"one": bytearray(content[0]), "two": bytearray(content[0])}
writer = connect("one/sda")
for at, length in ((5, 3), (BLOCK - 2, 700), (10 * BLOCK, BLOCK), (SIZE - 512, 512)):
    data = os.urandom(length)
    writer.pwrite(data, at)
    draft["one"][at:at + length] = data
writer.trim(2 * BLOCK, 20 * BLOCK)
draft["one"][20 * BLOCK:22 * BLOCK] = bytes(2 * BLOCK)
writer.zero(100, 3 * BLOCK + 7)
draft["one"][3 * BLOCK + 7:3 * BLOCK + 107] = bytes(100)
for _ in range(6):
    next_generation()
    check_reads("sda", content[-1])
    check_reads("one/sda", draft["one"])
    check_reads("two/sda", draft["two"])
    check(reader.pread(SIZE, 0) == bytes(content[0]), "the pinned reader sees its generation")
mapped = json.loads(run("qemu-img", "map", "--output=json", "-f", "raw", export("one/sda")))
holes = {b for m in mapped if not m["data"]
         for b in range(m["start"] // BLOCK, (m["start"] + m["length"]) // BLOCK)}
check({20, 21, 40} <= holes and not holes & {0, 1, 10, SIZE // BLOCK - 1}, "holes are told")
for bad in ("one", "one/sdb", "one/sda/", "three/sda", "one@0/sda"):
    try:
        connect(bad)
        refused = False
    except nbd.Error:
        refused = True
    check(refused, f"{bad} is refused")

# What is said of them.
listed = {d["name"]: d for d in engine_json("draft", "list", "s")["drafts"]}
check(set(listed) == {"one", "two"}, "both are listed")
check(listed["one"]["generation"] == 0 and listed["one"]["connections"] == 1, "with their state")
check(listed["one"]["disks"][0]["written_bytes"] == 3 + 700 + 512 + 3 * BLOCK + 100,
      "and what was written")
engine("draft", "list", "s", says=("one", "generation 0", "sda"))
check(engine_json("status", "s")["drafts"][0]["name"] == "one", "status has them, too")

# Only one over the latest generation can become the next; the others stay.
engine("flip", "s", expect=6, says=("draft 'one'", "seal or drop"))
engine("draft", "seal", "s", "one", expect=6, says=("one", "1 connections"))
writer.shutdown()
engine("draft", "seal", "s", "one", expect=5, says=("generation 0", "6 is the latest"))
check_reads("one/sda", draft["one"])
engine_json("draft", "create", "s", "new")
writer = connect("new/sda")

# A reader of a block during its copy-up sees the old bytes or the new ones.
torn = []
stop = threading.Event()


def look(h):
    while not stop.is_set():
        for b in range(SIZE // BLOCK // 2):
            got = h.pread(BLOCK, b * BLOCK)
            old = content[-1][b * BLOCK:(b + 1) * BLOCK]
            if got != old and got != old[:100] + b"N" * 512 + old[612:]:
                torn.append(b)


lookers = [threading.Thread(target=look, args=(connect("new/sda"),)) for _ in range(2)]
for t in lookers:
    t.start()
time.sleep(0.1)
for b in range(SIZE // BLOCK // 2):
    writer.pwrite(b"N" * 512, b * BLOCK + 100)
stop.set()
for t in lookers:
    t.join()
check(not torn, f"no block was torn ({torn[:3]})")
want = bytearray(content[-1])
for b in range(SIZE // BLOCK // 2):
    want[b * BLOCK + 100:b * BLOCK + 612] = b"N" * 512
writer.shutdown()
sealed = engine_json("draft", "seal", "s", "new", "--token", "t-1")
check(not sealed["already"], "sealed now")
again = engine_json("draft", "seal", "s", "new", "--token", "t-1")
check(again["already"] and again["generation"] == sealed["generation"],
      "the answer got lost: given again it takes effect no second time")
engine("draft", "seal", "s", "new", "--token", "t-2", expect=3, says="new")
check_reads("sda", want)
engine("sync", "s", f"sda={uri}", "--snapshot", "more", expect=5, says="draft was committed")
reader.shutdown()
for name in ("one", "two"):
    check_reads(f"{name}/sda", draft[name])
    engine("draft", "drop", "s", name)
check(not [n for n in os.listdir(work / "s/sda") if n.startswith("draft-")], "no file is left")
engine("flip", "s")
check((work / "t.raw").read_bytes() == bytes(want), "the target is the sealed draft")
engine("stop", "s")

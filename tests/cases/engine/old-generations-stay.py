#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 180
"""The last generations stay readable as DISK@GENERATION when told so, the oldest give way to room,
readers are ended only where that is the policy, and a flip may go back to one of them."""

import os

import nbd

from byhand import engine, engine_json, program, serve_file
from case import check, require, run, start, wait_until, work

require("nbdkit", "nbdcopy", "nbdinfo")
BLOCK = 65536
SIZE = 40 * BLOCK
image = work / "src.img"
content = [bytearray(os.urandom(SIZE))]
image.write_bytes(content[0])
uri = serve_file(image)
engine("create", "s", "--disk", f"sda=t.raw:{SIZE}", "--keep", "8", expect=2, says="--keep")
engine("create", "s", "--disk", f"sda=t.raw:{SIZE}", "--keep", "2")
check(engine_json("status", "s")["keep"] == 2, "what create was told is in the store")
engine("sync", "s", f"sda={uri}", "--snapshot", "p0")


def sync(expect=0, says=()):
    fresh = bytearray(content[-1])
    at = len(content) * BLOCK
    fresh[at:at + BLOCK] = os.urandom(BLOCK)
    image.write_bytes(fresh)
    if expect == 0:
        content.append(fresh)
    engine("sync", "s", f"sda={uri}", "--snapshot", f"p{at}", "--compare", expect=expect,
           says=says)


def export(name):
    return f"nbd+unix:///{name}?socket={work}/s/nbd.sock"


def check_reads(name, generation):
    run("nbdcopy", export(name), work / "got.raw")
    check((work / "got.raw").read_bytes() == bytes(content[generation]), f"{name} is right")


def retained():
    wait_until(lambda: not engine_json("status", "s")["fold_pending"], "the fold")
    return engine_json("status", "s")["retained"]


for _ in range(3):  # an engine that lives for one command does not wait for what is kept
    sync()
serve = start(program, "engine", "serve", work / "s")
wait_until((work / "s/control.sock").exists, "the engine")
check(retained() == [1, 2, 3], "the latest and two older ones")
for generation in (1, 2, 3):
    check_reads(f"sda@{generation}", generation)
listed = run("nbdinfo", "--list", "--json", f"nbd+unix:///?socket={work}/s/nbd.sock")
check("sda@1" in listed and "sda@0" not in listed, "the server lists what is retained")

# While it runs; and what makes no sense.
engine("set", "s", "--keep", "9", expect=2, says="--keep")
engine("set", "s", "--when-full", "never", expect=2, says=("wait", "revoke"))
engine("set", "s", "--space-budget", "lots", expect=2, says="--space-budget")
check(engine_json("set", "s", "--keep", "4", "--when-full", "wait")["when_full"] == "wait", "set")
sync()
sync()
check(retained() == [1, 2, 3, 4, 5], "more is kept from now on")
engine("set", "s", says=("keep 4", "wait"))

# A reader keeps eight layers; then the sync names it, or ends it.
reader = nbd.NBD()
reader.connect_uri(export("sda@5"))
for _ in range(8):
    sync()
check(retained()[0] == 5, "what was only kept has gone, what is read has not")
sync(expect=6, says=("generation 5", "revoke"))
check(reader.pread(SIZE, 0) == bytes(content[5]), "the reader is not disturbed")
pin = engine_json("status", "s")["pins"][0]
check(pin["generation"] == 5 and pin["connections"] == 1, f"status shows who is in the way: {pin}")
engine("draft", "create", "s", "old", "--generation", "5")
engine("set", "s", "--when-full", "revoke")
sync(expect=6, says="draft 'old'")
engine("draft", "drop", "s", "old")
sync()
try:
    reader.pread(512, 0)
    ended = False
except nbd.Error:
    ended = True
check(ended, "a reader that holds an old generation for too long is ended")
check(engine_json("status", "s")["revoked_generation"] == 5, "and status says so")
reader.shutdown()
check_reads("sda", len(content) - 1)
check(retained() == list(range(len(content) - 5, len(content))), "four are kept again")

# Back to an older one.
older = len(content) - 3
engine("flip", "s", "--generation", "2", expect=3, says="generation 2")
engine("flip", "s", "--generation", str(older))
check(engine_json("status", "s")["generation"] == older, "the older generation is the owner's")
check((work / "t.raw").read_bytes() == bytes(content[older]), "with its bytes")
engine("stop", "s")
check((work / "t.raw").read_bytes() == bytes(content[older]), "for good")
check(not [n for n in os.listdir(work / "s/sda") if n.startswith("L")], "no layer is left")

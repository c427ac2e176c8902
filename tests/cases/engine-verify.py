# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""verify finds what changed-block tracking missed, and leaves readers and store alone."""

import json
import os

from case import build, check, require, run, start, stop, wait_until, work

require("nbdkit", "qemu-img", "qemu-nbd", "nbdcopy")
SLIPWAY = build / "orchestrator" / "slipway"
MIB = 1 << 20
image, store = work / "a.raw", work / "vm"
image.write_bytes(os.urandom(6 * MIB) + bytes(10 * MIB))


def serve(path, name):
    """An NBD server of a raw file; its argument for the command, and the process."""
    socket = work / name
    server = start("qemu-nbd", "-r", "-t", "-e", "8", "-k", socket, "-f", "raw", path)
    wait_until(socket.exists, "qemu-nbd")
    return f"sda=nbd+unix:///?socket={socket}", server


def verify(uri, *options, expect=0):
    said = run(SLIPWAY, "engine", "verify", store, uri, "--json", *options, expect=expect)
    return json.JSONDecoder().raw_decode(said[said.index("{\n"):])[0]


run(SLIPWAY, "engine", "create", store, "--disk", f"sda={work / 't.raw'}:16M")
good, _ = serve(image, "good.sock")
check("mode is init" in run(SLIPWAY, "engine", "verify", store, good, expect=5), "too early")
run(SLIPWAY, "engine", "sync", store, good, "--snapshot", "p0")

report = verify(good)
check(report["equal"] and report["checked_bytes"] == 16 * MIB, "all of it is the same")
part = verify(good, "--sample", "25")
check(part["equal"] and 0 < part["checked_bytes"] < 14 * MIB, "a sample is a part")
words = run(SLIPWAY, "engine", "verify", store, good)
check("16.0 MiB compared, 0 B differ" in words or "0 differ" in words, "and people read it")

# One bit elsewhere, in a block and in what was a hole.
other = work / "b.raw"
data = bytearray(image.read_bytes())
data[2 * MIB + 70000] ^= 1
data[12 * MIB] = 7
other.write_bytes(data)
changed, server = serve(other, "changed.sock")
engine = start(SLIPWAY, "engine", "serve", store)
wait_until((store / "control.sock").exists, "the engine")
report = verify(changed, expect=1)
disk = report["disks"][0]
check(disk["differing_bytes"] == 2 * 65536, "two blocks differ")
check(sorted((e["offset"], e["length"]) for e in disk["extents"]) ==
      [(2 * MIB + 65536, 65536), (12 * MIB, 65536)], "and it says where")
said = run(SLIPWAY, "engine", "verify", store, changed, expect=1)
check("--repair" in said, "the sentence says what to do")
run("nbdcopy", f"nbd+unix:///sda?socket={store / 'nbd.sock'}", work / "copy.raw")
check((work / "copy.raw").read_bytes()[:16 * MIB] == image.read_bytes(), "the mirror is as it was")

run(SLIPWAY, "engine", "sync", store, changed, "--snapshot", "p1", "--compare")
check(verify(changed)["equal"], "after the advice nothing differs")
check(not verify(good, expect=1)["equal"], "the older point does")

# What differs or has rotted is fetched again, by a new generation of the same snapshot.
data[5 * MIB + 3] ^= 1
other.write_bytes(data)
with open(work / "t.raw", "r+b") as file:
    file.seek(9 * MIB)
    file.write(b"rot")
report = verify(changed, "--repair", "--sample", "60", "--bytes", expect=1)
check(report["repaired"]["generation"] == 2 and report["rotten_bytes"] == 65536, "both are mended")
check(verify(changed, "--bytes")["equal"], "and now it is the source")
check(verify(changed, "--bytes")["snapshot"] == "p1", "of the same snapshot")
words = run(SLIPWAY, "engine", "verify", store, changed, "--repair")
check("repaired" not in words, "nothing to repair is nothing repaired")

refused = [("sdz" + good[3:], 3, "sdz"), (good + "x", "failure", "sda")]
for uri, code, word in refused:
    check(word in run(SLIPWAY, "engine", "verify", store, uri, expect=code), "it is named")
run(SLIPWAY, "engine", "verify", store, good, "--sample", "0", expect=2)
run(SLIPWAY, "engine", "verify", store, expect=2)
stop(server)
run(SLIPWAY, "engine", "verify", store, changed, expect="failure")
run(SLIPWAY, "engine", "stop", store)
check(engine.wait(20) == 0, "the engine ends")

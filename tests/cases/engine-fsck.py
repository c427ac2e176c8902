# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""fsck says in words what is wrong with a store at rest, and changes nothing."""

import hashlib
import json
import os

from case import build, check, require, run, start, wait_until, work

require("nbdkit", "qemu-img", "qemu-nbd")
SLIPWAY = build / "orchestrator" / "slipway"
MIB = 1 << 20
image, store, target = work / "a.raw", work / "vm", work / "target.raw"
image.write_bytes(os.urandom(3 * MIB) + bytes(5 * MIB))


def everything():
    """Name → digest of each file of the store, and of the target."""
    paths = [p for p in [*store.rglob("*"), target] if p.is_file() and p.name != "engine.log"]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def fsck(*options, expect=0):
    """The report; the files are the same afterwards."""
    before = everything()
    said = run(SLIPWAY, "engine", "fsck", store, "--json", *options, expect=expect)
    report = json.loads(said[said.index("{\n"):])
    check(everything() == before, "fsck changed nothing")
    check(report["sound"] == (expect == 0), "exit code and report agree")
    return report


def flip_byte(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0xff]))


run(SLIPWAY, "engine", "fsck", work / "nothere", expect=3)
run(SLIPWAY, "engine", "create", store, "--disk", f"sda={target}:8M")
socket = work / "q.sock"
start("qemu-nbd", "-r", "-t", "-e", "8", "-k", socket, "-f", "raw", image)
wait_until(socket.exists, "qemu-nbd")
uri = f"sda=nbd+unix:///?socket={socket}"
run(SLIPWAY, "engine", "sync", store, uri, "--snapshot", "p0")

report = fsck("--data")
check(report["findings"] == [], "nothing to say about a good mirror")
check(report["checked_bytes"] >= 3 * MIB, "its bytes were compared")
check("sound" in run(SLIPWAY, "engine", "fsck", store), "and in words")

flip_byte(target, MIB + 5)
fsck()
found = fsck("--data", expect=9)["findings"]
check(len(found) == 1 and found[0]["thing"] == str(target), "the changed target is found")
check(f"bytes {MIB} to {MIB + 65535}" in found[0]["meaning"], "and where")
words = run(SLIPWAY, "engine", "fsck", store, "--data", expect=9)
check("damage: " in words and "what to do: " in words, "people read what it means")
run(SLIPWAY, "engine", "verify", store, uri, "--bytes", "--repair", expect=1)
check(fsck("--data")["findings"] == [], "the advice, --bytes --repair, mends it")

flip_byte(store / "super", 4096 + 300)
report = fsck()
check([f["severity"] for f in report["findings"]] == ["note"], "one good slot suffices")
flip_byte(store / "super", 300)
fsck(expect=9)
flip_byte(store / "super", 300)
flip_byte(store / "super", 4096 + 300)

target.rename(work / "moved")
fsck(expect=9)
(work / "moved").rename(target)

run(SLIPWAY, "engine", "flip", store)
check(any("not compared" in f["meaning"] for f in fsck("--data")["findings"]), "owner: no digests")
served = start(SLIPWAY, "engine", "serve", store)
wait_until((store / "control.sock").exists, "the engine")
said = run(SLIPWAY, "engine", "fsck", store, expect=6)
check("served by an engine" in said and "stop" in said, "the refusal says what to do")
run(SLIPWAY, "engine", "stop", store)
check(served.wait(20) == 0, "the engine ends")
fsck()

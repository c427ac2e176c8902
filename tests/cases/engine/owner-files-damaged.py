# SPDX-License-Identifier: Apache-2.0
# timeout: 240
"""Files of a hydrating owner that are damaged, cut short, gone or of another epoch: the engine has
exactly the acknowledged bytes, or it says in a sentence why it does not start, and fsck says so,
too.  Never a guess."""

import json
import os
import shutil
import subprocess

from case import build, check, defer, require, run, wait_until, work
from engines import MIB, PLUGIN, Engine, Source, listening, random_image, read_export, connect

require("nbdkit")
SIZE = 6 * MIB + 4096
image = random_image(work / "a.raw", SIZE)
source = Source("sda", image)
model = bytearray(image.read_bytes())
engine = Engine(sda=SIZE).start()
engine.call("limit", source_bytes_s=4096)
engine.call("flip", instant=True, grace_s=0, snapshot="p0", disks=[source.request()])
client = connect(engine.uri("sda"))
for number in range(40):
    at, data = (number * 37 % 96) * 65536 + 8192, os.urandom(8192)
    client.pwrite(data, at)
    model[at:at + len(data)] = data
client.flush()
for number in range(20):  # acknowledged, not flushed: only the live file knows
    at, data = (number * 53 % 96) * 65536 + 20480, os.urandom(4096)
    client.pwrite(data, at)
    model[at:at + len(data)] = data
status = engine.status()
check(status["mode"] == "owner-hydrating", f"mode {status['mode']}")
check(status["disks"][0]["missing_bytes"] > MIB, "much is missing")
engine.kill()

LIVE = work / "vm-live"
KEPT = work / "kept"


def copy(from_, to):
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(from_, to, ignore=shutil.ignore_patterns("*.sock"))


def save():
    copy(engine.store, KEPT / "store")
    if LIVE.exists():
        copy(LIVE, KEPT / "live")
    shutil.copyfile(engine.target("sda"), KEPT / "target")


def restore():
    # In place: the superblock knows the targets by their inode.
    for path in engine.store.rglob("*"):
        if path.is_file() or path.is_socket():
            path.unlink()
    shutil.copytree(KEPT / "store", engine.store, dirs_exist_ok=True)
    shutil.rmtree(LIVE, ignore_errors=True)
    if (KEPT / "live").exists():
        shutil.copytree(KEPT / "live", LIVE)
    with open(engine.target("sda"), "r+b") as target:
        target.write((KEPT / "target").read_bytes())


def try_start():
    """None when the engine serves, else what it said."""
    for name in ("control.sock", "nbd.sock"):
        (engine.store / name).unlink(missing_ok=True)
    process = subprocess.Popen(["nbdkit", "-f", "-U", engine.store / "nbd.sock", PLUGIN,
                                f"store={engine.store}", f"live={LIVE}"], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    defer(process.kill)
    wait_until(lambda: process.poll() is not None or all(
        listening(engine.store / name) for name in ("control.sock", "nbd.sock")),
               "the engine starts or ends", pause=0.02)
    if process.poll() is None:
        engine.process = process
        return None
    return process.stderr.read().strip().splitlines()[-1]


def flip_bytes(path):
    data = bytearray(path.read_bytes())
    for at in range(40, len(data), 512):
        data[at] ^= 0x5a
    path.write_bytes(data)


def newest_slots(path):
    """Damages of each page the slot that was written last."""
    data = bytearray(path.read_bytes())
    for pair in range(0, len(data), 8192):
        slots = [at for at in (pair, pair + 4096) if data[at:at + 4] == b"SWPG"]
        if slots:
            at = max(slots, key=lambda at: int.from_bytes(data[at + 8:at + 16], "little"))
            data[at + 2000] ^= 1
    path.write_bytes(data)


def cut(path):
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def empty(path):
    path.write_bytes(b"")


def other_epoch(path):
    """The file of another epoch under this one's name: the pages say 8 bytes of it."""
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 4096):
        if data[at:at + 4] == b"SWPG":
            data[at + 24] ^= 1
    path.write_bytes(data)


def nonsense(path):
    path.write_text('{"format": 99, "disks": "none"}')


def gone(path):
    path.unlink()


def one(pattern, folder=None):
    found = sorted((folder or engine.store).rglob(pattern))
    check(len(found) == 1, f"{pattern}: {found}")
    return found[0]


KINDS = (flip_bytes, newest_slots, cut, empty, other_epoch, gone)
outcomes = {"refused": 0, "identical": 0}


def fsck():
    text = run(build / "orchestrator" / "slipway", "engine", "fsck", engine.store, "--json",
               expect=None, quiet=True)
    return json.loads("{" + text.partition("{")[2])


def case(state, name, pattern, kind, folder=None):
    restore()
    kind(one(pattern, folder))
    what = f"{state}: {name} {kind.__name__}"
    report = fsck()
    sentence = try_start()
    if sentence is not None:
        outcomes["refused"] += 1
        check(len(sentence) > 40, f"{what}: a sentence: {sentence}")
        if folder is None:
            check(not report.get("sound", False), f"{what}: fsck says so, too: {report}")
        print(f"{what}: refused: {sentence[:160]}", flush=True)
        return
    if name == "source.json":
        engine.call("source", disks=[source.request()])
    outcomes["identical"] += 1
    content = read_export(engine.uri("sda"))
    check(content == bytes(model), f"{what}: the bytes are the acknowledged ones")
    print(f"{what}: identical", flush=True)
    engine.kill()


for state in ("killed", "ended in order"):
    if state == "ended in order":
        restore()
        check(try_start() is None, "the undamaged store serves")
        engine.call("stop")
        engine.process.wait()
        shutil.rmtree(KEPT / "live")
    save()
    check(fsck()["sound"], f"{state}: the undamaged store is sound")
    for kind in KINDS:
        case(state, "activity log", "al.*", kind)
        case(state, "map", "map.*", kind)
    for kind in (nonsense, empty, gone, cut):
        case(state, "source.json", "source.json", kind)
    if state == "killed":
        for kind in KINDS:
            case(state, "live file", "live.*", kind, LIVE)
restore()
check(try_start() is None, "the undamaged store serves")
check(read_export(engine.uri("sda")) == bytes(model), "with all its bytes")
engine.stop()
print(f"{outcomes}")
check(outcomes["refused"] >= 10 and outcomes["identical"] >= 5, f"{outcomes}")

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Whatever is wrong with a source, a target or a store: one sentence that names it, an exit code
that tells what kind it is, and the last generation is as it was."""

import os
import shutil

from case import check, defer, require, run, start, wait_until, work
from engines import MIB, SLIPWAY, Engine, Source, listening, nbd_uri, random_image, read_export

require("nbdkit", "qemu-img", "qemu-nbd")
SIZE = 4 * MIB
image = random_image(work / "a.raw", SIZE)
store = work / "vm"
target = work / "target.raw"


def slipway(*words, expect=0, says=()):
    out = run(SLIPWAY, "engine", *words, expect=expect)
    lines = [line for line in out.splitlines() if line.startswith("slipway")]
    if expect != 0:
        check(len(lines) == 1, "a refusal is one sentence")
        for word in says:
            check(word in lines[0], f"the sentence names {word}")
    return out


def refused(code, says, *words):
    slipway(*words, expect=code, says=says)


def serve(path, *filters):
    return Source("sda", path, *filters)


def check_intact():
    """The generation is readable and whole, by an engine of its own."""
    engine = Engine.__new__(Engine)
    engine.store, engine.io = store, None
    engine.start()
    check(engine.status()["generation"] == 0, "generation 0 is the last one")
    check(read_export(engine.uri("sda")) == image.read_bytes(), "and it is intact")
    engine.stop()


# ── create ──
refused(2, ["513"], "create", store, "--disk", f"sda={target}:513")
refused(2, ["../sda"], "create", store, "--disk", f"../sda={target}:1M")
refused(3, [str(target)], "create", store, "--disk", f"sda={target}")
small = work / "small.raw"
small.write_bytes(bytes(MIB))
refused(7, ["small.raw", "enlarge"], "create", store, "--disk", f"sda={small}:{SIZE}")
check(not store.exists(), "nothing is left of a refused create")
slipway("create", store, "--disk", f"sda={target}:{SIZE}")
refused(4, [str(store)], "create", store, "--disk", f"sda={target}:{SIZE}")

good = serve(image)
slipway("sync", store, f"sda={nbd_uri(good.socket)}", "--snapshot", "p0")

# ── sources ──
gone = f"sda={nbd_uri(work / 'gone.sock')}"
refused("failure", ["sda", "gone.sock"], "sync", store, gone, "--snapshot", "p1")
qemu = work / "q.sock"
start("qemu-nbd", "-r", "-t", "-e", "8", "-x", "right", "-k", qemu, "-f", "raw", image)
wait_until(lambda: listening(qemu), "qemu-nbd")
refused("failure", ["sda", "wrong"], "sync", store, f"sda={nbd_uri(qemu, 'wrong')}")
refused("failure", ["sda", "nothere"], "sync", store, f"sda={nbd_uri(qemu, 'right')}",
        "--bitmap", "sda=qemu:dirty-bitmap:nothere")
shrunk = work / "shrunk.raw"
shrunk.write_bytes(image.read_bytes()[:SIZE - MIB])
refused(8, ["sda", "shrank"], "sync", store, f"sda={nbd_uri(serve(shrunk).socket)}")
odd = work / "odd.raw"
odd.write_bytes(image.read_bytes()[:SIZE - 100])
refused(8, ["sda"], "sync", store, f"sda={nbd_uri(serve(odd).socket)}")
refused(3, ["sdz"], "sync", store, f"sdz={nbd_uri(good.socket)}")
failing = serve(image, "error", "error-pread=EIO", "error-pread-rate=100%")
refused("failure", ["sda", "source"], "sync", store, f"sda={nbd_uri(failing.socket)}",
        "--snapshot", "p1")
check_intact()

# ── a store or a target that somebody else has ──
other = Engine.__new__(Engine)
other.store, other.io = store, None
other.start()
sentence = run("nbdkit", "-f", "-U", work / "second.sock",
               SLIPWAY.parents[1] / "nbdplugin" / "nbdkit-slipway-plugin.so", f"store={store}",
               expect="failure")
check("another engine" in sentence, "a second engine of a store is refused")
refused("failure", [str(target)], "create", work / "thief", "--disk", f"sda={target}:{SIZE}")
check(not (work / "thief").exists(), "nothing is left of it")
other.stop()
check_intact()

# ── damage ──
superblock = store / "super"
saved = superblock.read_bytes()
for slot in range(2):
    damaged = bytearray(saved)
    damaged[slot * 4096 + 300] ^= 0x10
    superblock.write_bytes(damaged)
    check_intact()  # the other slot says the same
damaged = bytearray(saved)
damaged[300] ^= 0x10
damaged[4096 + 300] ^= 0x10
superblock.write_bytes(damaged)
refused(9, ["super", "both"], "status", store)
refused(9, ["super", "both"], "sync", store, f"sda={nbd_uri(good.socket)}")
superblock.write_bytes(saved[:5000])
refused("failure", ["super"], "status", store)
superblock.write_bytes(saved)
description = (store / "vm.json").read_text()
(store / "vm.json").write_text(description.replace('"format": 1', '"format": 7'))
refused(9, ["vm.json", "format"], "status", store)
(store / "vm.json").write_text(description[:-20])
refused(9, ["vm.json"], "status", store)
(store / "vm.json").write_text(description)
refused(3, ["nostore"], "status", work / "nostore")

# ── the target was replaced, or is gone ──
kept = work / "kept.raw"
target.rename(kept)
refused("failure", [str(target)], "sync", store, f"sda={nbd_uri(good.socket)}", "--snapshot", "p1")
shutil.copy(kept, target)
refused("failure", [str(target)], "sync", store, f"sda={nbd_uri(good.socket)}", "--snapshot", "p1")
target.unlink()
kept.rename(target)
check_intact()

# ── no room for a layer ──
if os.geteuid() == 0:
    full = work / "full"
    full.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=3M", "none", full)
    defer(run, "umount", full)
    slipway("create", full / "vm", "--disk", f"sda={work / 'other.raw'}:{SIZE}")
    slipway("sync", full / "vm", f"sda={nbd_uri(good.socket)}", "--snapshot", "p0")
    random_image(work / "b.raw", SIZE, seed=2)
    changed = serve(work / "b.raw")
    refused(7, ["sda", "room"], "sync", full / "vm", f"sda={nbd_uri(changed.socket)}",
            "--snapshot", "p1")
    run("mount", "-o", "remount,size=64M", full)
    slipway("sync", full / "vm", f"sda={nbd_uri(changed.socket)}", "--snapshot", "p1")
check_intact()

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""NBD clients write the initial copy and whole-disk deltas; only a commit makes a generation."""

import random

from case import check, require, run, wait_until, work
from engines import MIB, SLIPWAY, Engine, connect, random_image, read_export, refused

require("qemu-img", "nbdcopy", "nbdkit")
SIZE = 24 * MIB + 512
rng = random.Random(11)
image = random_image(work / "a.raw", SIZE)
data = bytearray(image.read_bytes())
data[3 * MIB:9 * MIB] = bytes(6 * MIB)
image.write_bytes(data)
engine = Engine("vm", sda=SIZE, sdb=2 * MIB).start()


def slipway(*words, expect=0):
    return run(SLIPWAY, "engine", *words, expect=expect)


def change():
    new = bytearray(image.read_bytes())
    for _ in range(6):
        at = rng.randrange(SIZE - 70000)
        new[at:at + 70000] = rng.randbytes(70000) if rng.random() < .7 else bytes(70000)
    image.write_bytes(new)
    return bytes(new)


# The initial copy, by qemu-img.
slipway("load", "commit", engine.store, expect=3)
said = slipway("load", "begin", engine.store, "--snapshot", "monday")
check("sda+load" in said and "sdb+load" in said, "it says where to write")
check("push" in refused(engine.call, "sync", disks=[{"name": "sda", "uri": "nbd://x"}]),
      "a sync has to wait, and is told for what")
run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, engine.uri("sda+load"))
check(engine.status()["mode"] == "init", "nothing is committed by writing")
check(engine.status()["load"]["snapshot"] == "monday", "the status tells of the push")
check(read_export(engine.uri("sda+load")) == image.read_bytes(), "it reads back")
slipway("load", "commit", engine.store, "--snapshot", "monday")
check(engine.status()["generation"] == 0 and engine.status()["snapshot"] == "monday", "committed")
check(engine.call("load-commit", snapshot="monday")["already"], "once, also when it is told twice")
slipway("load", "commit", engine.store, "--snapshot", "tuesday", expect=3)
check(read_export(engine.uri("sda")) == image.read_bytes(), "sda is what was pushed")
check(read_export(engine.uri("sdb")) == bytes(2 * MIB), "what nobody wrote is zero")
slipway("load", "begin", engine.store, "--snapshot", "monday", expect=4)

# Deltas: by nbdcopy with several connections, then by qemu-img without a begin.
old = image.read_bytes()
new = change()
slipway("load", "begin", engine.store, "--snapshot", "tuesday")
run("nbdcopy", "--connections=4", image, engine.uri("sda+load"))
check(read_export(engine.uri("sda")) == old, "readers see the last generation")
result = engine.call("load-commit")
check(result["generation"] == 1 and result["passes"][0]["same_bytes"] > 16 * MIB,
      "most blocks are the same and are not stored")
check(result["passes"][0]["written_bytes"] < 2 * MIB, "only what changed is stored")
check(read_export(engine.uri("sda")) == new, "the delta is there")
new = change()
run("qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "raw", "-O", "raw", image,
    engine.uri("sda+load"))
slipway("load", "commit", engine.store)
check(read_export(engine.uri("sda")) == new, "a connection began the push by itself")
check(engine.status()["snapshot"].startswith("unnamed-"), "and it has no name")
engine.folded()
check(engine.target("sda").read_bytes()[:SIZE] == new, "and it folds")

# A connection that writes nothing leaves nothing; one that writes must leave before a commit.
connect(engine.uri("sda+load")).shutdown()
wait_until(lambda: engine.status()["operation"] is None, "the end of a push that was only a look")
writer = connect(engine.uri("sda+load"))
writer.pwrite(b"x" * 512, 1024)
writer.flush()
check("1 connections" in refused(engine.call, "load-commit", grace_s=0), "not while connected")
slipway("load", "commit", engine.store, "--grace", "x", expect=2)
writer.shutdown()
slipway("load", "abandon", engine.store)
check(read_export(engine.uri("sda")) == new, "an abandoned push leaves nothing")
slipway("load", "abandon", engine.store, expect=3)

# A disk that is too small for the image: the client says so.
(work / "big.raw").write_bytes(bytes(SIZE + 4096))
run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", work / "big.raw",
    engine.uri("sda+load"), expect="failure")
check(read_export(engine.uri("sda")) == new, "the mirror is as it was")
wait_until(lambda: engine.status()["load"] is None, "the end of a push without a byte")

# An owner takes no push.
engine.call("flip", grace_s=0)
check("owner" in slipway("load", "begin", engine.store, expect=5), "the sentence names the mode")
engine.stop()

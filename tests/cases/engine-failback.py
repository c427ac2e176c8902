# SPDX-License-Identifier: Apache-2.0
# timeout: 300
"""The way back: passes to NBD destinations while a guest writes, disturbed by kills, cancels and a
destination that goes away; the last pass with the guest gone makes both sides the same."""

import json
import random
import threading

from case import build, check, require, run, start, stop, wait_until, work
from engines import MIB, Engine, Lost, Refused, Source, connect, listening, nbd_uri, random_image

require("nbdkit", "qemu-nbd")
SLIPWAY = build / "orchestrator" / "slipway"
SIZES = {"sda": 24 * MIB + 512 * 3, "sdb": 8 * MIB}
images = {disk: random_image(work / f"{disk}.raw", size, seed) for seed, (disk, size)
          in enumerate(SIZES.items(), 1)}


class Destination:
    """The disks of the source, served for writing."""

    def __init__(self, disk):
        self.disk, self.socket = disk, work / f"{disk}-dest.sock"
        self.serve()

    def serve(self):
        self.socket.unlink(missing_ok=True)
        if self.disk == "sda":
            self.process = start("nbdkit", "-f", "-U", self.socket, "file", images["sda"])
        else:  # takes one client at a time
            self.process = start("qemu-nbd", "-t", "-e", "1", "-k", self.socket, "-f", "raw",
                                 images["sdb"])
        wait_until(lambda: listening(self.socket), "the destination")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def word(self):
        return f"{self.disk}={nbd_uri(self.socket)}"

    def request(self):
        return {"name": self.disk, "uri": nbd_uri(self.socket)}


class Guest(threading.Thread):
    """Writes here and there, small and large, zeros and trims, with a flush now and then."""

    def __init__(self, disk, seed):
        super().__init__(daemon=True)
        self.random, self.disk, self.size = random.Random(seed), disk, SIZES[disk]
        self.leave, self.writes = threading.Event(), 0
        self.start()

    def one(self, handle):
        length = self.random.choice([512, 4096, 4096, 65536, 200 * 512])
        at = self.random.randrange((self.size - length) // 512 + 1) * 512
        kind = self.random.random()
        if kind < 0.8:
            handle.pwrite(self.random.randbytes(length), at)
        elif kind < 0.9:
            handle.zero(length, at)
        elif kind < 0.95:
            handle.trim(length, at)
        else:
            handle.flush()
        self.writes += 1

    def connect(self):
        """As soon as there is an engine, as a QEMU with reconnect-delay does; None at the end."""
        while not self.leave.is_set():
            try:
                return connect(engine.uri(self.disk))
            except Exception:
                self.leave.wait(0.02)
        return None

    def run(self):
        handle = self.connect()
        while not self.leave.wait(0.002):
            try:
                self.one(handle)
            except Exception:  # the engine was killed
                handle = self.connect()
        if handle:
            handle.flush()
            handle.shutdown()


def guests():
    return [Guest(disk, seed) for seed, disk in enumerate(SIZES, 10)]


def leave(them):
    for guest in them:
        guest.leave.set()
    for guest in them:
        guest.join()
    check(all(guest.writes > 0 for guest in them), "the guests have written")


def failback(*options, expect=0):
    return run(SLIPWAY, "engine", "failback", engine.store, *[d.word() for d in destinations],
               *options, expect=expect)


def begin(**more):
    return engine.begin("failback", disks=[d.request() for d in destinations], **more)


def dirty():
    return sum(disk["dirty_bytes"] for disk in engine.status()["disks"])


def limit(rate):
    engine.call("limit", source_bytes_s=rate)


def ends_badly(pending, *names):
    try:
        engine.end(pending)
        check(False, f"a pass that must end with {names[0]} ended well")
    except Refused as refusal:
        check(refusal.name in names, f"{names}: {refusal.name}: {refusal}")
        print(f"refused: {refusal}")


engine = Engine(**SIZES).start()
engine.sync("p0", *[Source(disk, image) for disk, image in images.items()])
check("flip it first" in run(SLIPWAY, "engine", "failback", engine.store,
                             "sda=nbd+unix:///?socket=/x", "sdb=nbd+unix:///?socket=/x", expect=5),
      "a mirror has nothing to send")
engine.call("flip")
destinations = [Destination(disk) for disk in SIZES]

# ── the source changed since the flip: not a byte is sent ──
with open(images["sda"], "r+b") as f:
    f.seek(5 * MIB + 12345)
    was = f.read(1)
    f.seek(5 * MIB + 12345)
    f.write(bytes([was[0] ^ 1]))
said = failback(expect=5)
check("the source changed since the flip (1 blocks" in said, said)
check(engine.status()["mode"] == "owner", "nothing has begun")
with open(images["sda"], "r+b") as f:
    f.seek(5 * MIB + 12345)
    f.write(was)

# ── passes while the guests write ──
them = guests()
for _ in range(3):
    result = json.loads(failback("--json").split("\n{\n")[-1].join(["{\n", ""]))
    check(result["mode"] == "failback", "the root says so")
check("still use the disks" in failback("--final", "--grace", "0.2", expect=6),
      "not while somebody is connected")
check(engine.status()["mode"] == "failback" and all(g.is_alive() for g in them), "it goes on")


def slow_pass():
    """A pass that is under way and will not end by itself."""
    wait_until(lambda: dirty() > 3 * MIB, "something to send")
    limit(MIB)
    pending = begin()
    wait_until(lambda: (engine.status()["failback"] or {}).get("phase") == "failback" and
               engine.status()["failback"]["done_bytes"] > 0, "something sent")
    return pending


# ── cancelled, its destination killed, the engine killed ──
pending = slow_pass()
check(engine.call("cancel")["cancelled"], "there is something to cancel")
ends_badly(pending, "ECANCELED")
limit(0)
failback()

pending = slow_pass()
for destination in destinations:
    destination.kill()
ends_badly(pending, "ECONNRESET", "ENOTCONN")
check("cannot connect" in failback(expect=8), "a destination that is not there")
for destination in destinations:
    destination.serve()
limit(0)
failback()

pending = slow_pass()
engine.kill()
try:
    engine.end(pending)
    check(False, "no answer comes from a killed engine")
except Lost:
    pass
engine.start()
limit(0)
check(engine.status()["mode"] == "failback", "a restarted engine knows where it was")
failback()

# ── the wrong destination: one that the passes did not go to ──
other = random_image(work / "other.raw", SIZES["sdb"], 77)
socket = work / "other.sock"
start("nbdkit", "-f", "-U", socket, "file", other)
wait_until(lambda: listening(socket), "another server")
said = run(SLIPWAY, "engine", "failback", engine.store, destinations[0].word(),
           f"sdb={nbd_uri(socket)}", expect=5)
check("is not the one that earlier passes went to" in said, said)

# ── the last pass, checked as a whole ──
leave(them)
said = failback("--final", "--check", "digest")
check("returned" in said, said)
for disk, image in images.items():
    ours = engine.target(disk).read_bytes()[:SIZES[disk]]
    check(ours == image.read_bytes(), f"{disk} is the same on both sides")
check(engine.status()["mode"] == "returned", "the engine says so")
check("returned before" in failback("--final"), "asked again, it says that it is done")
for verb, *words in (("failback", *[d.word() for d in destinations]), ("detach",), ("flip",)):
    said = run(SLIPWAY, "engine", verb, engine.store, *words, expect=5)
    check(f"'{verb}' does not fit mode returned" in said, said)
try:
    connect(engine.uri("sda"))
    check(False, "nothing is served any more")
except Exception as refusal:
    print(f"refused: {refusal}")
engine.stop()
check("returned" in run(SLIPWAY, "engine", "status", engine.store), "also at rest")
run(SLIPWAY, "engine", "fsck", engine.store)

# SPDX-License-Identifier: Apache-2.0
# timeout: 180
"""A source that dies or hangs fails what needs it and nothing else; then all goes on."""

import errno

import nbd

from case import check, require, run, wait_until, work
from engines import MIB, SLIPWAY, Engine, Source, connect, random_image, read_all

require("nbdkit")
SIZE = 64 * MIB


def hydration():
    return engine.status()["disks"][0].get("hydration", {"source": "done"})


def source_is(state):
    wait_until(lambda: hydration()["source"] == state, f"source {state}", pause=0.05)


def reads(at, length=65536):
    check(bytes(disk.pread(length, at)) == bytes(expected[at:at + length]), f"bytes at {at}")


def fails(at):
    try:
        disk.pread(4096, at)
    except nbd.Error as error:
        check(error.errnum == errno.EIO, f"EIO, not {error}")
        return
    check(False, f"the read at {at} needs the source")


def writes(at, length, seed):
    data = bytes([seed]) * length
    disk.pwrite(data, at)
    expected[at:at + length] = data


image = random_image(work / "a.raw", SIZE)
expected = bytearray(image.read_bytes())
source = Source("sda", image)
engine = Engine(sda=SIZE)
engine.options.append("source-wait=2")
engine.start()
engine.call("limit", source_bytes_s=65536)  # so that the background leaves something to be missed
engine.call("flip", instant=True, disks=[source.request()], snapshot="final")
disk = connect(engine.uri("sda"))
reads(8 * MIB)
writes(9 * MIB, 4096, 1)

# ── it dies ──
source.kill()
fails(20 * MIB)
check(hydration()["source"] == "lost", "a failed wait says so")
check(hydration()["error"], "and why")
text = run(SLIPWAY, "engine", "status", engine.store)
check("source lost" in text and hydration()["error"] in text, "people are told, too")
fails(21 * MIB)
reads(8 * MIB)
writes(9 * MIB + 4096, 8192, 2)  # whole sub-blocks need no source
reads(9 * MIB, 12288)
disk.flush()
source.start()
source_is("up")
check(hydration()["error"] == "", "no error any more")
reads(20 * MIB)
writes(30 * MIB + 100, 1000, 3)  # parts of sub-blocks do
reads(30 * MIB)

# ── it hangs ──
source.freeze()
fails(40 * MIB)
check(hydration()["source"] == "lost", "one that hangs is lost, too")
reads(30 * MIB)
source.thaw()
source_is("up")
reads(40 * MIB)

# ── the orchestrator knows it first ──
source.freeze()
engine.call("source-lost")
fails(41 * MIB)
check(hydration()["source"] == "lost", "as told")

# ── another place ──
other = Source("sda", image)
engine.call("source", disks=[other.request()])
source_is("up")
reads(41 * MIB)
source.kill()

# ── an engine that is stopped while its source hangs stops at once, and goes on ──
other.freeze()
disk.shutdown()
engine.stop()
other.thaw()
engine.start()
disk = connect(engine.uri("sda"))
reads(50 * MIB)

# ── to the end ──
engine.call("limit", source_bytes_s=0)
wait_until(lambda: engine.status()["mode"] == "owner", "the end of the hydration")
check(read_all(disk) == bytes(expected), "the disk is the source and what was written")
disk.shutdown()

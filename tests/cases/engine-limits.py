# SPDX-License-Identifier: Apache-2.0
# timeout: 180
"""Limits slow a running sync, are lifted while it runs, survive a restart, and are shown."""

import json

from case import build, check, require, run, wait_until, work
from engines import MIB, Engine, Refused, Source, random_image, read_export

require("nbdkit")
SLIPWAY = build / "orchestrator" / "slipway"
SIZE = 32 * MIB


def limit(*options, expect=0):
    return run(SLIPWAY, "engine", "limit", engine.store, *options, expect=expect)


def limits():
    return engine.status()["limits"]


image = random_image(work / "a.raw", SIZE)
source = Source("sda", image)
engine = Engine(sda=SIZE)

# ── without an engine: kept for the next one, shown by the store at rest ──
limit("--source-rate", "64K", "--target-iops", "5000")
rest = json.loads(run(SLIPWAY, "engine", "status", engine.store, "--json"))
check(rest["running"] is False and rest["limits"]["vm"]["source_bytes_s"] == 65536, "at rest")
engine.start()
check(limits()["vm"] == {"source_bytes_s": 65536, "source_iops": 0, "target_bytes_s": 0,
                         "target_iops": 5000}, "a restarted engine keeps them")

# ── a running sync: at 64 KiB/s it takes 8 minutes ──
pending = engine.begin("sync", disks=[source.request()], snapshot="p0")
wait_until(lambda: (engine.status()["sync"] or {}).get("done_bytes", 0) > 0, "a first block")
check(engine.status()["sync"]["done_bytes"] < SIZE // 2, "it goes slowly")
check(engine.status()["sync"]["disks"][0]["read_latency_us"] > 0, "what reads take is measured")
limit("--disk", "sda", "--source-rate", "0")
check(engine.status()["sync"] is not None, "the VM's limit still holds")
limit("--source-rate", "unlimited")
check(engine.end(pending)["generation"] == 0, "without the limit it ends")
check(read_export(engine.uri("sda")) == image.read_bytes(), "and what came is right")

# ── cancel of what a limit keeps waiting ──
limit("--source-rate", "1")
random_image(image, SIZE, seed=2)
pending = engine.begin("sync", disks=[source.request()], snapshot="p1", compare=True)
wait_until(lambda: engine.status()["sync"] is not None, "the sync")
engine.call("cancel")
try:
    engine.end(pending)
    check(False, "a cancelled sync does not end well")
except Refused as e:
    check(e.name == "ECANCELED", f"cancelled: {e}")

# ── kept over kill -9 ──
limit("--source-rate", "0", "--target-rate", "0", "--target-iops", "0")
engine.sync("p2", source, compare=True)
wait_until(lambda: not engine.status()["disks"][0]["layers"], "the fold")
limit("--target-rate", "100M")
engine.kill()
engine.start()
check(limits()["vm"]["target_bytes_s"] == 100 * MIB, "kept over kill -9")

# ── what people read, and what is refused ──
said = limit("--disk", "sda", "--source-rate", "1536K", "--source-iops", "200")
check("1.5 MiB/s, 200 IOPS" in said and "100 MiB/s" in said and "unlimited" in said, said)
check("is no limit" in limit("--source-iops", "5K", expect=2), "a request has no K")
check("is no limit" in limit("--target-rate", "-3", expect=2), "no negative rate")
check("no disk 'sdz'" in limit("--disk", "sdz", "--source-rate", "1M", expect=3), "a disk's name")
try:
    engine.call("limit", source_iops="many")
    check(False, "text is no number")
except Refused as e:
    check(e.name == "EINVAL", str(e))
shown = json.loads(limit("--json"))
check(shown["disks"]["sda"]["source_bytes_s"] == 1536 << 10, "nothing was changed by that")
engine.stop()
(engine.store / "limits.json").write_text('{"format": 1, "vm": {"source_iops": -4}}')
check("limits.json" in limit(expect=9), "a damaged file is named")
check("limits.json" in run(SLIPWAY, "engine", "fsck", engine.store, expect=9), "fsck finds it")
(engine.store / "limits.json").unlink()
engine.start()
check(limits()["vm"]["target_bytes_s"] == 0, "without the file nothing is limited")

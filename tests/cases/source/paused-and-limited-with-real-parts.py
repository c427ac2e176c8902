# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""Limit, pause and resume with the real engine and a real libvirt source: the copy keeps to its
limit, stops, goes on with the same snapshot after a kill of slipwayd, and is exact."""

import json
import sqlite3
import time

from case import build, check, require, run, start, wait_until, work
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd", "nbdkit")
lab = Lab()
vm = lab.vm("shop", {"vda": "qcow2"})
vm.write("vda", 0, 6 << 20, 1)
SOCKET = work / "slipwayd.sock"


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, "--socket", SOCKET, **options)


def daemon():
    process = start(build / "orchestrator/slipwayd", "--state", work / "state", "--socket", SOCKET,
                    "--node", f"qemu:///embed?root={work / 'state/node'}", "--pool", work / "pool")
    wait_until(lambda: "NAME" in slipway("status", expect=None, quiet=True), "slipwayd answers")
    return process


def job():
    return json.loads(slipway("status", "shop", "--json", quiet=True))


def done():
    return (job()["progress"] or {}).get("done_bytes", 0)


def snapshots():
    with sqlite3.connect(work / "state/journal.db") as db:
        return [row[0] for row in db.execute("SELECT snapshot FROM passes ORDER BY id")]


def engine():
    return json.loads(run(build / "orchestrator/slipway", "engine", "status",
                          work / "state/stores/shop", "--json", quiet=True))


first = daemon()
slipway("source", "add", "lab", lab.uri)
slipway("limit", "set", "source", "lab", "--bandwidth", "1M")
slipway("migrate", "lab/shop", "--no-morph", "--detach")
begun = time.monotonic()
wait_until(lambda: done() > 1 << 20, "a MiB is copied")
check(job()["progress"]["limit_bytes_s"] == 1 << 20, f"the limit is shown: {job()}")
slipway("pause", "shop", "--follow")
check(job()["state"] == "paused", f"it is paused: {job()}")
kept = snapshots()
check(len(kept) == 1 and kept[0], "its point in time is kept")
vm.write("vda", 0, 1 << 20, 9)  # is not part of it

first.kill()
first.wait()
second = daemon()
check(job()["state"] == "paused", "also after a kill")
slipway("resume", "shop")
wait_until(lambda: done() > 2 << 20, "it goes on")
slipway("limit", "clear", "source", "lab")
wait_until(lambda: not job()["active"], "it comes to its end")
check(job()["state"] == "mirrored" and snapshots() == kept, f"with the same snapshot: {job()}")
check(time.monotonic() - begun > 1.5, "the limit has held")
slipway("sync", "shop", "--follow")
limits = engine()["limits"]["vm"]
check(limits["source_bytes_s"] == 0, f"the engine has its own limits again: {limits}")
wait_until(lambda: not engine()["fold_pending"], "all is in the target")
second.terminate()
second.wait()
run(build / "orchestrator/slipway", "engine", "stop", work / "state/stores/shop")
check((work / "pool/shop/vda.raw").read_bytes() == bytes(vm.model["vda"]), "the target is exact")

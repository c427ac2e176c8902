#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""With real engine, libvirt and node: a migration that was told everything beforehand is synced,
cut over inside its window and its budget, and taken back with what the VM has written when the time
to go back is over; nobody asks for anything."""

import json

import nbd

from case import check, require, run, stop, wait_until, work

require("root", "qemu-system-x86_64", "nbdkit", "libvirtd")
from realparts import daemon, job, lab, slipway, vm

store = work / "st/stores/moved"


def events(kind):
    import sqlite3
    with sqlite3.connect(work / "st/journal.db") as db:
        rows = db.execute("select body_json from events order by seq").fetchall()
    return [e for e in (json.loads(row[0]) for row in rows) if e["event"] == kind]


process = daemon()
vm.write("vda", 0, 65536, 1)
slipway("source", "add", "lab", lab.uri)
slipway("migrate", "lab/t1", "--name", "moved", "--no-morph", "--shutdown-policy", "force",
        "--shutdown-timeout", "2", "--replicate", "later", "--sync-interval", "5s", "--cutover",
        "auto", "--window", "00:00-24:00", "--downtime-budget", "300s", "--failback",
        "--commit-window", "20s", "--window-end", "rollback")
check(job()["state"] == "planned", f"nothing is begun yet: {job()['state']}")
slipway("start", "moved", "--detach")
wait_until(lambda: job()["state"] == "window", "it is cut over by itself", timeout=120, pause=0.3)
began = [e for e in events("schedule") if "cutover" in e["action"]]
check(len(began) == 1, f"once, with its reason: {began}")
explained = json.loads(slipway("explain", "moved", "--json", quiet=True))
check("roll" in explained["reason"], f"what comes next is said: {explained['reason']}")

# The VM writes; when the time is over this goes back.
handle = nbd.NBD()
handle.connect_uri(f"nbd+unix:///vda?socket={store}/nbd.sock")
handle.pwrite(b"\x07" * 70000, 512 * 1024)
handle.flush()
handle.shutdown()
vm.model["vda"][512 * 1024:512 * 1024 + 70000] = b"\x07" * 70000
wait_until(lambda: job()["state"] == "rolled-back", "it goes back by itself", timeout=120,
           pause=0.3)
check("running" in lab.virsh("domstate", "t1"), "the source runs")
for disk in ("vda", "vdb"):
    run("qemu-img", "convert", "-U", "-O", "raw", work / f"t1-{disk}.img", work / "read",
        quiet=True)
    check((work / "read").read_bytes() == bytes(vm.model[disk]), f"{disk}: every byte is there")

# Once more by hand, and this time for good: the VM on the source goes, with its disks.
slipway("set", "moved", "--cutover", "manual", "--source-after-commit", "delete", "--window-end",
        "wait")
slipway("sync", "moved", "--follow")
slipway("cutover", "moved", "--follow")
slipway("commit", "moved", "--follow")
check(lab.virsh("list", "--all", "--name").split() == [], "the VM is gone from the source")
check(not list(work.glob("t1-*.img")), "and its disks are")
for disk in ("vda", "vdb"):
    target = (work / f"pool/moved/{disk}.raw").read_bytes()
    check(target == bytes(vm.model[disk]), f"{disk}: every byte is here")
stop(process, grace=20)

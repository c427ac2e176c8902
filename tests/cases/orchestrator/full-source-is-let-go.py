#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""Before the storage of the source is full the sync is given up and its snapshot ended; the
migration pauses, says why, and goes on from the mirror it had."""

import json

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "x")
p.start(SLIPWAY_ROOM_LOOK_MS=100, FAKE_SYNC_STEPS=100, FAKE_SYNC_PAUSE="0.05")
p.add_source()
room = p.source / "room"
room.write_text("900 1000")
p.migrate()
check(p.job()["state"] == "mirrored", "with room it syncs")

p.guest_writes("more")
p.api("POST", "/v1/migrations/web/sync")
wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "copy", "it copies")
room.write_text(f"{8 << 20} {100 << 20}")


def notes():
    return " ".join(json.loads(body).get("message", "") for body, in
                    p.rows("SELECT body_json FROM events WHERE body_json LIKE '%note%'"))


wait_until(lambda: "has 8.0 MiB free" in notes(), f"it is told: {notes()}")
check(p.job()["state"] == "syncing", "and the sync goes on")
room.write_text(f"{2 << 20} {100 << 20}")
job = wait_until(lambda: (j := p.job())["state"] == "paused" and not j["active"] and j, "it pauses")
check("only 2.0 MiB free" in job["error"]["message"] and job["error"]["name"] == "ENOSPC",
      f"and says why: {job['error']}")
check(not [f for f in p.leftovers() if f.startswith("snap-")], f"no snapshot: {p.leftovers()}")
check(job["generation"] == 0 and p.rows("SELECT count(*) FROM passes WHERE ended=0")[0][0] == 0,
      "the mirror is as it was")
check("paused by itself" in p.api("GET", "/v1/migrations/web/explain")["reason"], "it is explained")
room.write_text("900 1000")
p.cli("resume", "web", "--follow")
check(p.job()["state"] == "mirrored" and p.job()["generation"] == 1, f"it goes on: {p.job()}")

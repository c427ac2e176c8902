#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 90
"""Without room, in the pool or for the journal itself, migrations stand still by themselves, say
so, lose nothing, and go on when there is room again."""

from case import check, defer, require, run, wait_until, work
from fakes import Platform

require("root")
p = Platform(work / "x")
p.state.mkdir()
run("mount", "-t", "tmpfs", "-o", "size=6m", "slipway-test", p.state)
defer(run, "umount", "--lazy", p.state)
filler = p.state / "filler"


def fill():
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass


p.start(SLIPWAY_ROOM_LOOK_MS=200, FAKE_SYNC_STEPS=20, FAKE_SYNC_PAUSE="0.05")
p.add_source()
check(p.migrate()["state"] == "mirrored", "it begins")

# The pool is full: the engine says so.
full = p.state / "stores" / "web" / "full"
full.write_text("")
p.guest_writes("one")
p.api("POST", "/v1/migrations/web/sync")
job = wait_until(lambda: (j := p.job())["state"] == "paused" and not j["active"] and j, "it pauses")
check("make room" in job["error"]["message"] and job["error"]["name"] == "ENOSPC", f"told: {job}")
check(p.leftovers() != [], "the snapshot is kept")
full.unlink()
wait_until(lambda: p.job()["state"] == "mirrored" and p.job()["generation"] == 1, "it goes on")
check("error" not in p.job(), "and the error is gone")

# The state folder is full when something is asked for: a sentence, and nothing has changed.
fill()
status, answer = p.raw("POST", "/v1/migrations/web/sync")
check(status == 507 and "no space for the journal" in answer["error"]["message"], f"{answer}")
check(p.job()["state"] == "mirrored" and not p.job()["active"], f"it is as before: {p.job()}")
filler.unlink()

# It becomes full while a sync runs: not even the pause can be written down.
p.guest_writes("two")
p.api("POST", "/v1/migrations/web/sync")
wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "copy", "it copies")
fill()
job = wait_until(lambda: (j := p.job()) and not j["active"] and j, "its thread ends")
check(job["state"] == "syncing" and job["progress"]["phase"] == "waiting" and
      "no space" in job["progress"]["because"], f"it waits for room: {job}")
check(p.raw("GET", "/v1/migrations/web/report")[0] == 200, "slipwayd answers")
filler.unlink()
wait_until(lambda: p.job()["state"] == "mirrored" and p.job()["generation"] == 2, "it goes on")
check(p.rows("SELECT count(*) FROM passes WHERE ended=0")[0][0] == 0, "no pass is open")

# The same over a restart.
p.guest_writes("three")
p.api("POST", "/v1/migrations/web/sync")
wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "copy", "it copies")
fill()
wait_until(lambda: not p.job()["active"], "its thread ends")
p.kill()
filler.unlink()
p.start()
wait_until(lambda: p.job()["state"] == "mirrored" and p.job()["generation"] == 3, "nothing is lost")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 90
"""A sync is paused and goes on with the same snapshot, across a restart; a paused migration is not
cut over."""

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "x")
SLOW = {"FAKE_SYNC_STEPS": 100, "FAKE_SYNC_PAUSE": "0.05"}
p.start(**SLOW)
p.add_source()


def phase():
    return (p.job()["progress"] or {}).get("phase")


def snapshots():
    return [row[0] for row in p.rows("SELECT snapshot FROM passes ORDER BY id")]


def wait_paused():
    check(p.wait_rest()["state"] == "paused", f"it is paused: {p.job()}")


p.api("POST", "/v1/migrations", {"source": "src", "vm": "web"})
wait_until(lambda: phase() == "copy", "the initial sync copies")
p.cli("pause", "web", "--follow")
job = p.job()
check(job["state"] == "paused" and "error" not in job and job["verbs"] == ["resume", "cancel"],
      f"paused, without an error: {job}")
check(len(p.leftovers()) > 0 and len(snapshots()) == 1, "its snapshot is kept")
for verb, word in (("cutover", "is paused: cutover is possible only when"), ("sync", "is paused"),
                   ("pause", "is paused")):
    status, answer = p.raw("POST", f"/v1/migrations/web/{verb}")
    check(status == 409 and word in answer["error"]["message"], f"{verb}: {answer}")

p.stop()
p.start()
check(p.job()["state"] == "paused", "a restart changes nothing")
before = snapshots()
p.cli("resume", "web", "--follow")
check(p.job()["state"] == "mirrored" and snapshots() == before, "the same pass came to its end")
check(p.job()["generation"] == 0 and (p.state / "stores/web/g0-vda").exists(),
      f"and is a generation: {p.job()}")

# At rest: nothing begins; resumed it is what it was.
p.cli("pause", "web")
check(p.wait_rest()["state"] == "paused", "a mirror at rest is paused, too")
check("web" in p.cli("resume", "--all"), "all that can be are resumed")
check(p.wait_rest()["state"] == "mirrored", "and is a mirror again")
check(p.cli("pause", "none", expect=3) and p.cli("pause", expect=2), "wrong use is told")

# While it waits for its turn, and cancelled out of the pause.
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"syncs": 1}]})
p.stop()
p.start(**SLOW)
(p.source / "db").mkdir()
(p.source / "db" / "power").write_text("running")
(p.source / "db" / "vda.img").write_text("x")
p.describe(p.source / "db")
p.api("POST", "/v1/migrations", {"source": "src", "vm": "db"})
wait_until(lambda: (p.job("db")["progress"] or {}).get("phase") == "copy", "db copies")
p.api("POST", "/v1/migrations/web/sync")
wait_until(lambda: phase() == "queued", "web waits")
p.api("POST", "/v1/migrations/web/pause")
wait_paused()
p.api("POST", "/v1/migrations/db/pause")
check(p.wait_rest("db")["state"] == "paused", "db is paused")
p.api("POST", "/v1/migrations/db/cancel")
check(p.wait_rest("db")["state"] == "cancelled", "a paused one can be cancelled")
check(not any(f.name.startswith("snap-") for f in (p.source / "db").iterdir()), "nothing is left")
p.stop()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""slipwayd is killed at every point of a pause and a resume: the migration is paused or not, and
comes to the same end."""

import json
import os

from case import check
from fakes import kill_everywhere


def step(q):
    q.raw("POST", "/v1/sources", json.dumps({"name": "src", "uri": f"test://{q.source}"}))
    job = q.job()
    if not job:
        q.api("POST", "/v1/migrations", {"source": "src", "vm": "web"})
        return False
    asked = q.folder / "asked"
    copies = (job["progress"] or {}).get("phase") == "copy"
    if job["state"] == "syncing" and job["generation"] == 0 and copies and not asked.exists():
        asked.write_text("")
        q.api("POST", "/v1/migrations/web/pause")
    if job["active"]:
        return False
    if job["state"] == "mirrored" and not (q.folder / "begun").exists():
        q.guest_writes("more")
        (q.folder / "begun").write_text("")
        q.api("POST", "/v1/migrations/web/sync")
        return False
    if job["state"] == "paused":
        q.api("POST", "/v1/migrations/web/resume")
        return False
    if job["generation"] != 1:
        q.api("POST", "/v1/migrations/web/sync")
        return False
    return True


def check_end(q, what):
    job = q.job()
    check(job["state"] == "mirrored" and job["generation"] == 1, f"{what}: {job}")
    check(q.rows("SELECT count(*) FROM passes WHERE ended=0")[0][0] == 0, f"{what}: no open pass")
    check(len([f for f in q.leftovers() if f.startswith("snap-")]) == 0, f"{what}: {q.leftovers()}")


os.environ |= {"FAKE_SYNC_STEPS": "10", "FAKE_SYNC_PAUSE": "0.03"}
kill_everywhere(step, check_end)

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""A cutover fails in the morph, the source is started again, a person cancels; slipwayd is killed
at each point on that way, and always the source runs at the end and nothing of us is left."""

import time

from case import check
from fakes import kill_everywhere


def prepare(p):
    p.state.mkdir()
    (p.state / "fail-morph").touch()


def step(p):
    job = p.job()
    if job is None:
        if not p.api("GET", "/v1/sources")["sources"]:
            p.add_source()
        p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "commit_window_s": 0})
    elif job["active"]:
        time.sleep(0.005)
    elif job["state"] == "mirrored" and "error" not in job:
        p.api("POST", "/v1/migrations/web/cutover")
    elif job["state"] == "mirrored":
        check("no guest found" in job["error"]["message"], f"it says why: {job}")
        check((p.vm / "power").read_text() == "running", "the source runs again")
        p.api("POST", "/v1/migrations/web/cancel")
    else:
        check(job["state"] == "cancelled", f"the migration is cancelled, it is {job}")
        return True
    return False


def check_end(p, what):
    check(p.leftovers() == [], f"{what}: left on the source: {p.leftovers()}")
    check(p.rows("select * from leftovers") == [], f"{what}: left in the journal")
    check((p.vm / "power").read_text() == "running", f"{what}: the source runs")
    check(not (p.state / "stores/web").exists(), f"{what}: the store is gone")
    check(not (p.pool / "web").exists(), f"{what}: the targets are gone")
    check(list(p.node.iterdir()) == [], f"{what}: the node knows nothing")


kill_everywhere(step, check_end, prepare)

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 180
"""Reads of the source that become slow slow the sync down, and it recovers with them; both are
told."""

import json

from case import check, wait_until, work
from fakes import Platform

latency = work / "latency"
latency.write_text("10")
p = Platform(work / "x")
p.start(FAKE_SYNC_STEPS=100000, FAKE_SYNC_PAUSE="0.02", FAKE_SYNC_STEP_BYTES=2000000,
        FAKE_LATENCY=latency)
p.add_source()
p.api("POST", "/v1/migrations", {"source": "src", "vm": "web"})


def notes():
    return [json.loads(body)["message"] for body, in p.rows(
        "SELECT body_json FROM events WHERE body_json LIKE '%\"note\"%' ORDER BY seq")]


def told():
    log = p.state / "stores/web/limits.log"
    return [json.loads(line)["source_bytes_s"] for line in log.read_text().splitlines()] \
        if log.exists() else []


wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "copy", "it copies")
# A look is every two seconds: it has to see the usual time first.
wait_until(lambda: p.job()["progress"]["done_bytes"] > 600000000, "it was looked at", timeout=30)
check(not told(), f"nothing is slowed down: {told()}")
latency.write_text("200")
wait_until(told, "it is slowed down", timeout=40)
check("reads of the source take 200 ms instead of 10 ms" in notes()[-1], f"and told: {notes()}")
check("the source reads slowly" in p.job()["progress"]["because"], f"and shown: {p.job()}")
low = told()[-1]
latency.write_text("11")
wait_until(lambda: told()[-1] == 0, "it recovers", timeout=60)
check(max(told()) > low and "as usual again" in notes()[-1], f"in steps: {told()} {notes()}")
p.api("POST", "/v1/migrations/web/cancel")
check(p.wait_rest()["state"] == "cancelled", "it ends as any other")

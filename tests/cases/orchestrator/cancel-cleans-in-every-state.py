#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Cancelling while syncing, waiting in the queue, at rest, while the guest ignores its shutdown and
while the guest is morphed: the source runs and nothing is left."""

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "p")
p.start(FAKE_SYNC_STEPS=200, FAKE_SYNC_PAUSE=0.05, options=["--max-syncs", "1"])
p.add_source()


def create(name, **params):
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web",
                                     "commit_window_s": 0, "name": name, **params})


def check_clean(name):
    job = p.wait_rest(name)
    check(job["state"] == "cancelled", f"{name} is cancelled: {job}")
    check(not (p.pool / name).exists() and not (p.state / "stores" / name).exists(),
          f"{name}: targets and store are gone")
    check(p.leftovers() == [], f"{name}: the source is clean: {p.leftovers()}")
    check((p.vm / "power").read_text() == "running", f"{name}: the source runs")


create("copying")
wait_until(lambda: (p.job("copying")["progress"] or {}).get("phase") == "copy", "the copy runs")
create("waiting")
wait_until(lambda: (p.job("waiting")["progress"] or {}).get("phase") == "queued", "it waits")
check(p.job("waiting")["state"] == "syncing" and p.job("waiting")["active"], "in its place")
status, answer = p.raw("DELETE", "/v1/migrations/copying")
check(status == 409 and "copying is syncing" in answer["error"]["message"], f"{answer}")
p.api("POST", "/v1/migrations/waiting/cancel")
job = p.wait_rest("waiting")
check(job["state"] == "cancelled", f"cancelled in the queue: {job}")
p.api("POST", "/v1/migrations/copying/cancel")
check_clean("copying")
p.stop()

p.start(FAKE_MORPH_PAUSE=60)
p.migrate("resting")
p.api("POST", "/v1/migrations/resting/cancel")
check_clean("resting")
(p.vm / "hang").touch()
p.migrate("stopping", shutdown_policy="wait")
p.api("POST", "/v1/migrations/stopping/cutover")
wait_until(lambda: p.job("stopping")["state"] == "stopping", "it stops")
p.api("POST", "/v1/migrations/stopping/cancel")
check_clean("stopping")
(p.vm / "hang").unlink()
p.migrate("morphing")
p.api("POST", "/v1/migrations/morphing/cutover")
wait_until(lambda: p.job("morphing")["state"] == "morphing", "it morphs")
p.api("POST", "/v1/migrations/morphing/cancel")
check_clean("morphing")
for name in ("copying", "waiting", "resting", "stopping", "morphing"):
    status, _ = p.raw("DELETE", f"/v1/migrations/{name}")
    check(status == 204, f"{name} is forgotten")
check(p.api("GET", "/v1/migrations")["migrations"] == [], "all are forgotten")

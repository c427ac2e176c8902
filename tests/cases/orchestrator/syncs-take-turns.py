#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 90
"""Places are given by priority, then by order; hosts that are full keep nobody else back; who waits
is told why."""

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "x")
p.start(options=("--max-syncs", "3"), FAKE_SYNC_STEPS=3000, FAKE_SYNC_PAUSE="0.02")
p.add_source()
for name in "abcdef":
    (p.source / name).mkdir()
    (p.source / name / "power").write_text("running")
    (p.source / name / "vda.img").write_text("x")
    p.describe(p.source / name, host="esx2" if name in "ef" else "esx1")


def phase(name):
    return (p.job(name)["progress"] or {}).get("phase", "")


def begin(name, wanted, **params):
    p.api("POST", "/v1/migrations", {"source": "src", "vm": name, **params})
    wait_until(lambda: phase(name) == wanted, f"{name}: {wanted}")


def cancel(name):
    p.api("POST", f"/v1/migrations/{name}/cancel")
    check(p.wait_rest(name)["state"] == "cancelled", f"{name} is cancelled")


p.api("PUT", "/v1/limits", {"scope": "host", "rules": [{"syncs": 2}]})
begin("a", "copy")
begin("b", "copy")
begin("c", "queued")
begin("d", "queued", priority=90)
check(p.job("c")["progress"]["because"] == "host esx1: 2 of 2 syncs run",
      f"the reason is told: {p.job('c')['progress']}")
check(p.api("GET", "/v1/migrations/c/explain")["reason"] ==
      "the sync waits for its turn: host esx1: 2 of 2 syncs run", "and explained")
begin("e", "copy")   # of another host: it need not wait for those before it
begin("f", "queued")
check(p.job("f")["progress"]["because"] == "slipwayd: 3 of 3 syncs run",
      f"the daemon's own limit: {p.job('f')['progress']}")

first, second = "d", "c"
cancel("a")
wait_until(lambda: phase(first) == "copy", f"{first} is next")
check(phase(second) == "queued", f"{second} still waits")
p.api("PUT", "/v1/limits", {"scope": "host", "name": "esx1", "rules": [{"syncs": 9}]})
cancel("e")
wait_until(lambda: "copy" in (phase(second), phase("f")), "another one begins")
cancel("f")
cancel(first)
wait_until(lambda: phase(second) == "copy", f"{second} begins")

# Killed and started again there are as many places as it is told (a sync that an engine has gone on
# with shows no progress of its own here).
p.kill()
p.start(options=("--max-syncs", "1"))
wait_until(lambda: sorted(phase(n) for n in ("b", second)) ==
           ["", "queued"], "one of the two goes on, the other waits")

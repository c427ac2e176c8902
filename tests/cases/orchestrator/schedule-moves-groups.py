#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A group goes by itself when all of it may: when the windows of all are open and what any of them
comes after is up; as one, once, also when slipwayd is killed on the way; and one that came back
waits for a person."""

import datetime
import time

from case import check, wait_until, work
from fakes import Platform

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
now = datetime.datetime.now(datetime.timezone.utc)
CLOSED = [f"{DAYS[(now.weekday() + 3) % 7]} 12:00-13:00 UTC"]


def platform(name):
    p = Platform(work / name)
    for vm in ("db", "first"):
        (p.source / vm).mkdir()
        (p.source / vm / "power").write_text("running")
        (p.source / vm / "vda.img").write_text("start\n")
        p.describe(p.source / vm, id=vm, uuid=f"11111111-2222-3333-4444-{len(vm):012}")
    p.start(FAKE_MORPH_PAUSE=0.5)
    p.add_source()
    return p


def create(p, vm, **params):
    answer = p.api("POST", "/v1/migrations", {"source": "src", "vm": vm, "sync_interval": "manual",
                                              "commit_window_s": 0, "shutdown_timeout_s": 1,
                                              **params})
    check("error" not in answer, f"{vm} is created: {answer}")
    check(p.wait_rest(vm)["state"] == "mirrored", f"{vm} has a mirror")


def states(p, vm):
    return [row[0] for row in p.rows(f"select to_state from transitions where migration='{vm}' "
                                     "order by id")]


def says(p, vm, words):
    wait_until(lambda: words in p.api("GET", f"/v1/migrations/{vm}/explain")["reason"],
               f"{vm}: '{words}'; now {p.api('GET', f'/v1/migrations/{vm}/explain')}")


p = platform("whole")
create(p, "first")
create(p, "web", group="shop", cutover="auto", windows=CLOSED)
create(p, "db", group="shop", cutover="auto", after=["first"])
for vm in ("web", "db"):
    says(p, vm, "the window opens then")
p.api("PATCH", "/v1/migrations/web", {"windows": []})
for vm in ("web", "db"):
    says(p, vm, "cutover after first, which is not up on the node yet")
time.sleep(0.5)
check(all(p.job(vm)["state"] == "mirrored" for vm in ("web", "db")), "nobody goes alone")
p.cli("cutover", "first")
wait_until(lambda: all("stopping" in states(p, vm) for vm in ("web", "db")), "then both go")
p.kill()
p.start()
wait_until(lambda: all(p.job(vm)["state"] == "done" for vm in ("web", "db")), "both arrive")
for vm in ("web", "db"):
    check(states(p, vm).count("stopping") == 1, f"{vm} went once: {states(p, vm)}")
says(p, "web", "done: it runs on the node")
p.stop()

p = platform("back")
(p.state / "fail-morph").touch()
create(p, "web", group="shop", cutover="auto")
create(p, "db", group="shop", cutover="auto")
wait_until(lambda: all("reverting" in states(p, vm) for vm in ("web", "db")), "both come back")
for vm in ("web", "db"):
    says(p, vm, "failed and is not tried again by itself")
(p.state / "fail-morph").unlink()
time.sleep(1)
check(all(states(p, vm).count("stopping") == 1 for vm in ("web", "db")), "and stay there")
create(p, "first", cutover="auto", after=["nobody"])
says(p, "first", "cutover after nobody, which is not known here")
p.cli("set", "first", "--after", "db")
says(p, "first", "cutover after db, which is not up on the node yet")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""What is asked for in advance happens by itself: syncs at an interval, cutovers in their window
and not before, in the order of what comes after what, and across a restart; and slipway explain
tells why."""

import datetime
import time

from case import check, wait_until, work
from fakes import Platform

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def at(seconds):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def window(begin, end):
    """From so many seconds from now to so many, by whole minutes."""
    begin, end = at(begin), at(end)
    return f"{DAYS[begin.weekday()]} {begin:%H:%M}-{end:%H:%M} UTC"


def explain(name):
    answer = p.api("GET", f"/v1/migrations/{name}/explain")
    check("reason" in answer, f"{name} is explained: {answer}")
    return answer


def states(name):
    return [row[0] for row in p.rows(f"select to_state from transitions where migration='{name}' "
                                     "order by id")]


def passes(name):
    return p.rows(f"select count(*) from passes where migration='{name}' and "
                  "generation is not null")[0][0]


p = Platform(work / "p")
p.start()
p.add_source()

# Intervals, and none.
p.migrate("often", sync_interval="1s")
p.migrate("never", sync_interval="manual")
wait_until(lambda: passes("often") >= 3, "it is synced again and again")
check(passes("never") == 1, "the other one is not")
check("syncs by hand" in explain("never")["reason"], "and it is told")
wait_until(lambda: "every 1 s" in explain("often")["reason"], "so is when the next one comes")

p.cli("pause", "often")
wait_until(lambda: p.job("often")["state"] == "paused", "it is paused")
paused = explain("often")
check("slipway resume often" in paused["reason"] and paused["action"] == "none", f"{paused}")
before = passes("often")
time.sleep(1.5)
check(passes("often") == before, "what is paused is not synced")
p.cli("resume", "often")
wait_until(lambda: passes("often") > before, "what goes on is")

# A window that is shut, one that is open, and one that came after the other.
shut = {"cutover": "auto", "sync_interval": "manual", "windows": [window(7200, 10800)]}
opened = {"cutover": "auto", "sync_interval": "manual", "windows": [window(-3600, 3600)]}
p.migrate("night", **shut)
p.migrate("front", **opened, after=["night"])
reason = explain("night")
check("the window opens then" in reason["reason"] and reason["action"] == "none" and
      reason["again"], f"it waits for its window: {reason}")
check("cutover after night, which is not up" in explain("front")["reason"], "and so does another")
table = p.cli("explain")
check("night" in table and "the window opens then" in table, "the table says so too")
check("the window opens then" in p.cli("explain", "night"), "and the page")
p.cli("explain", "nobody", expect=3)

p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": "day", **opened})
wait_until(lambda: p.job("day")["state"] in ("window", "done"), "the open window is used")
check(p.job("night")["state"] == p.job("front")["state"] == "mirrored", "the shut one is not")
events = [row[0] for row in p.rows("select body_json from events where migration='day'")]
check(any('"schedule"' in event and "cutover" in event for event in events),
      f"who has begun it is told: {events}")

# A time, across a restart; what was done is not done again.
(p.vm / "power").write_text("running")
soon = f"{at(4):%Y-%m-%dT%H:%M:%SZ}"
p.migrate("later", cutover=soon, sync_interval="manual")
check("as asked for" in explain("later")["reason"], "a cutover at a time waits for it")
p.kill()
p.start()
check("stopping" not in states("later") or at(0) >= datetime.datetime.fromisoformat(
    soon.replace("Z", "+00:00")), "nothing is too early")
wait_until(lambda: p.job("later")["state"] in ("window", "done"), "its time comes")
p.kill()
p.start()
time.sleep(1)
for name in ("later", "day"):
    check(states(name).count("stopping") == 1, f"{name} was cut over once: {states(name)}")
check("stopping" not in states("night"), "and what waits has waited")
p.stop()

# Nothing by itself.
p.start(options=["--no-schedule"])
before = passes("often")
time.sleep(2)
check(passes("often") == before, "without a schedule nothing is begun")
check("--no-schedule" in explain("often")["reason"], "which is told")
p.stop()

# The governor's limits are places, too, and are named.
p = Platform(work / "limit")
p.start(FAKE_SYNC_STEPS=20, FAKE_SYNC_PAUSE=0.1)
p.add_source()
p.api("PUT", "/v1/limits", {"scope": "source", "name": "src", "rules": [{"syncs": 1}]})
for name in ("one", "two"):
    p.migrate(name, sync_interval="1s")
wait_until(lambda: any("1 of 1 syncs of source src run" in explain(name)["reason"]
                       for name in ("one", "two")), "one waits for the other, and why is told")
p.stop()

# Whoever types need not know when a sync runs.
p = Platform(work / "typed")
p.start(FAKE_SYNC_STEPS=15, FAKE_SYNC_PAUSE=0.1)
p.add_source()
p.migrate("web", sync_interval="1s")
for argv in (("set", "web", "--priority", "60"), ("cutover", "web", "--detach")):
    wait_until(lambda: p.job("web")["state"] == "syncing", "a sync runs by itself")
    p.cli(*argv)
wait_until(lambda: p.job("web")["state"] in ("window", "done"), "it is cut over all the same")

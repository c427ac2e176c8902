#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Somebody sets the clock while slipwayd runs: into a window, over one, back to before a cutover
that was done.  No cutover begins because of it, none is done twice, and syncs keep their
interval."""

import datetime
import time

from case import check, wait_until, work
from fakes import Platform

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
HOUR = 3600


def window(begin, end):
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (now + datetime.timedelta(hours=hours) for hours in (begin, end))
    return [f"{DAYS[begin.weekday()]} {begin:%H:%M}-{end:%H:%M} UTC"]


def set_clock(seconds):
    (work / "clock").write_text(str(seconds))


def reason(name):
    return p.api("GET", f"/v1/migrations/{name}/explain")["reason"]


def states(name):
    return [row[0] for row in p.rows(f"select to_state from transitions where migration='{name}' "
                                     "order by id")]


def passes(name):
    return p.rows(f"select count(*) from passes where migration='{name}' and "
                  "generation is not null")[0][0]


p = Platform(work / "p")
set_clock(0)
p.start(FAKE_CLOCK=work / "clock")
p.add_source()
p.migrate("night", sync_interval="manual", cutover="auto", windows=window(3, 5))
p.migrate("often", sync_interval="1s")
check("the window opens then" in reason("night"), "it waits for its window")

set_clock(4 * HOUR)
check("the clock was set" in reason("night"), f"into the window: {reason('night')}")
time.sleep(1)
check("stopping" not in states("night"), "no cutover because of it")
set_clock(6 * HOUR)
check("the window opens then" in reason("night"), f"over the window: {reason('night')}")
set_clock(0)
check("the window opens then" in reason("night"), f"and back again: {reason('night')}")
check("stopping" not in states("night"), "nothing was begun by all that")
check("the clock was set by -6 h" in (p.folder / "daemon.log").read_text(), "it is in the log")

before = passes("often")
set_clock(-24 * HOUR)
wait_until(lambda: passes("often") >= before + 3, "syncs go on a day earlier")
set_clock(24 * HOUR)
before = passes("often")
wait_until(lambda: passes("often") >= before + 3, "and two days later")
set_clock(0)

# A cutover at a time, done; then the clock goes back to before that.
p.kill()
p.start(FAKE_CLOCK=work / "clock")
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
p.migrate("once", sync_interval="manual", cutover=f"{soon:%Y-%m-%dT%H:%M:%SZ}",
          commit_window_s=86400)
wait_until(lambda: p.job("once")["state"] == "window", "its time has come")
check("committed at" in reason("once") and "in 24 h 00 min" in reason("once") or
      "in 23 h" in reason("once"), f"it can be taken back for a day: {reason('once')}")
set_clock(-HOUR)
check("committed at" in reason("once"), f"{reason('once')}")
set_clock(48 * HOUR)
check("committed at" in reason("once"), f"a day is a day: {reason('once')}")
time.sleep(1)
p.kill()
p.start(FAKE_CLOCK=work / "clock")
check("committed at" in reason("once"), f"also after a restart: {reason('once')}")
time.sleep(1)
check(p.job("once")["state"] == "window" and states("once").count("stopping") == 1,
      f"it went once: {states('once')}")
check("stopping" not in states("night"), "and the other one not at all")

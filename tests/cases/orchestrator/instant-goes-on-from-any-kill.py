#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""An instant cutover with slipwayd killed at each point where something lasts: the VM gets the
source's last bytes, the source is served as long as something is missing and clean afterwards."""

import time

from case import check
from fakes import kill_everywhere


def step(p):
    """Does the next thing a person would do; True when the migration is done."""
    job = p.job()
    if job is None:
        if not p.api("GET", "/v1/sources")["sources"]:
            p.add_source()
        p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "commit_window_s": 0})
    elif job["active"]:
        time.sleep(0.005)
    elif job["state"] == "mirrored":
        if "last" not in (p.vm / "vda.img").read_text():
            p.guest_writes("last")
        p.api("POST", "/v1/migrations/web/cutover", {"instant": True})
    else:
        check(job["state"] == "done", f"the migration goes on, it is {job}")
        return True
    return False


def check_end(p, what):
    check(p.target() == "start\nlast\nMORPHED\n", f"{what}: bytes: {p.target()!r}")
    check(p.leftovers() == [], f"{what}: left on the source: {p.leftovers()}")
    check(p.rows("select * from leftovers") == [], f"{what}: left in the journal")
    check(p.rows("select * from passes where ended=0") == [], f"{what}: a pass is open")
    check((p.vm / "power").read_text() == "off", f"{what}: the source is off")
    check((p.node / "web.state").read_text() == "running", f"{what}: the VM runs")
    check("vda.raw" in (p.node / "web.reopened").read_text(), f"{what}: it has its target")
    check('"path"' in (p.node / "web.xml").read_text(), f"{what}: and is defined with it")
    check(p.job().get("error") is None, f"{what}: no error: {p.job()}")
    kinds = [row[0] for row in p.rows("select kind from passes order by id")]
    check(kinds == ["initial", "instant"], f"{what}: passes: {kinds}")
    down = p.api("GET", "/v1/migrations/web/report")["downtime"]
    check(down["complete"] and down["last_delta_s"] is None and down["instant_flip_s"] > 0,
          f"{what}: downtime: {down}")
    check(not (p.state / "stores/web/control.sock").exists(), f"{what}: the engine has ended")


kill_everywhere(step, check_end)

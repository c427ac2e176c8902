#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""An engine that had a limit of its own has it again after a sync; the lower one holds meanwhile;
the last delta of a cutover is not limited."""

import json
import socket

from case import check, work
from fakes import Platform

p = Platform(work / "x")
p.start()
p.add_source()
p.migrate()
store = p.state / "stores" / "web"
check(not (store / "limits.log").exists(), "without limits the engine is told nothing")


def engine(verb, **args):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(store / "control.sock"))
        file = s.makefile("rw")
        file.write(json.dumps({"id": 1, "verb": verb, "args": args}) + "\n")
        file.flush()
        return json.loads(file.readline())["result"]


def log():
    return [json.loads(line)["source_bytes_s"]
            for line in (store / "limits.log").read_text().splitlines()]


engine("limit", source_bytes_s=700000, source_iops=0)
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"bandwidth": 500000}]})
p.verb("sync")
check(log() == [700000, 500000, 700000], f"ours, then its own again: {log()}")
check([row[0] for row in p.rows("SELECT limited FROM passes ORDER BY id")] == [0, 1],
      "the forecast is told which passes were slowed down")
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"bandwidth": 900000}]})
p.verb("sync")
check(log()[3:] == [700000, 700000], f"the lower one holds: {log()}")
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"bandwidth": 500000}],
                            "also_cutover": True})
(store / "fail-flip").write_text("")
p.verb("cutover")
check(log()[5:] == [500000, 700000], f"the last delta keeps to it where that is said: {log()}")
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"bandwidth": 400000}]})
p.verb("cutover")
check(len(log()) == 7, f"and not where it is not: {log()}")

# Behind an instant cutover, too.
q = Platform(work / "y")
q.start(FAKE_HYDRATE_STEPS=3)
q.add_source()
q.migrate(morph=False, commit_window_s=0)
p.stop()


def told():
    path = q.state / "stores" / "web" / "limits.log"
    return [json.loads(line)["source_bytes_s"] for line in path.read_text().splitlines()] \
        if path.exists() else []


q.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"bandwidth": 300000}], "also_cutover": True})
q.api("POST", "/v1/migrations/web/cutover", {"instant": True})
job = q.wait_rest()
check(job["state"] == "done", f"it arrives: {job}")
check(told() == [300000, 0], f"hydration keeps to it: {told()}")

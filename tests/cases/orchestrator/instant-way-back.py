#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""What can go wrong in an instant cutover: up to the start of the VM the source can be taken again,
behind it the job keeps engine, source and VM together; nothing changed is taken from the source."""

import json
import os
import signal

from case import check, run, wait_until, work
from fakes import Platform


def engine_pid(p):
    for line in run("ps", "-e", "-o", "pid=,args=", quiet=True).splitlines():
        if f"engine.py {p.state}/stores/web" in line:
            return int(line.split()[0])
    return None


# A morph that fails: the source runs again, and because the mirror was used up there is a new one.
p = Platform(work / "back")
p.start()
p.add_source()
p.migrate(instant=True)
(p.state / "fail-morph").touch()
p.guest_writes("more")
job = p.verb("cutover")
check(job["state"] == "mirrored" and "no guest found" in job["error"]["message"], f"back: {job}")
check((p.vm / "power").read_text() == "running" and job["generation"] == 0, f"anew: {job}")
(p.state / "fail-morph").unlink()
job = p.verb("sync")
check(job["state"] == "mirrored" and job["generation"] == 1, f"deltas again: {job}")
job = p.verb("cutover")
check(job["state"] == "done" and p.target() == "start\nmore\nMORPHED\n", f"done: {job}")
check(p.leftovers() == [], f"the source is clean: {p.leftovers()}")
p.stop()

# Kept off by policy: cutover goes on, cancel takes the source again.
for ending in ("cutover", "cancel"):
    p = Platform(work / ending)
    p.start()
    p.add_source()
    p.migrate(on_failure="keep")
    (p.state / "fail-morph").touch()
    p.api("POST", "/v1/migrations/web/cutover", {"instant": True})
    job = p.wait_rest()
    check(job["state"] == "failed" and job["failed_state"] == "morphing", f"kept: {job}")
    check((p.vm / "power").read_text() == "off", "the source is off")
    answer = p.api("POST", "/v1/migrations/web/cutover", {"instant": False})
    check("too far" in answer["error"]["message"], f"no way to an ordinary cutover: {answer}")
    (p.state / "fail-morph").unlink()
    job = p.verb(ending)
    if ending == "cutover":
        check(job["state"] == "done" and p.target() == "start\nMORPHED\n", f"done: {job}")
    else:
        check(job["state"] == "cancelled" and not (p.pool / "web").exists(), f"gone: {job}")
        check((p.vm / "power").read_text() == "running", "the source runs")
    check(p.leftovers() == [], f"the source is clean: {p.leftovers()}")
    p.stop()

# While the VM runs and is hydrated: engine and VM are looked after, a reopen that is not possible
# waits for the VM to be switched off.
p = Platform(work / "care")
p.start(FAKE_HYDRATE_STEPS=1000000)
p.add_source()
p.migrate(morph=False)
(p.node / "fail-reopen").write_text("no such command")
p.api("POST", "/v1/migrations/web/cutover", {"instant": True})
wait_until(lambda: p.job()["state"] == "hydrating", "it hydrates")
wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "hydrate", "the progress is told")
check(p.job()["progress"]["total_bytes"] > 10**8, f"in bytes: {p.job()['progress']}")
check(len([x for x in p.leftovers() if x.startswith("snap")]) == 1, "the source is served")
check(p.job()["verbs"] == [], "there is no way back any more")
check('"nbd_uri"' in (p.node / "web.xml").read_text(), "the VM uses the engine")
(p.node / "web.state").write_text("paused")
wait_until(lambda: (p.node / "web.state").read_text() == "running", "a stopped VM goes on")
os.kill(engine_pid(p), signal.SIGKILL)
wait_until(engine_pid.__get__(p), "the engine is started again")
p.stop()
os.kill(engine_pid(p), signal.SIGKILL)
state = json.loads((p.state / "stores/web/engine.json").read_text())
state["missing"] = 2
(p.state / "stores/web/engine.json").write_text(json.dumps(state))
p.start(FAKE_HYDRATE_STEPS=1000000)
wait_until(lambda: p.job()["state"] == "detaching", "it is hydrated")
check(not [x for x in p.leftovers() if x.startswith("snap")],
      f"the source is released: {p.leftovers()}")
wait_until(lambda: any("(no such command); it goes on through the engine" in row[0] for row in
                       p.rows("select body_json from events")), "it says why")
check(engine_pid(p) is not None, "the engine serves")
(p.node / "web.state").write_text("off")
job = p.wait_rest()
check(job["state"] == "done" and p.target() == "start\n", f"done: {job}")
check('"path"' in (p.node / "web.xml").read_text(), "the next start uses the target")
p.stop()

# The source is started by hand while it is needed: nothing more is taken from it.
p = Platform(work / "moved")
p.start(FAKE_HYDRATE_STEPS=1000000)
p.add_source()
p.migrate(morph=False)
p.api("POST", "/v1/migrations/web/cutover", {"instant": True})
wait_until(lambda: p.job()["state"] == "hydrating", "it hydrates")
(p.vm / "power").write_text("running")
job = p.wait_rest()
check(job["state"] == "failed" and "which of the two VMs" in job["error"]["message"], f"{job}")
check(not [x for x in p.leftovers() if x.startswith("snap")], "the source is served no longer")
p.stop()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""The admin's programs: in the order of their names, with the migration on standard input; one
before the cutover can keep it from beginning, others are only noted; one that slipwayd's death
interrupted is run again."""

import json

from case import check, wait_until, work
from fakes import Platform

HOOK = """#!/bin/sh
# Leaves its input, named by the event and its own name.
cat > "{told}/$SLIPWAY_EVENT.$(basename "$0").$SLIPWAY_MIGRATION.$SLIPWAY_ATTEMPT.json"
echo "$SLIPWAY_EVENT $(basename "$0") $SLIPWAY_ATTEMPT" >> "{told}/order"
{more}
"""
EVENTS = ("pre-cutover", "post-cutover", "on-failure", "post-commit", "post-rollback",
          "post-rehearsal")


class Hooks:
    def __init__(self, folder):
        self.folder = folder / "hooks"
        self.told = folder / "told"
        for path in (self.told, *(self.folder / f"{event}.d" for event in EVENTS)):
            path.mkdir(parents=True)

    def put(self, event, name, more=""):
        path = self.folder / f"{event}.d" / name
        path.write_text(HOOK.format(told=self.told, more=more))
        path.chmod(0o755)
        return path

    def so_far(self):
        """What has run since order() was last asked."""
        path = self.told / "order"
        return path.read_text().splitlines() if path.exists() else []

    def order(self):
        lines = self.so_far()
        (self.told / "order").unlink(missing_ok=True)
        return lines

    def input(self, event, name, migration="web", attempt=1):
        text = (self.told / f"{event}.{name}.{migration}.{attempt}.json").read_text()
        return json.loads(text)

    def options(self):
        return ("--hooks", str(self.folder), "--hook-timeout", "20")


p = Platform(work / "p")
hooks = Hooks(work / "p")
for each in EVENTS:
    hooks.put(each, "10-first", "echo hello from $SLIPWAY_EVENT")
    hooks.put(each, "20-second")
p.start(options=hooks.options())
p.add_source()
p.migrate()
check(hooks.order() == [], "nothing is an event until now")

# One before the cutover says no.
no = hooks.put("pre-cutover", "15-no", "printf 'not tonight, ma ch\\350re\\n'; exit 7")
job = p.verb("cutover")
check(job["state"] == "mirrored" and "has not begun" in job["error"]["message"] and
      "15-no ended with 7: not tonight, ma ch?re" in job["error"]["message"], f"why: {job}")
check((p.vm / "power").read_text() == "running", "the source was never stopped")
check(p.rows("select count(*) from passes where kind='final'") == [(0,)], "nor copied")
order = hooks.order()
check(order == ["pre-cutover 10-first 1", "pre-cutover 15-no 1", "on-failure 10-first 1",
                "on-failure 20-second 1"], f"in order, up to the one that fails: {order}")
told = hooks.input("pre-cutover", "15-no")
check(told["event"] == "pre-cutover" and told["attempt"] == 1 and told["reason"] is None and
      told["migration"]["name"] == "web" and told["migration"]["state"] == "stopping", "its input")
told = hooks.input("on-failure", "10-first")
check("not tonight" in told["reason"] and told["migration"]["state"] == "reverting", "the reason")
check("web: hook 10-first: hello from pre-cutover" in (p.folder / "daemon.log").read_text(),
      "its output is in the log")

# One that anybody may change is not run, and so nothing is.
no.write_text(HOOK.format(told=hooks.told, more=""))
no.chmod(0o777)
job = p.verb("cutover")
check(job["state"] == "mirrored" and "chmod go-w" in job["error"]["message"], f"{job['error']}")
check(not [line for line in hooks.order() if line.startswith("pre-")], "nothing was run")

# One that hangs; one that is given up with the migration.
no.chmod(0o755)
no.write_text(HOOK.format(told=hooks.told, more="sleep 300"))
p.stop()
p.start(options=(*hooks.options()[:2], "--hook-timeout", "1"))
job = p.verb("cutover")
check("did not end within 1 s" in job["error"]["message"], f"{job['error']}")
p.stop()
p.start(options=hooks.options())
hooks.order()
p.migrate("other")
p.api("POST", "/v1/migrations/other/cutover")
wait_until(lambda: "pre-cutover 15-no 1" in hooks.so_far(), "it hangs")
check(p.verb("cancel", "other")["state"] == "cancelled", "cancelling does not wait for it")
check(not [line for line in hooks.order() if line.startswith("on-")], "that is no failure")

# A rehearsal, and a cutover in which one afterwards fails: it is noted.
no.unlink()
p.api("POST", "/v1/migrations/web/rehearsal")
wait_until(lambda: not p.job()["rehearsal"]["active"], "the rehearsal ends")
outcome = p.job()["rehearsal"]["state"]
check(hooks.input("post-rehearsal", "10-first")["reason"] == outcome, f"its outcome: {outcome}")
hooks.order()
hooks.put("post-cutover", "10-first", "echo no thanks; exit 1")
job = p.verb("cutover")
check(job["state"] == "done" and "error" not in job, "a hook afterwards changes nothing")
order = hooks.order()
check(order == ["pre-cutover 10-first 1", "pre-cutover 20-second 1", "post-cutover 10-first 1",
                "post-commit 10-first 1", "post-commit 20-second 1"], f"in order: {order}")
notes = [json.loads(row[0]).get("message", "") for row in p.rows("select body_json from events")]
check(any("10-first ended with 1: no thanks" in note for note in notes), "it is noted")
check(hooks.input("post-cutover", "10-first")["migration"]["state"] == "starting", "its state")

# A failure that leads nowhere else.
(p.source / "fail-snapshot_begin").write_text("the platform is on fire")
p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": "burnt"})
check(p.wait_rest("burnt")["state"] == "failed", "it fails")
check("on fire" in hooks.input("on-failure", "10-first", "burnt")["reason"], "with the reason")
(p.source / "fail-snapshot_begin").unlink()

# slipwayd ends while one runs: it is ended too, and run again with the next attempt.
hooks.order()
slow = hooks.put("pre-cutover", "10-first", '[ "$SLIPWAY_ATTEMPT" = 3 ] || sleep 300')
(p.vm / "power").write_text("running")
p.migrate("again")
p.api("POST", "/v1/migrations/again/cutover")
wait_until(lambda: "pre-cutover 10-first 1" in hooks.so_far(), "the first attempt")
p.stop()
p.start(options=hooks.options())
wait_until(lambda: "pre-cutover 10-first 2" in hooks.so_far(), "the second attempt")
p.kill()
p.start(options=hooks.options())
check(p.wait_rest("again")["state"] == "done", "the third is let pass")
order = [line for line in hooks.order() if line.startswith("pre-cutover 10")]
check(order == [f"pre-cutover 10-first {n}" for n in (1, 2, 3)], f"attempts: {order}")
slow.unlink()

# A cutover that is taken back.
(p.vm / "power").write_text("running")
p.migrate("back", commit_window_s=86400)
check(p.verb("cutover", "back")["state"] == "window", "it may be taken back")
check(not [line for line in hooks.order() if line.startswith("post-commit")], "not committed yet")
check(p.verb("rollback", "back")["state"] == "rolled-back", "it is taken back")
check(hooks.order() == ["post-rollback 10-first 1", "post-rollback 20-second 1"], "and told")
p.stop()

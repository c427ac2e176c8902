#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A cutover that fails before the flip puts the source back (or stays, by policy); one that fails
behind the flip goes on where it failed."""

from case import check, work
from fakes import Platform

p = Platform(work / "p")
p.start()
p.add_source()
p.migrate()

# The morph fails: the source runs again, the mirror follows it further.
(p.state / "fail-morph").touch()
p.guest_writes("one")
job = p.verb("cutover")
check(job["state"] == "mirrored" and "no guest found" in job["error"]["message"], f"back: {job}")
check("--no-morph" in job["error"]["message"], "it says what to do")
check((p.vm / "power").read_text() == "running", "the source runs again")
p.guest_writes("two")
job = p.verb("sync")
check(job["state"] == "mirrored" and "error" not in job, "the error is history")
report = p.api("GET", "/v1/migrations/web/report")
check(not report["downtime"]["complete"], "the report does not call it a success")

# The same with a source that cannot be started again: it says so, and trying again helps.
(p.source / "fail-start").write_text("the host is full")
job = p.verb("cutover")
check(job["state"] == "failed" and job["failed_state"] == "reverting", f"not started: {job}")
check("the host is full" in job["error"]["message"], "it says why the source is not back")
(p.source / "fail-start").unlink()
job = p.verb("cutover")
check(job["state"] == "mirrored" and (p.vm / "power").read_text() == "running", "now it is back")
(p.state / "fail-morph").unlink()

# A guest that ignores shutdown.
(p.vm / "hang").touch()
p.migrate("hung", shutdown_timeout_s=1)
job = p.verb("cutover", "hung")
check(job["state"] == "mirrored" and "did not shut down" in job["error"]["message"], f"{job}")
check(job["error"]["name"] == "ETIMEDOUT", "with its code")
p.verb("cancel", "hung")
(p.vm / "hang").unlink()

# What the node thinks of the VM is known before anything is copied.
(p.node / "fail-define").write_text("the node does not know this machine")
job = p.migrate("odd")
check(job["state"] == "failed" and job["failed_state"] == "preparing", f"odd: {job}")
check("this machine" in job["error"]["message"], "it says why")
job = p.verb("cancel", "odd")
check(job["state"] == "cancelled" and not (p.pool / "odd").exists(), f"odd: {job}")
(p.node / "fail-define").unlink()

# Behind the flip there is only forward.
(p.node / "fail-define").write_text("the node is not in the mood")
job = p.verb("cutover")
check(job["state"] == "failed" and job["failed_state"] == "defining", f"defining failed: {job}")
check(job["verbs"] == ["cutover"], f"only cutover goes on: {job['verbs']}")
for verb in ("sync", "cancel"):
    status, answer = p.raw("POST", f"/v1/migrations/web/{verb}")
    check(status == 409 and "defining" in answer["error"]["message"], f"{verb}: {answer}")
check((p.vm / "power").read_text() == "off", "the source stays off")
(p.node / "fail-define").unlink()
job = p.verb("cutover")
check(job["state"] == "done" and "error" not in job, f"done: {job}")
check(p.target() == "start\none\ntwo\nMORPHED\n", f"all bytes: {p.target()!r}")
kinds = [row[0] for row in p.rows("select kind from passes where migration='web' order by id")]
check(kinds == ["initial", "final", "delta", "final", "final"], f"passes: {kinds}")

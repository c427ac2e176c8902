#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A flip that fails after the morph was sealed: the source stays off until a person decides;
cutover tries again, cancel puts the source back."""

from case import check, work
from fakes import Platform

for ending in ("cutover", "cancel"):
    p = Platform(work / ending)
    p.start()
    p.add_source()
    p.migrate(on_failure="restart")
    (p.state / "stores/web/fail-flip").touch()
    job = p.verb("cutover")
    check(job["state"] == "failed" and job["failed_state"] == "flipping", f"failed: {job}")
    check((p.vm / "power").read_text() == "off", "the source is off")
    check(sorted(job["verbs"]) == ["cancel", "cutover"], f"verbs: {job['verbs']}")
    (p.state / "stores/web/fail-flip").unlink()
    job = p.verb(ending)
    if ending == "cutover":
        check(job["state"] == "done" and p.target() == "start\nMORPHED\n", f"done: {job}")
    else:
        check(job["state"] == "cancelled" and (p.vm / "power").read_text() == "running", f"{job}")
        check(p.leftovers() == [] and not (p.pool / "web").exists(), "nothing is left")
    p.stop()

# Kept off by policy, started by hand meanwhile: the cutover begins again with all the bytes.
p = Platform(work / "kept")
p.start()
p.add_source()
p.migrate(on_failure="keep")
(p.state / "fail-morph").touch()
job = p.verb("cutover")
check(job["state"] == "failed" and (p.vm / "power").read_text() == "off", f"kept off: {job}")
(p.state / "fail-morph").unlink()
(p.vm / "power").write_text("running")
p.guest_writes("written meanwhile")
job = p.verb("cutover")
check(job["state"] == "done", f"done: {job}")
check(p.target() == "start\nwritten meanwhile\nMORPHED\n", f"all bytes: {p.target()!r}")

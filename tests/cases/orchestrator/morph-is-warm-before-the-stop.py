# SPDX-License-Identifier: Apache-2.0
# suite: quick
"""The program that changes the guest is started while the source still runs, and the downtime is
counted from when the source is told to stop; where it does not come up early, the migration goes on
without and starts it when it is needed."""

from case import check, work
from fakes import Platform

for name, late in (("early", False), ("late", True)):
    p = Platform(work / name)
    if late:
        (p.folder / "no-warm-morph").touch()
    p.start()
    p.add_source()
    check(p.migrate()["state"] == "mirrored", f"{name}: the mirror is there")
    check(p.verb("cutover")["state"] == "done", f"{name}: the VM has moved")
    power = (p.folder / "power-when-morph-began").read_text()
    check(power == ("off" if late else "running"), f"{name}: the source was {power}")
    report = p.api("GET", "/v1/migrations/web/report")
    stopping = next(t for t in report["transitions"] if t["state"] == "stopping")
    began = report["downtime"]["began_ns"]
    check(began > stopping["time_ns"], f"{name}: the downtime begins with the stop: {began}")
    check(report["downtime"]["complete"], f"{name}: the VM is up on the node")
    p.stop()

# A program that cannot be started early does not hide why the cutover itself fails.
p = Platform(work / "hidden")
p.start()
p.add_source()
p.migrate()
(p.libexec / "slipway-morph").chmod(0o600)
(p.source / "fail-shutdown").write_text("the guest does not listen")
p.verb("cutover")
message = p.api("GET", "/v1/migrations/web")["error"]["message"]
check("does not listen" in message and "slipway-morph" not in message, f"the reason: {message}")
p.stop()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""The forecast knows what was measured, says what was not, and survives a restart."""

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "x")
p.start()
p.add_source()
job = p.migrate()
first = p.api("GET", "/v1/migrations/web/forecast")
check(first["name"] == "web" and first["passes"] == 1, f"one pass was seen: {first}")
check(first["unknown"] == ["shutdown", "delta", "morph", "flip", "start"] and first["at_least"],
      f"one pass tells nothing about a downtime: {first}")
check(job["forecast"]["passes"] == 1, "the migration carries it")

p.guest_writes("more")
p.verb("sync")
second = p.api("GET", "/v1/migrations/web/forecast")
check(second["delta"]["expected_s"] > 0 and second["dirty_bytes_s"] > 0, f"a delta: {second}")
check("delta" not in second["unknown"], "the delta is known")

p.api("POST", "/v1/migrations/web/rehearsal", {"check": "running"})
wait_until(lambda: not p.job()["rehearsal"]["active"], "the rehearsal's end")
third = p.job()["forecast"]
check(third["morph"] and third["start"] and third["unknown"] == ["shutdown", "flip"],
      f"a rehearsal tells morph and start: {third}")
check("not known" in p.cli("forecast", "web") and "at least" in p.cli("forecast", "web"),
      "people are told what is not known")

# A cutover that fails behind the morph has measured the shutdown.
(p.state / "stores/web/fail-flip").write_text("")
p.verb("cutover")
check(p.job()["failed_state"] == "flipping", f"the flip failed: {p.job()}")
tried = p.job()["forecast"]
check(tried["shutdown"] and tried["unknown"] == ["flip"], f"the try tells the shutdown: {tried}")

p.stop()
p.start()
again = p.job()["forecast"]
for part in ("shutdown", "morph", "start"):
    check(again[part] == tried[part], f"{part} survives a restart: {again[part]} {tried[part]}")
check(again["delta"]["expected_s"] >= tried["delta"]["expected_s"], "the delta has only grown")
answer = p.raw("GET", "/v1/migrations/none/forecast")
check(answer[0] == 404 and "no migration named 'none'" in answer[1]["error"]["message"],
      "an unknown name is told")

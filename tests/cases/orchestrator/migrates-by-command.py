#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""A VM goes from its source to the node by the commands alone, and the report adds up."""

import json

from case import check, work
from fakes import Platform

p = Platform(work / "p")
p.start()
p.cli("source", "add", "src", f"test://{p.source}")
check("src" in p.cli("source", "list"), "the source is listed")
check("web" in p.cli("vm", "list", "src"), "the VM is listed")
p.cli("migrate", "src/web", "--commit-window", "none", "--morph-option", "dhcp",
      "--morph-option", "--key=/a/key",
      "--follow")
job = json.loads(p.cli("status", "web", "--json"))
check(job["state"] == "mirrored" and job["generation"] == 0, "the first generation is there")
for number in (1, 2):
    p.guest_writes(f"delta {number}")
    p.cli("sync", "web", "--follow")
p.guest_writes("last words")
check("done" in p.cli("cutover", "web", "--follow"), "cutover says that it is done")
check(p.target() == "start\ndelta 1\ndelta 2\nlast words\nMORPHED\n", "every byte has arrived")
check("--dhcp --key=/a/key" in (p.folder / "morph-arguments").read_text(), "options are passed")
check((p.node / "web.state").read_text() == "running", "the VM runs on the node")
check((p.vm / "power").read_text() == "off", "the source is off")
check(p.leftovers() == [], "nothing is left on the source")
check(p.rows("select * from leftovers") == [], "the journal knows of nothing on the source")

report = json.loads(p.cli("report", "web", "--json"))
check([x["kind"] for x in report["passes"]] == ["initial", "delta", "delta", "final"], "all passes")
check(report["passes"][3]["bytes"] == len("start\ndelta 1\ndelta 2\nlast words\n"), "their bytes")
down = report["downtime"]
parts = [down[k] for k in ("shutdown_s", "last_delta_s", "morph_s", "flip_s", "define_s", "boot_s")]
check(down["complete"] and all(x > 0 for x in parts), "each part of the downtime was measured")
check(abs(sum(parts) - down["total_s"]) < 0.001, "the parts are the whole")
text = p.cli("report", "web")
check("last delta" in text and "downtime" in text, "the report can be read")
p.cli("status")
p.cli("remove", "web")
check(p.job() is None and not (p.state / "stores/web").exists(), "it can be forgotten")
check(p.target() != "", "the target stays")
p.cli("source", "remove", "src")
check(p.stop() == 0, "slipwayd ends cleanly")

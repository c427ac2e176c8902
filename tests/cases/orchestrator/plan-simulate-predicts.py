#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""slipway plan simulate predicts waves, finish time and worst downtime: of an inventory without
slipwayd, as computed by hand, and of a source with what slipwayd has measured; 10,000 VMs come to
an end, and mistakes are told."""

import json
import time

from case import check, work
from fakes import Platform

p = Platform(work / "p")
PLAN = """plan: move
source: src
defaults:
  cutover: auto
  sync_interval: manual
  windows: ["22:00-04:00 UTC"]
vms:
  - match: "vm*"
"""
plan, inventory = work / "plan.yaml", work / "inventory.json"
plan.write_text(PLAN)


def vm(number, **more):
    return {"id": str(number), "name": f"vm{number}", "state": "running", "vcpus": 1,
            "memory_bytes": 1 << 30, "arch": "x86_64", "firmware": "bios", "nics": [],
            "uuid": f"00000000-0000-0000-0000-{number:012}",
            "disks": [{"name": "vda", "size_bytes": 10**10, "path": "/vda"}], **more}


def simulate(*options, vms, expect=0):
    inventory.write_text(json.dumps(vms))
    out = p.cli("plan", "simulate", plan, "--inventory", inventory, "--begin",
                "2026-11-21T21:00:00Z", "--json", *options, expect=expect)
    return json.loads(out)


# Two VMs, one sync at a time: 2 s + 10 GB at 100 MB/s = 102 s each, long before the window opens.
known = {"dirty_bytes_s": 0, "rate_bytes_s": 10**8, "snapshot_cost_s": 2, "shutdown_s": 10,
         "morph_s": 12, "flip_s": 1, "start_s": 7, "used_bytes": 10**10}
report = simulate("--syncs", "1", vms=[vm(1, **known), vm(2, **known)])["report"]
check(report["up"] == 2 and report["by_hand"] == 0 and report["left"] == [], f"both: {report}")
(wave,) = report["waves"]
check(wave["begin"] == "2026-11-21T22:00:00Z" and wave["end"] == "2026-11-22T04:00:00Z" and
      wave["names"] == ["vm1", "vm2"], f"the window of the night: {wave}")
# 10 + 2 + 12 + 1 + 7 = 32 s, each part but the flip up to 20 % off.
check(32 * 0.79 < report["downtime"]["most_s"] < 32 * 1.21, f"{report['downtime']}")
check(report["syncs"] == 2 and report["copied_bytes"] == 2 * 10**10, "each once")
check(report["assumptions"] == [], f"nothing was assumed: {report['assumptions']}")
again = simulate("--syncs", "1", vms=[vm(1, **known), vm(2, **known)])["report"]
check(again == report, "the same again")

# A budget below what is fixed never fits; it is told, with what was assumed.
plan.write_text(PLAN.replace("auto", "auto\n  downtime_budget_s: 20"))
report = simulate("--days", "3", vms=[vm(1)])["report"]
check(report["finish"] is None and "above its budget of 20 s" in report["left"][0]["reason"],
      f"{report['left']}")
check({"shutdown", "morph"} <= {a["what"] for a in report["assumptions"]}, "assumptions are told")
plan.write_text(PLAN)
page = p.cli("plan", "simulate", plan, "--inventory", inventory)
check("1 of 1 VMs are moved" in page and "assumed: shutdown: 30 s" in page, "for people, too")

# Many.
begin = time.monotonic()
many = [vm(i, host=f"esx{i % 20}", used_bytes=(20 + i * 7919 % 180) * 10**9,
           dirty_bytes_s=i % 7 * 200000) for i in range(10000)]
report = simulate("--syncs", "64", "--cutovers", "32", vms=many)["report"]
check(report["up"] == 10000, f"all are moved: {report['up']}")
print(f"10,000 VMs in {time.monotonic() - begin:.1f} s: {report['syncs']} syncs, "
      f"{len(report['waves'])} waves, finished at {report['finish']}")

# Mistakes.
plan.write_text(PLAN.replace("auto", "soon"))
answer = simulate(vms=[vm(1)], expect=2)
check("report" not in answer and answer["problems"][0]["line"] == 4, f"{answer}")
plan.write_text(PLAN)
simulate("--begin", "tomorrow", vms=[vm(1)], expect=2)
simulate("--syncs", "x", vms=[vm(1)], expect=2)
simulate(vms=[vm(1), vm(1)], expect=2)
p.cli("plan", "simulate", plan, "--inventory", work / "nothing.json", expect=3)

# With slipwayd: what was measured counts.
plan.write_text(PLAN.replace('match: "vm*"', "name: web").replace(
    "defaults:", "networks: {default: default}\ndefaults:"))
p.start(options=["--max-syncs", "3"])
p.add_source()
p.migrate("web", sync_interval="manual")
p.verb("sync")
answer = json.loads(p.cli("plan", "simulate", plan, "--begin", "2026-11-21T21:00:00Z", "--json"))
report = answer["report"]
check(report["up"] == 1 and report["waves"][0]["names"] == ["web"], f"{report}")
check("a sync with nothing to copy" not in {a["what"] for a in report["assumptions"]},
      f"measured syncs are used: {report['assumptions']}")
status, answer = p.raw("POST", "/v1/plans/simulate",
                       json.dumps({"text": plan.read_text(), "options": {"seeds": 1}}))
check(status == 400 and "'seeds'" in answer["error"]["message"], f"{answer}")

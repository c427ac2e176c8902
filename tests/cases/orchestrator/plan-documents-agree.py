#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""What is written about plans is what slipwayd takes: the tables, the example, the schema."""

import json
import re

import yaml

from case import check, run, source, work
from fakes import Platform, cli_program

page = (source / "docs/PLANS.md").read_text()
tables = run(cli_program, "plan", "schema", "--markdown", quiet=True)
check(page.endswith(tables), "docs/PLANS.md ends with what slipway plan schema --markdown prints")

# The example is a plan: against VMs that are like those it speaks of nothing is wrong with it.
p = Platform(work / "p")
text = (source / "docs/plan-example.yaml").read_text()
VMS = {"web-1": {}, "web-test1": {}, "web-legacy": {}, "shop-db": {"nic": "storage", "disk": "vdb"},
       "shop-app1": {"nic": "backup"}, "files": {"os_hint": "http://microsoft.com/win/2k22"}}
for number, (name, more) in enumerate(VMS.items()):
    folder = p.source / name
    folder.mkdir()
    p.describe(folder, id=str(number), uuid=f"00000000-0000-0000-0000-{number:012}",
               os_hint=more.get("os_hint", "http://debian.org/debian/12"),
               nics=[{"mac": "52:54:00:00:00:01", "network": more.get("nic", "VM Network")}],
               disks=[{"name": more.get("disk", "vda"), "size_bytes": 1 << 30, "cbt": True,
                       "format": "qcow2", "path": f"/srv/fast/{name}.qcow2"}])
p.vm.joinpath("vm.json").unlink()
p.start()
p.api("POST", "/v1/sources", {"name": "old-cluster", "uri": f"test://{p.source}"})
answer = p.api("POST", "/v1/plans/check", {"text": text, "file": "plan-example.yaml"})
for problem in answer["problems"]:
    print(problem)
check(answer["problems"] == [], "the example is a good plan")
check({vm["vm"] for vm in answer["vms"]} == {"web-1", "shop-db", "shop-app1", "files"},
      f"it selects what it says: {[vm['vm'] for vm in answer['vms']]}")

# Every field of a plan that the example uses is in the schema, and the other way round the schema
# has no field that the tables do not have.
schema = json.loads(run(cli_program, "plan", "schema", quiet=True))
document = yaml.safe_load(text)
check(set(document) <= set(schema["properties"]), "the example's fields are in the schema")
entry = schema["properties"]["vms"]["items"]["properties"]
for used in document["vms"]:
    check(set(used) <= set(entry), f"{used}")
for name in entry:
    check(re.search(rf"^\| `{name}` ", tables, re.M), f"{name} is in the tables")

# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A plan against a real libvirt on both sides: the check tells what is true and touches nothing,
and what it found to be ready can be applied."""

import json

from case import build, check, require, run, start, wait_until, work
from sourcevm import Lab

require("root", "libvirtd", "qemu-system-x86_64", "qemu-nbd", "nbdkit")
lab = Lab()
shop, files = lab.vm("shop", {"vda": "qcow2"}), lab.vm("files", {"vda": "qcow2", "vdb": "raw"})
files.stop()
SOCKET = work / "slipwayd.sock"
PLAN = """\
plan: first
source: lab
defaults: {morph: false, accel: tcg, replicate: later}
vms:
  - where: {disks: "<= 2", state: running}
  - match: "f*"
    storage: {vdb: %s}
""" % (work / "bulk")


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, "--socket", SOCKET, **options)


def source_is():
    return [lab.virsh(*words, quiet=True) for vm in (shop, files)
            for words in (("dumpxml", vm.name), ("checkpoint-list", vm.name),
                          ("snapshot-list", vm.name))]


start(build / "orchestrator/slipwayd", "--state", work / "state", "--socket", SOCKET,
      "--node", f"qemu:///embed?root={work}/state/node", "--pool", work / "pool")
wait_until(SOCKET.exists, "slipwayd")
slipway("source", "add", "lab", lab.uri)
plan = work / "plan.yaml"
plan.write_text(PLAN)

before = source_is()
answer = json.loads(slipway("plan", "check", plan, "--json"))
check(source_is() == before and not (work / "pool").exists(), "nothing was touched")
check(answer["source"]["reachable"] and answer["source"]["qemu"] == answer["node"]["qemu"],
      f"one QEMU on both sides: {answer['source']} {answer['node']}")
found = {vm["vm"]: {of["check"]: of["message"] for of in vm["warnings"]} for vm in answer["vms"]}
check(answer["ok"] and set(found) == {"shop", "files"}, f"{answer['vms']}")
check("cbt" not in found["shop"] and "vdb (raw)" in found["files"]["cbt"] and
      "only qcow2" in found["files"]["cbt"], f"{found}")
check(set(answer["pools"]) == {str(work / "pool"), str(work / "bulk")}, f"{answer['pools']}")
check(answer["pools"][str(work / "pool")]["full_bytes"] == 16 << 20, "two disks of 8 MiB")
says = slipway("plan", "apply", plan)
check("shop: created" in says and "files: created" in says, "both are made")

# The same VMs are not another plan's to take.
plan.write_text(PLAN.replace("plan: first", "plan: second"))
answer = json.loads(slipway("plan", "check", plan, "--json", expect=1))
check(all("belongs to plan first" in vm["reasons"][0]["message"] for vm in answer["vms"]),
      f"{answer['vms']}")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""What keeps a VM of a plan from moving is found before anything is touched, each kind of it, and
mistakes of the plan itself are told with their line and column, all at once."""

import json

from case import check, work
from fakes import Platform

p = Platform(work / "p")
HEAD = "plan: wave1\nsource: src\nnetworks: {default: default}\n"
GOOD = HEAD + "vms:\n  - name: web\n"


def write(text, name="plan.yaml"):
    (work / name).write_text(text)
    return work / name


def everything():
    files = {path: path.read_bytes() for folder in (p.source, p.node, p.pool)
             for path in sorted(folder.rglob("*")) if path.is_file()}
    return files, p.api("GET", "/v1/migrations")["migrations"], p.api("GET", "/v1/plans")["plans"]


p.start()
p.add_source()


def findings(text=GOOD, ready=False):
    """{"reason" or "note": {check: message}} of the VM web."""
    before = everything()
    answer = json.loads(p.cli("plan", "check", write(text), "--json", expect=0 if ready else 1))
    check(everything() == before, "nothing was touched")
    vm = answer["vms"][0]
    check(vm["ready"] == ready == answer["ok"] and bool(vm["reasons"]) != ready, f"{vm}")
    return {of["check"]: of["message"] for of in vm["reasons"] + vm["warnings"]}, answer


def finds(kind, *words, text=GOOD, ready=False, **vm):
    p.describe(p.vm, os_hint="debian12", **vm)
    found, _ = findings(text, ready)
    check(list(found) == [kind], f"{kind} and nothing else: {found}")
    for word in words:
        check(word in found[kind], f"'{word}' is missing in '{found[kind]}'")


disk = {"name": "vda", "size_bytes": 1 << 20, "format": "raw", "cbt": True}
nic = {"mac": "52:54:00:00:00:01", "model": "e1000", "network": "default"}

# What one should know, but can move with.
finds("cbt", "disk vda (raw)", "reads all of it", ready=True, disks=[{**disk, "cbt": False}])
finds("cbt", "because nobody likes it", ready=True,
      disks=[{**disk, "cbt": False, "cbt_why": "nobody likes it"}])
finds("snapshots", "2 snapshots", ready=True, snapshots=2)
finds("snapshots", "1 checkpoint of", ready=True, checkpoints=1)
finds("cpu", "9 CPUs, the node 8", ready=True, vcpus=9)
p.describe(p.vm)
found, _ = findings(ready=True)
check("until the first morph" in found["guest"], "a guest that is not known")
(p.source / "facts.json").write_text('{"libvirt": "10.0.0", "qemu": "8.1"}')
finds("versions", "7.2.0", "8.1", ready=True)
(p.source / "facts.json").unlink()

finds("schedule", "is over", ready=True, text=GOOD + "    cutover: 2001-01-01T00:00:00Z\n")
finds("schedule", "waits until", ready=True,
      text=GOOD + "    cutover: 2199-01-05T12:00:00Z\n    windows: 'sun 01:00-02:00 UTC'\n")
(p.node / "facts.json").write_text('{"archs": {"x86_64": {"kvm": false}}}')
finds("accel", "slow", ready=True)

# What keeps it from moving.
finds("accel", "choose accel tcg", text=GOOD + "    accel: kvm\n")
(p.node / "facts.json").unlink()
finds("privileges", "not for you", denied="not for you")
finds("disks", "no disks", disks=[])
finds("memory", "65.0 GiB", "64.0 GiB", memory_bytes=65 << 30)
finds("arch", "aarch64", arch="aarch64")
(p.node / "facts.json").write_text(json.dumps(
    {"archs": {"x86_64": {"uefi": True, "secure_boot": False}},
     "networks": {"default": True, "idle": False}, "vms": {"other": "UUID-1"}}))
finds("firmware", "Secure Boot", firmware="uefi", secure_boot=True)
finds("uuid", "VM 'other'", uuid="uuid-1")
finds("networks", "is not started", "net-start idle", text=GOOD.replace(": default}", ": idle}"))
finds("networks", "no network 'lan'", text=GOOD.replace(": default}", ": lan}"))
finds("networks", "no bridge 'nope'", text=GOOD.replace(": default}", ": 'bridge:nope'}"))
(p.node / "facts.json").write_text('{"archs": {"x86_64": {"uefi": false}}}')
finds("firmware", "install ovmf", firmware="uefi")
(p.node / "facts.json").unlink()
(p.node / "web.xml").touch()
finds("name", "a VM named 'web'")
(p.node / "web.xml").unlink()
(p.pool / "web").mkdir()
(p.pool / "web/vda.raw").write_text("somebody's")
finds("targets", "vda.raw is there already")
(p.pool / "web/vda.raw").unlink()
finds("guest", "unknown option", text=GOOD + "    morph_options: [--no-such]\n")
finds("space", "need at least", str(p.pool), disks=[{**disk, "size_bytes": 1 << 60}])
(p.node / "fail-facts").write_text("the node has a headache")
finds("node", "headache")
(p.node / "fail-facts").unlink()

# Disks that fit as they are, but may grow.
p.describe(p.vm, os_hint="debian12",
           disks=[{**disk, "size_bytes": 1 << 60, "allocated_bytes": 1 << 20}])
_, answer = findings(ready=True)
check("may grow to" in answer["warnings"][0]["message"], f"{answer['warnings']}")
pool = answer["pools"][str(p.pool)]
check(pool["enough"] and not pool["enough_when_full"] and pool["sparse_bytes"] == 1 << 20,
      f"{pool}")

# Many things at once are all told.
finds_all = json.loads(p.cli("plan", "check", write(HEAD + "vms:\n  - name: web\n"), "--json"))
p.describe(p.vm, memory_bytes=65 << 30, firmware="uefi", secure_boot=True, snapshots=1,
           arch="sparc", nics=[nic, {**nic, "network": "second"}])
text = GOOD.replace("default: default", "default: lan, second: idle")
found, _ = findings(text)
check({"networks", "memory", "arch", "snapshots", "guest"} == set(found), f"{found}")
p.describe(p.vm)


def mistakes(text, *lines):
    """The plan is refused by check and by apply with these lines, and nothing happens."""
    before = everything()
    path = write(text)
    told = p.cli("plan", "check", path, expect=2)
    answer = json.loads(p.cli("plan", "check", path, "--json", expect=2))
    check(len(answer["problems"]) == len(lines) and not answer["ok"], f"{answer}")
    refusal = p.cli("plan", "apply", path, expect=2)
    status, error = p.raw("POST", "/v1/plans", json.dumps({"text": text, "file": "a.yaml"}))
    check(status == 400 and len(error["error"]["problems"]) == len(lines), f"{error}")
    for line in lines:
        check(f"{path}:{line}" in told, f"check: '{line}' is missing in {told}")
        check(f"{path}:{line}" in refusal, f"apply: '{line}' is missing in {refusal}")
        check(f"a.yaml:{line}" in error["error"]["message"], "the API uses the file's name")
    check(everything() == before, "nothing was touched")


mistakes(GOOD + "    cutover: tomorow\n    priorty: 3\n    boot_timeout_s: 0\n",
         "6:14: cutover: 'tomorow' is not allowed: manual, auto, or a time such as "
         "2026-12-01T22:00:00+01:00",
         "7:5: unknown field 'priorty' in an entry of vms (did you mean 'priority'?): allowed are",
         "8:21: boot_timeout_s: 0 is not allowed: seconds, 1 to 86400")
mistakes(GOOD + "  - name: wbe\n  - match: 'x*'\n", "6:11: name: source src has no VM 'wbe'",
         "7:12: match: selects no VM of source src")
mistakes(GOOD.replace("{default: default}", "{}"),
         "3:1: networks: network 'default' of web is not mapped")
mistakes(GOOD + "    after: web\n", "6:12: after: VM web would wait for itself")
mistakes(GOOD.replace("source: src", "source: nope"),
         "2:9: source: there is no source named 'nope'")
mistakes("plan: {a\n", "2:1: this is not YAML")
(p.source / "fail-list").write_text("nobody at home")
mistakes(GOOD, "2:9: source: nobody at home")
(p.source / "fail-list").unlink()
check("cannot read the plan" in p.cli("plan", "apply", work / "nowhere.yaml", expect=3), "no file")
status, error = p.raw("POST", "/v1/plans", '{"text": "", "speed": 1}')
check(status == 400 and "text, file, check" in error["error"]["message"], f"{error}")
schema = json.loads(p.cli("plan", "schema"))
check(schema["properties"]["vms"]["items"]["additionalProperties"] is False, "the schema")

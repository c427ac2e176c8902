#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A plan of six VMs: checked without touching anything, applied, applied again, changed,
removed."""

import json
import shutil

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "p")
HEAD = "plan: wave1\nsource: src\nnetworks: {default: default}\n"


def add_vm(name, number, **changes):
    folder = p.source / name
    folder.mkdir()
    (folder / "power").write_text("running")
    (folder / "vda.img").write_text(f"{name} starts\n")
    p.describe(folder, id=str(number), uuid=f"00000000-0000-0000-0000-{number:012}",
               os_hint="debian12", **changes)
    return folder


def write(text, name="plan.yaml"):
    (work / name).write_text(text)
    return work / name


def everything():
    """All that a check must leave alone: files of source, node and pool, and the journal's rows."""
    files = {path: path.read_bytes() for folder in (p.source, p.node, p.pool)
             for path in sorted(folder.rglob("*")) if path.is_file()}
    return files, p.api("GET", "/v1/migrations")["migrations"], p.api("GET", "/v1/plans")["plans"]


for n, vm in enumerate(("web1", "web2", "web3", "db1", "db2"), 2):
    add_vm(vm, n, memory_bytes=n << 30)
p.start()
p.add_source()

plan = write(HEAD + """\
limits: [{scope: source, rules: [{syncs: 3}]}]
defaults: {shutdown_timeout_s: 2m, sync_interval: manual}
vms:
  - match: "web*"
    boot_timeout_s: 77
  - name: web2
    boot_timeout_s: 5m
    shutdown_policy: force
  - where: {memory_bytes: ">= 5G"}
    target_name: "{name}-kvm"
    instant: true
except: [web3]
""")

# Checked: everything is ready, nothing was touched.
before = everything()
says = p.cli("plan", "check", plan)
check("plan wave1: 5 of 5 VMs are ready" in says, "all are ready")
check("db1 → db1-kvm: ready" in says, "new names are shown")
check(everything() == before, "nothing was touched")

# Applied: what the plan says is what the migrations are.
answer = json.loads(p.cli("plan", "apply", plan, "--json"))
check({m["name"]: m["did"] for m in answer["migrations"]} ==
      {name: "created" for name in ("web", "web1", "web2", "db1-kvm", "db2-kvm")}, f"{answer}")
params = {name: p.wait_rest(name)["params"]
          for name in ("web", "web1", "web2", "db1-kvm", "db2-kvm")}
check(params["web1"]["boot_timeout_s"] == 77 and params["web1"]["shutdown_timeout_s"] == 120,
      "fields of entry and defaults")
check(params["web2"]["boot_timeout_s"] == 300 and params["web2"]["shutdown_policy"] == "force",
      "a later entry wins")
check(params["db1-kvm"]["instant"] and params["db1-kvm"]["vm"] == "db1", "attributes select")
check(all(of["plan"] == "wave1" for of in params.values()), "they know their plan")
check(p.wait_rest("db1-kvm")["state"] == "mirrored", "the mirror is there")

check([(of["scope"], of["name"]) for of in answer["limits"]] == [("source", "src")] and
      p.api("GET", "/v1/limits")["limits"] == answer["limits"], f"{answer['limits']}")

# Applied again: nothing happens.
rows = p.rows("select count(*) from transitions")
for line in p.cli("plan", "apply", plan).splitlines():
    check(line.endswith(": unchanged"), f"unchanged: {line}")
check(p.rows("select count(*) from transitions") == rows, "nothing happened")
listed = p.api("GET", "/v1/plans")["plans"]
check([(of["name"], of["source"], of["migrations"]) for of in listed] == [("wave1", "src", 5)],
      f"{listed}")
check("5 mirrored" in p.cli("plan", "list"), "the list has the states")
shown = p.cli("plan", "show", "wave1")
check('match: "web*"' in shown and "db2-kvm" in shown, "its text and its migrations are shown")

# A VM more, one less: the new one is made, the other one is left alone.
plan.write_text(plan.read_text().replace("except: [web3]", "except: [web1]"))
answer = json.loads(p.cli("plan", "apply", plan, "--json"))
did = {m["name"]: m["did"] for m in answer["migrations"]}
check(did["web3"] == "created" and did["web1"] == "left" and did["web2"] == "unchanged", f"{did}")
p.wait_rest("web3")

# What may be changed is, what may not is kept and told, and the rest of the plan is not held up.
plan.write_text(plan.read_text().replace("boot_timeout_s: 77", "boot_timeout_s: 78")
                .replace("sync_interval: manual}", "sync_interval: manual, priority: 7}")
                .replace("shutdown_policy: force", "accel: kvm"))
says = p.cli("plan", "check", plan)
check("web3: is there already, mirrored; would change: priority, boot_timeout_s\n" in says,
      "check says what would change")
check("accel cannot be changed any more" in says, "and what would not")
says = p.cli("plan", "apply", plan, expect=1)
answer = {m["name"]: m for m in json.loads(p.cli("plan", "apply", plan, "--json", expect=1))
          ["migrations"]}
check({name: m["did"] for name, m in answer.items()} ==
      {"web": "unchanged", "web1": "left", "web2": "kept", "web3": "unchanged",
       "db1-kvm": "unchanged", "db2-kvm": "unchanged"}, f"{answer}")
check(set(answer["web2"]["fields"]) == {"accel", "priority", "shutdown_policy"} and
      "accel cannot be changed" in answer["web2"]["why"], f"{answer['web2']}")
now = {name: p.job(name)["params"] for name in ("web2", "web3", "db1-kvm")}
check(now["web3"]["boot_timeout_s"] == 78 and now["web3"]["priority"] == 7, "changed")
check(now["db1-kvm"]["priority"] == 7 and now["web2"]["boot_timeout_s"] == 300, "as told")

# A VM that is moved already is selected as it was then, whatever became of it on the source.
running = write("plan: wave3\nsource: src\nnetworks: {default: default}\nvms:\n  - name: extra\n"
                "    where: {state: running}\n    replicate: later\n", "running.yaml")
extra = add_vm("extra", 9)
p.cli("plan", "apply", running)
p.describe(extra, id="9", state="off", nics=[{"network": "nobody's"}])
check(p.cli("plan", "apply", running) == "extra: unchanged\n", "off since")
shutil.rmtree(extra)
check(p.cli("plan", "apply", running) == "extra: unchanged\n", "gone since")
p.api("POST", "/v1/migrations/extra/cancel")
p.wait_rest("extra")
check("has no VM 'extra'" in p.cli("plan", "apply", running, expect=2), "cancelled, it is new")
p.cli("plan", "remove", "wave3")
p.cli("remove", "extra")

# What survives a restart.
p.kill()
p.start()
check(p.api("GET", "/v1/plans")["plans"][0]["migrations"] == 6, "the plan is there after a kill")

# Migrations that are not of the plan are nobody's to take.
other = write("plan: wave2\nsource: src\nnetworks: {default: default}\nvms:\n  - name: web1\n",
              "other.yaml")
says = p.cli("plan", "apply", other, expect=1)
answer = json.loads(p.cli("plan", "apply", other, "--json", expect=1))
check(answer["migrations"][0]["did"] == "failed" and
      "belongs to plan wave1" in answer["migrations"][0]["why"], f"{answer}")
p.cli("plan", "remove", "wave2")

# Removed: not before its migrations are over.
check("is not over" in p.cli("plan", "remove", "wave1", expect=6), "it is in use")
for name in ("web", "web1", "web2", "web3", "db1-kvm", "db2-kvm"):
    p.api("POST", f"/v1/migrations/{name}/cancel")
wait_until(lambda: all(m["state"] == "cancelled"
                       for m in p.api("GET", "/v1/migrations")["migrations"]), "all are cancelled")
answer = json.loads(p.cli("plan", "apply", plan, "--json", expect=1))
kept = {m["name"]: m.get("why", "") for m in answer["migrations"] if m["did"] == "kept"}
check(set(kept) == {"web", "web2", "web3", "db1-kvm", "db2-kvm"} and
      all("remove it" in why for why in kept.values()), f"cancelled ones stay so: {answer}")
check("was cancelled" in p.cli("plan", "check", plan), "and check says it")
p.cli("plan", "remove", "wave1")
p.cli("plan", "show", "wave1", expect=3)
check(p.api("GET", "/v1/plans") == {"plans": []}, "it is gone")

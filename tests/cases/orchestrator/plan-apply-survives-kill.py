#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""slipwayd is killed at every point of applying a plan; applied again, the plan is what it would
have been, each VM once, and nothing of the first try is in the way."""

from case import check
from fakes import kill_everywhere

PLAN = """\
plan: p
source: src
networks: {default: default}
limits: [{scope: all, rules: [{syncs: 2}]}]
defaults: {replicate: later}
vms:
  - match: "*"
  - name: web2
    priority: 9
"""


def prepare(p):
    for number, name in enumerate(("web1", "web2"), 2):
        folder = p.source / name
        folder.mkdir()
        (folder / "power").write_text("running")
        (folder / "vda.img").write_text(f"{name} starts\n")
        p.describe(folder, id=str(number), uuid=f"00000000-0000-0000-0000-{number:012}")


def step(p):
    """True when an apply finds everything as it should be."""
    if not p.api("GET", "/v1/sources")["sources"]:
        p.add_source()
    answer = p.api("POST", "/v1/plans", {"text": PLAN})
    done = {m["name"]: m["did"] for m in answer["migrations"]}
    check(set(done) == {"web", "web1", "web2"} and set(done.values()) <= {"created", "unchanged"},
          f"{answer}")
    return set(done.values()) == {"unchanged"}


def check_end(p, what):
    jobs = {m["name"]: m for m in p.api("GET", "/v1/migrations")["migrations"]}
    check(set(jobs) == {"web", "web1", "web2"}, f"{what}: {list(jobs)}")
    check(all(job["state"] == "planned" and job["params"]["plan"] == "p" for job in jobs.values()),
          f"{what}: all wait to be begun")
    check(jobs["web2"]["params"]["priority"] == 9, f"{what}: as the plan says")
    check([limit["scope"] for limit in p.api("GET", "/v1/limits")["limits"]] == ["all"],
          f"{what}: the limit is set")
    check([plan["migrations"] for plan in p.api("GET", "/v1/plans")["plans"]] == [3], what)
    check(not list(p.pool.iterdir()), f"{what}: nothing was made for them")


kill_everywhere(step, check_end, prepare)

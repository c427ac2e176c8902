#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""The VMs of a group are stopped and flipped as one: all of them move, or none does, whatever fails
and wherever slipwayd is killed; a sync of the group freezes all of them while all stand still."""

import threading
import time

from case import check, wait_until, work
from fakes import Platform, kill_everywhere

VMS = ("web", "db")


def prepare(p):
    """A second VM."""
    (p.source / "db").mkdir()
    (p.source / "db/power").write_text("running")
    (p.source / "db/vda.img").write_text("start\n")
    p.describe(p.source / "db", id="2", uuid="11111111-2222-3333-4444-666666666666")


def create(p, **params):
    if not p.api("GET", "/v1/sources")["sources"]:
        p.add_source()
    for vm in VMS:
        p.api("POST", "/v1/migrations", {"source": "src", "vm": vm, "group": "shop",
                                         "commit_window_s": 0, "shutdown_timeout_s": 1, **params})


def jobs(p):
    return [p.job(vm) for vm in VMS]


def states(p):
    return [job["state"] for job in jobs(p)]


def rest(p, timeout=60):
    wait_until(lambda: not any(job["active"] for job in jobs(p)), "all rest", timeout=timeout)
    return states(p)


def power(p):
    return [(p.source / vm / "power").read_text() for vm in VMS]


def group(p):
    return p.api("GET", "/v1/groups")["groups"][0]


def ready(name, **params):
    p = Platform(work / name)
    prepare(p)
    p.start()
    create(p, **params)
    check(rest(p) == ["mirrored"] * 2, f"{states(p)}")
    return p


# ---- killed anywhere, all move

def step(p):
    if any(job is None for job in jobs(p)):
        create(p)
    elif any(job["active"] for job in jobs(p)):
        time.sleep(0.005)
    elif states(p) == ["mirrored"] * 2:
        p.api("POST", "/v1/groups/shop/cutover")
    else:
        check(states(p) == ["done"] * 2, f"both have moved: {states(p)}")
        return True
    return False


def moved(p, what):
    check(states(p) == ["done"] * 2, f"{what}: {states(p)}")
    check(power(p) == ["off"] * 2, f"{what}: {power(p)}")
    for vm in VMS:
        check(p.target(vm) == "start\nMORPHED\n", f"{what}: {vm}: {p.target(vm)!r}")
        check((p.node / f"{vm}.state").read_text() == "running", f"{what}: {vm} runs")
    check(p.rows("select * from leftovers") == [], f"{what}: leftovers")
    wait_until(lambda: p.rows("select * from groups") == [], f"{what}: the group's work is over")


kill_everywhere(step, moved, prepare, every=5)

# ---- killed anywhere in a sync of the group, nobody stands still for ever


def sync_step(p):
    if any(job is None for job in jobs(p)):
        create(p)
    elif any(job["active"] for job in jobs(p)):
        time.sleep(0.005)
    elif states(p) == ["mirrored"] * 2 and [job["generation"] for job in jobs(p)] == [0, 0]:
        p.api("POST", "/v1/groups/shop/sync")
    elif "failed" in states(p):
        for vm in VMS:
            p.api("POST", f"/v1/migrations/{vm}/sync")
    else:
        return True
    return False


def synced(p, what):
    check(states(p) == ["mirrored"] * 2, f"{what}: {states(p)}")
    check(not list(p.source.glob("*/held")), f"{what}: they go on")
    check(p.rows("select * from leftovers where thing_json like '%hold%'") == [], f"{what}: hold")


kill_everywhere(sync_step, synced, prepare, every=5, label="s")

# ---- one does not stop: nobody moves, and the next try does

p = ready("hang")
(p.source / "db/hang").write_text("")
p.api("POST", "/v1/groups/shop/cutover")
check(rest(p) == ["mirrored"] * 2, f"both are as before: {states(p)}")
check(power(p) == ["running"] * 2, f"both sources run: {power(p)}")
check("db: the source did not stop" in p.job("web")["error"]["message"], f"{p.job('web')}")
check(not list(p.node.glob("*.xml")) and not list(p.source.glob("*/guarded")), "no traces")
(p.source / "db/hang").unlink()
status, answer = p.raw("POST", "/v1/migrations/web/cutover")
check(status == 409 and "group cutover shop" in answer["error"]["message"], f"{answer}")
p.cli("group", "cutover", "shop", "--follow")
check(rest(p) == ["done"] * 2, f"{states(p)}")
passes = [row[0] for row in p.rows("select kind from passes where migration='web' order by id")]
check(passes[0] == "initial" and set(passes[1:]) == {"final"}, f"one delta, not the disk: {passes}")
p.stop()

# ---- the flip of one fails behind the decision: nobody goes back

p = ready("flip")
(p.state / "stores/db/fail-flip").write_text("")
p.api("POST", "/v1/groups/shop/cutover")
check(rest(p) == ["done", "failed"], f"{states(p)}")
check(p.job("db")["failed_state"] == "flipping", f"{p.job('db')}")
check(power(p) == ["off"] * 2, f"no source is started: {power(p)}")
check(group(p)["phase"] == "flipped", f"{group(p)}")
check(p.api("GET", "/v1/status")["groups"] == [group(p)], "the snapshot has it")
told = [row[0] for row in p.rows("select body_json from events where migration is null")]
check(any('"group"' in body and '"flipped"' in body for body in told), f"it is told: {told}")
status, answer = p.raw("POST", "/v1/migrations/db/cancel")
check(status == 409 and "its group has flipped" in answer["error"]["message"], f"{answer}")
p.stop()
p.start()
(p.state / "stores/db/fail-flip").unlink()
p.api("POST", "/v1/migrations/db/cutover")
check(rest(p) == ["done"] * 2, f"it goes on: {states(p)}")
p.stop()

# ---- behind the decision one is morphed anew and fails: it goes forward by itself

p = ready("morph", commit_window_s=3600)
p.stop()
(work / "hold").write_text("after-group flipped")
p.start(SLIPWAY_HOLD=work / "hold")
p.api("POST", "/v1/groups/shop/cutover")
wait_until(lambda: p.rows("select phase from groups") == [("flipped",)], "it is decided")
p.kill()
(p.state / "fail-morph").write_text("")
p.start()
rest(p)
check("failed" in states(p) and "mirrored" not in states(p), f"{states(p)}")
check(power(p) == ["off"] * 2, f"nobody goes back: {power(p)}")
(p.state / "fail-morph").unlink()
for vm in VMS:
    if p.job(vm)["state"] == "failed":
        p.api("POST", f"/v1/migrations/{vm}/cutover")
check(rest(p) == ["window"] * 2, f"{states(p)}")
check(p.rows("select * from groups") == [], "the group's work is over")

# One of them goes back and is moved again, without the other.
p.verb("rollback", "db")
p.verb("sync", "db")
check(p.verb("cutover", "db")["state"] == "window", f"{p.job('db')}")
p.cli("group", "rollback", "shop", "--follow")
check(rest(p) == ["rolled-back"] * 2, f"{states(p)}")
p.cli("group", "cutover", "shop", expect=5)
p.stop()

# ---- members that begin only after slipwayd was killed have the cutover that was asked for

p = ready("instant")
p.stop()
(work / "hold").write_text("after-group cutover")
p.start(SLIPWAY_HOLD=work / "hold")
threading.Thread(target=lambda: p.raw("POST", "/v1/groups/shop/cutover", '{"instant": true}'),
                 daemon=True).start()
wait_until(lambda: p.rows("select phase from groups") == [("cutover",)], "it is written down")
p.kill()
p.start()
check(rest(p) == ["done"] * 2, f"{states(p)}")
for vm in VMS:
    kinds = [row[0] for row in
             p.rows(f"select kind from passes where migration='{vm}' order by id")]
    check(kinds == ["initial", "instant"], f"{vm}: {kinds}")
p.stop()

# ---- one is cancelled while the other waits for it

p = ready("cancel", shutdown_policy="wait")
(p.source / "db/hang").write_text("")
p.api("POST", "/v1/groups/shop/cutover")
wait_until(lambda: (p.job("web")["progress"] or {}).get("phase") == "group", "web waits")
p.api("POST", "/v1/migrations/db/cancel")
check(rest(p) == ["mirrored", "cancelled"], f"{states(p)}")
check(power(p) == ["running"] * 2, f"{power(p)}")
p.stop()

# ---- slipwayd is started anew while the group goes back

p = ready("restart", shutdown_policy="wait")
(p.source / "db/hang").write_text("")
p.api("POST", "/v1/groups/shop/cutover")
wait_until(lambda: (p.job("web")["progress"] or {}).get("phase") == "group", "web waits")
p.kill()
p.start()
wait_until(lambda: (p.job("web")["progress"] or {}).get("phase") == "group", "it waits again")
(p.source / "db/hang").unlink()
check(rest(p) == ["done"] * 2, f"{states(p)}")
p.stop()

# ---- a sync of the group: everybody stands still while anybody is frozen

p = Platform(work / "sync")
prepare(p)
p.start(SLIPWAY_POINTS=work / "order")
create(p)
rest(p)
before = len((work / "order").read_text().splitlines())
p.cli("group", "sync", "shop", "--follow")
check(rest(p) == ["mirrored"] * 2, f"{states(p)}")
check([job["generation"] for job in jobs(p)] == [1, 1], f"{jobs(p)}")
order = [line.split(" ", 1)[1] for line in (work / "order").read_text().splitlines()[before:]]
held = [i for i, point in enumerate(order) if point.startswith("hold")]
frozen = [i for i, point in enumerate(order) if point.startswith("freeze")]
released = [i for i, point in enumerate(order) if point.startswith("cleanup") and "hold" in point]
check(len(held) == len(frozen) == len(released) == 2, f"{order}")
check(max(held) < min(frozen) and max(frozen) < min(released), f"{order}")
check(not list(p.source.glob("*/held")), "they go on")
(p.source / "fail-hold").write_text("the platform says no")
p.cli("group", "sync", "shop", "--follow", expect=1)
check(all(state == "failed" for state in rest(p)), f"all or none: {states(p)}")
check(not list(p.source.glob("*/held")) and not list(p.source.glob("*/snap-*")), "nothing is left")
p.stop()

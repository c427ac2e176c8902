# SPDX-License-Identifier: Apache-2.0
"""What a person does with slipway, as stories for walk.py: each can be gone on with after anything,
and ends the same."""

from case import check, wait_until
from walk import Story, alone, clean_up, finish, retry


def create(p, vm="web", **params):
    if not p.api("GET", "/v1/sources")["sources"]:
        p.add_source()
    p.api("POST", "/v1/migrations", {"source": "src", "vm": vm, **params})


def say(p, verb, body=None):
    return p.api("POST", f"/v1/migrations/web/{verb}", body)


def written(p, line):
    if line not in (p.vm / "vda.img").read_text():
        p.guest_writes(line)


def told(p, jobs, verbs, params, course):
    """The frame of all stories of one VM: course(p, job) is what is done where nothing failed."""
    if "removed" in vars(p):
        return clean_up(p, jobs)
    if not jobs:
        create(p, **params)
    elif jobs[0]["state"] == "failed":
        retry(p, jobs[0], verbs)
    elif course(p, jobs[0]):
        p.removed = True
    return False


def story(label, verbs, course, look, **params):
    def end(p, what):
        alone(p)
        look(p)
        finish(p)
    return Story(label, lambda p, jobs: told(p, jobs, verbs, params, course), end)


def moved(text):
    def look(p):
        folder = p.vm if p.vm.exists() else p.source / "web-migrated"
        check(p.target() == text, f"the target holds {p.target()!r}")
        check((folder / "power").read_text() == "off", "the source is off")
        check((p.node / "web.state").read_text() == "running", "the VM runs")
        check('"path"' in (p.node / "web.xml").read_text(), "with its target")
    return look


def back(text):
    def look(p):
        check((p.vm / "vda.img").read_text() == text, f"{(p.vm / 'vda.img').read_text()!r}")
        check((p.vm / "power").read_text() == "running", "the source runs")
        check(not (p.vm / "guarded").exists(), "and is not guarded")
        check(not list(p.node.glob("web.*")), f"the node: {list(p.node.iterdir())}")
        check(not (p.pool / "web").exists() and not (p.state / "stores/web").exists(),
              "targets and store are gone")
    return look


def cut_over(p, job):
    """initial, a delta, cutover"""
    if job["state"] == "mirrored":
        written(p, "last" if job["generation"] else "delta")
        say(p, "cutover" if job["generation"] else "sync")
    return job["state"] == "done"


def instantly(p, job):
    if job["state"] == "mirrored":
        written(p, "last")
        say(p, "cutover", {"instant": True})
    elif job["state"] == "window":
        say(p, "commit")
    return job["state"] == "done"


def with_window(end):
    """The VM writes in the window; it ends; what was rolled back is begun anew and given up."""
    def course(p, job):
        if job["state"] == "window":
            if "since" not in p.target():
                with open(p.pool / "web" / "vda.raw", "a", encoding="utf-8") as disk:
                    disk.write("since\n")
            say(p, end)
        elif job["state"] == "rolled-back":
            say(p, "sync" if "anew" not in vars(p) else "cancel")
            p.anew = True
        elif job["state"] == "mirrored":
            say(p, "cancel" if "anew" in vars(p) else "cutover")
        return job["state"] in ("done", "cancelled")
    return course


def later(p, job):
    """Planned, paused, resumed, begun, paused, resumed, given up"""
    done = vars(p).setdefault("done", set())
    state = job["state"]
    if state == "paused":
        say(p, "resume")
    elif state == "cancelled":
        return True
    elif state not in done:
        answer = say(p, "pause")
        if "error" not in answer:
            done.add(state)
    else:
        say(p, "start" if state == "planned" else "cancel")
    return False


def rehearsed(p, job):
    """A rehearsal, a sync beside it, then the cutover, which ends the rehearsal if it still runs"""
    if job["state"] == "mirrored" and "asked" not in vars(p):
        p.api("POST", "/v1/migrations/web/rehearsal")
        p.asked = True
        return False
    return cut_over(p, job)


VMS = ("db", "web")


def second_vm(p):
    (p.source / "db").mkdir()
    (p.source / "db/power").write_text("running")
    (p.source / "db/vda.img").write_text("start\n")
    p.describe(p.source / "db", id="2", uuid="11111111-2222-3333-4444-666666666666")


def as_one(p, jobs):
    """Two VMs of a group are synced and moved as one"""
    states = {job["name"]: job["state"] for job in jobs}
    if "removed" in vars(p):
        return clean_up(p, jobs)
    for vm in VMS:
        if vm not in states:
            create(p, vm, group="shop", commit_window_s=0, shutdown_timeout_s=1)
            return False
    failed = [job for job in jobs if job["state"] == "failed"]
    if failed:
        retry(p, failed[0], ("cutover", "sync"))
    elif set(states.values()) == {"mirrored"}:
        p.api("POST", "/v1/groups/shop/cutover" if "synced" in vars(p)
              else "/v1/groups/shop/sync")
        p.synced = True
    elif set(states.values()) == {"done"}:
        p.removed = True
    return False


def group_moved(p, what):
    alone(p)
    for vm in VMS:
        check(p.target(vm) == "start\nMORPHED\n", f"{vm}: {p.target(vm)!r}")
        check((p.source / vm / "power").read_text() == "off", f"the source of {vm} is off")
        check((p.node / f"{vm}.state").read_text() == "running", f"{vm} runs")
    wait_until(lambda: p.rows("select * from groups") == [], "the work of the group is over")
    finish(p)


ONWARD = ("cutover", "commit", "sync")
LATER = {"commit_window_s": 3600}
STORIES = [
    story("cutover", ONWARD, cut_over, moved("start\ndelta\nlast\nMORPHED\n"), commit_window_s=0),
    story("instant", ONWARD, instantly, moved("start\nlast\nMORPHED\n"), commit_window_s=0),
    story("instant-window", ONWARD, instantly, moved("start\nlast\nMORPHED\n"), **LATER),
    story("commit", ONWARD, with_window("commit"), moved("start\nMORPHED\nsince\n"),
          failback=True, source_after_commit="rename", **LATER),
    story("rollback", ("rollback", "cutover", "sync", "cancel"), with_window("rollback"),
          back("start\n"), **LATER),
    story("failback", ("rollback", "cutover", "sync", "cancel"), with_window("rollback"),
          back("start\nMORPHED\nsince\n"), failback=True, **LATER),
    story("later", ("sync", "cancel"), later, back("start\n"), replicate="later"),
    story("rehearsal", ONWARD, rehearsed, moved("start\ndelta\nlast\nMORPHED\n"),
          commit_window_s=0),
    Story("group", as_one, group_moved, prepare=second_vm, steady=False),
]
for _story in STORIES:
    _story.steady = _story.label not in ("rehearsal", "group")

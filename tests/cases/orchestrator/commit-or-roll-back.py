#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 300
"""After the cutover there is time to go back: the source stays off and guarded; a commit cleans
it, a rollback starts it again, with failback with what the VM has written; also with slipwayd
killed at each point of the way."""

import json
import os
import signal
import time

from case import check, wait_until, work
from fakes import Platform, kill_everywhere


def story(end, **params):
    """A step function: migrate, cut over, the VM writes a line, then `end`."""
    def step(p):
        job = p.job()
        if job is None:
            if not p.api("GET", "/v1/sources")["sources"]:
                p.add_source()
            p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", **params})
        elif job["active"]:
            time.sleep(0.005)
        elif job["state"] == "mirrored":
            p.api("POST", "/v1/migrations/web/cutover")
        elif job["state"] == "window":
            check((p.vm / "guarded").exists(), "the source is guarded while one can go back")
            check((p.vm / "power").read_text() == "off", "and off")
            if "since the cutover" not in p.target():
                with open(p.pool / "web" / "vda.raw", "a", encoding="utf-8") as disk:
                    disk.write("since the cutover\n")
            p.api("POST", f"/v1/migrations/web/{end}")
        else:
            return True
        return False
    return step


def clean(p, what):
    check(p.rows("select * from leftovers") == [], f"{what}: left in the journal")
    check(p.leftovers() == [], f"{what}: left on the source: {p.leftovers()}")
    check(not list(p.vm.glob("writing-*")), f"{what}: the source's disks are closed")
    check(not (p.state / "stores/web/control.sock").exists(), f"{what}: the engine has ended")
    check("since the cutover" in p.target(), f"{what}: what the VM wrote is in the target")


def committed(p, what):
    clean(p, what)
    check(p.job()["state"] == "done", f"{what}: {p.job()}")
    check((p.vm / "power").read_text() == "off" and (p.vm / "guarded").exists(),
          f"{what}: the source stays off and guarded")
    check((p.node / "web.state").read_text() == "running", f"{what}: the VM runs")
    check('"path"' in (p.node / "web.xml").read_text(), f"{what}: from its targets")


def rolled_back(image):
    def look(p, what):
        clean(p, what)
        check(p.job()["state"] == "rolled-back", f"{what}: {p.job()}")
        check((p.vm / "power").read_text() == "running", f"{what}: the source runs")
        check(not (p.vm / "guarded").exists(), f"{what}: and is guarded no longer")
        check(not (p.node / "web.xml").exists(), f"{what}: the VM is off the node")
        check((p.vm / "vda.img").read_text() == image, f"{what}: {(p.vm / 'vda.img').read_text()}")
    return look


def kill_engine(p):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if bytes(p.state / "stores/web") in words and b"engine.py" in b" ".join(words):
            os.kill(int(pid), signal.SIGKILL)
            return
    check(False, "there is an engine")


SINCE = "start\nMORPHED\nsince the cutover\n"
kill_everywhere(story("commit", failback=True), committed, every=6, label="c")
kill_everywhere(story("rollback"), rolled_back("start\n"), every=6, label="r")
kill_everywhere(story("rollback", failback=True), rolled_back(SINCE), every=6,
                label="f")

# A new mirror can be begun after a rollback, and the VM moved again.
p = Platform(work / "again")
p.start()
p.add_source()
p.migrate(commit_window_s=3600)
check(p.verb("cutover")["state"] == "window", "one can go back")
check(p.verb("cancel")["error"]["name"] == "EPERM", "but not give it up")
check(p.verb("rollback")["state"] == "rolled-back", "rolled back")
p.guest_writes("later")
job = p.verb("sync")
check(job["state"] == "mirrored" and job["generation"] == 0, f"a new mirror: {job}")
check(p.verb("cutover")["state"] == "window" and p.target() == "start\nlater\nMORPHED\n", "moved")

# What can still be said is the end; the source is renamed by the commit.
status, answer = p.raw("PATCH", "/v1/migrations/web", '{"instant": true}')
check(status == 409 and "its cutover has begun" in answer["error"]["message"], f"{answer}")
status, answer = p.raw("PATCH", "/v1/migrations/web", '{"source_after_commit": "rename"}')
check(status == 200 and answer["params"]["source_after_commit"] == "rename", f"{answer}")
answer = p.raw("POST", "/v1/migrations/web/rollback", '{"failback": true}')
check(answer[0] == 409 and "failback was off" in answer[1]["error"]["message"], f"{answer}")
(p.source / "fail-retire").write_text("the platform says no")
job = p.verb("commit")
check(job["state"] == "failed" and "the platform says no" in job["error"]["message"], f"{job}")
(p.source / "fail-retire").unlink()
check(p.verb("commit")["state"] == "done", "the next commit does it")
check((p.source / "web-migrated").exists() and not p.vm.exists(), "the source's VM is renamed")
p.stop()

# A failback that is refused leaves the VM running on the node.
p = Platform(work / "refused")
p.start()
p.add_source()
p.migrate(commit_window_s=3600, failback=True)
p.verb("cutover")
check('"nbd_uri"' in (p.node / "web.xml").read_text(), "the VM runs through the engine")
(p.state / "stores/web/fail-failback").write_text("")
job = p.verb("rollback")
check(job["state"] == "failed" and "changed since the flip" in job["error"]["message"], f"{job}")
check((p.node / "web.state").read_text() == "running", "the VM was not touched")
check((p.vm / "power").read_text() == "off", "the source neither")
(p.state / "stores/web/fail-failback").unlink()
check(p.verb("rollback")["state"] == "rolled-back", "the next try goes through")
p.stop()

# The source comes back to life while one can go back: an alarm, and here the VM on the node stops.
p = Platform(work / "alive")
p.start(options=("--watch", "1"))
p.add_source()
p.migrate(commit_window_s=3600, failback=True)
p.verb("cutover")
(p.vm / "power").write_text("running")
wait_until(lambda: "alarm" in p.job(), "the alarm is raised")
check("stop one of them" in p.job()["alarm"], f"{p.job()['alarm']}")
check("ALARM: VM web runs on its source" in p.cli("status", "web"), "the status shows it")
check((p.node / "web.state").read_text() == "running", "the VM here goes on")
(p.vm / "power").write_text("off")
wait_until(lambda: "alarm" not in p.job(), "all is well again")
p.raw("PATCH", "/v1/migrations/web", '{"on_source_alive": "stop-target"}')
(p.vm / "power").write_text("running")
wait_until(lambda: (p.node / "web.state").read_text() == "off", "the VM here is stopped")
told = [json.loads(row[0]) for row in p.rows("select body_json from events")]
check([e["over"] for e in told if e["event"] == "alarm"] == [False, True, False], "it is told")
job = p.verb("rollback")
check(job["state"] == "failed" and "runs on its source" in job["error"]["message"], f"{job}")
(p.vm / "power").write_text("off")
check(p.verb("rollback")["state"] == "rolled-back", "with the source off there is a way back")
p.stop()

# The engine of a VM that runs through it dies: it is started again, and the VM goes on.
p = Platform(work / "engine")
p.start(options=("--watch", "1"))
p.add_source()
p.migrate(commit_window_s=3600, failback=True)
p.verb("cutover")
kill_engine(p)
(p.node / "web.state").write_text("paused")
wait_until(lambda: (p.node / "web.state").read_text() == "running", "the VM goes on")
check(p.verb("commit")["state"] == "done", "and can be committed")
p.cli("remove", "web", "--with-vm")
check(not (p.node / "web.xml").exists() and not (p.pool / "web").exists(), "the VM goes, too")
p.stop()

# Made for later: nothing is done before it is begun.
p = Platform(work / "later")
p.start()
p.add_source()
p.migrate(replicate="later", commit_window_s=0)
check(p.job()["state"] == "planned" and not list(p.pool.iterdir()), "nothing is there yet")
p.stop()
p.start()
check(p.job()["state"] == "planned", "a restart does not begin it")
p.api("POST", "/v1/migrations/web/start")
wait_until(lambda: p.job()["state"] == "mirrored", "it is begun")
p.stop()

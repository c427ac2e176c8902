# SPDX-License-Identifier: Apache-2.0
"""Ways through the table of states on purpose, for walk.py: each state that may fail fails and is
tried again, each that may be given up is given up, each that may be paused is paused."""

import json
import sqlite3

from case import check, wait_until


class Broken:
    """A file of the fakes that lets something fail, as long as it is there."""

    def __init__(self, *path_and_name):
        folder, name = path_and_name
        self.path = folder / f"fail-{name}"

    def __enter__(self):
        self.path.write_text("it does not work today")

    def __exit__(self, *_):
        self.path.unlink(missing_ok=True)


def failing(p, verb, state, name="web", **body):
    """The verb leads to a failure in this state."""
    p.api("POST", f"/v1/migrations/{name}/{verb}", body or None)
    job = p.wait_rest(name)
    check(job["state"] == "failed" and job["failed_state"] == state, f"{state} fails: {job}")


def reach(p, verb, state, name="web", body=None):
    """The verb leads to rest in this state."""
    status, answer = p.raw("POST", f"/v1/migrations/{name}/{verb}", body and json.dumps(body))
    check(status < 300, f"{verb}: {answer}")
    job = p.wait_rest(name)
    check(job["state"] == state, f"{verb} of {name} leads to {state}: {job}")


def store(p, name="web"):
    return p.state / "stores" / name


def ends_done(p, name="web"):
    reach(p, "cutover", "done", name)
    check((p.node / f"{name}.state").read_text() == "running", "it runs on the node")
    check(p.rows("select * from leftovers") == [], "nothing is left")


def fails_and_goes_on(p):
    """Each state of a cutover fails, is kept there, and the same verb goes on."""
    with Broken(p.node, "define"):
        p.migrate(on_failure="keep")
        check(p.job()["failed_state"] == "preparing", f"{p.job()}")
        failing(p, "sync", "preparing")
    with Broken(p.source, "snapshot_begin"):
        failing(p, "sync", "syncing")
        failing(p, "sync", "syncing")
    reach(p, "sync", "mirrored")
    with Broken(p.source, "shutdown"):
        failing(p, "cutover", "stopping")
    with Broken(p.source, "snapshot_begin"):
        failing(p, "cutover", "final-sync")
    with Broken(p.state, "morph"):
        failing(p, "cutover", "morphing")
    with Broken(store(p), "flip"):
        failing(p, "cutover", "flipping")
        failing(p, "cutover", "flipping")
    with Broken(p.node, "define"):
        failing(p, "cutover", "defining")
        failing(p, "cutover", "defining")
    with Broken(p.node, "start"):
        failing(p, "cutover", "starting")
        failing(p, "cutover", "starting")
    ends_done(p)


def fails_and_goes_back(p):
    """A cutover that fails before the flip takes itself back."""
    p.migrate()
    for folder, name in ((p.source, "shutdown"), (p.source, "snapshot_begin"), (p.state, "morph")):
        with Broken(folder, name):
            reach(p, "cutover", "mirrored")
    with Broken(p.state, "morph"), Broken(p.source, "start"):
        failing(p, "cutover", "reverting")
    reach(p, "cutover", "mirrored")
    with Broken(store(p), "seal"):
        reach(p, "cutover", "mirrored")
    with Broken(p.source, "snapshot_begin"):
        reach(p, "cutover", "mirrored", body={"instant": True})
    with Broken(p.state, "morph"):
        reach(p, "cutover", "mirrored", body={"instant": True})
    check((p.vm / "power").read_text() == "running", "the source runs")
    reach(p, "cancel", "cancelled")


def instant_fails(p):
    """The states that only an instant cutover has."""
    p.migrate(on_failure="keep", commit_window_s=3600)
    with Broken(p.source, "snapshot_begin"):
        failing(p, "cutover", "instant-flip", instant=True)
    (p.folder / "hold").write_text("step hydrating")
    p.api("POST", "/v1/migrations/web/cutover", {"instant": True})
    wait_until(lambda: p.job()["state"] == "hydrating", "it hydrates")
    with Broken(store(p), "disk"):
        (p.folder / "hold").unlink()
        job = p.wait_rest()
        check(job["state"] == "failed" and job["failed_state"] == "hydrating", f"{job}")
        failing(p, "cutover", "hydrating")
    with Broken(p.node, "define"):
        failing(p, "cutover", "detaching")
        failing(p, "cutover", "detaching")
    reach(p, "cutover", "window")
    reach(p, "commit", "done")


def ends_fail(p):
    """Commit, rollback, what follows it, and giving up fail and are tried again."""
    p.migrate("gone", commit_window_s=3600, source_after_commit="rename")
    reach(p, "cutover", "window", "gone")
    with Broken(p.source, "start"):
        failing(p, "rollback", "rolling-back", "gone")
        failing(p, "rollback", "rolling-back", "gone")
    reach(p, "rollback", "rolled-back", "gone")
    with Broken(store(p, "gone"), "stop"):
        failing(p, "sync", "reverting", "gone")
        failing(p, "cutover", "reverting", "gone")
    reach(p, "cutover", "mirrored", "gone")
    with Broken(p.source, "cleanup"):
        failing(p, "cancel", "cancelling", "gone")
        failing(p, "cancel", "cancelling", "gone")
    reach(p, "cancel", "cancelled", "gone")
    p.migrate(commit_window_s=3600, source_after_commit="rename")
    reach(p, "cutover", "window")
    with Broken(p.source, "retire"):
        failing(p, "commit", "committing")
        failing(p, "commit", "committing")
    reach(p, "commit", "done")


def given_up_anywhere(p):
    """Cancel, in each state that has it, before and while its step is done."""
    def clean(name):
        job = p.wait_rest(name)
        check(job["state"] == "cancelled", f"{name}: {job}")
        check((p.vm / "power").read_text() == "running", f"{name}: the source runs")
        check(not (p.pool / name).exists() and not store(p, name).exists(), f"{name}: all is gone")
        check(p.rows("select * from leftovers") == [] and not p.leftovers(), f"{name}: leftovers")
        check(not list(p.node.glob(f"{name}.*")), f"{name}: the node")
        p.api("DELETE", f"/v1/migrations/{name}")

    hold = p.folder / "hold"
    for state in ("created", "preparing", "syncing", "stopping", "final-sync", "morphing",
                  "instant-flip"):
        if state in ("created", "preparing", "syncing"):
            hold.write_text(f"step {state}")
            p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": state})
        else:
            p.migrate(state)
            hold.write_text(f"step {state}")
            p.api("POST", f"/v1/migrations/{state}/cutover", {"instant": state == "instant-flip"})
        wait_until(lambda name=state: p.job(name)["state"] == name, f"{state} is held", pause=0.01)
        p.api("POST", f"/v1/migrations/{state}/cancel")
        hold.unlink()
        clean(state)
    p.migrate("mirrored")
    reach(p, "cancel", "cancelled", "mirrored")
    clean("mirrored")
    p.migrate("planned", replicate="later")
    reach(p, "cancel", "cancelled", "planned")
    clean("planned")
    p.migrate("paused")
    reach(p, "pause", "paused", "paused")
    reach(p, "cancel", "cancelled", "paused")
    clean("paused")
    p.migrate("rolled", commit_window_s=3600)
    reach(p, "cutover", "window", "rolled")
    reach(p, "rollback", "rolled-back", "rolled")
    reach(p, "cancel", "cancelled", "rolled")
    clean("rolled")


def paused_anywhere(p):
    """Pause and resume, at rest and while a sync is under way."""
    p.migrate(replicate="later")
    reach(p, "pause", "paused")
    reach(p, "resume", "planned")
    reach(p, "start", "mirrored")
    reach(p, "pause", "paused")
    reach(p, "resume", "mirrored")
    (p.folder / "hold").write_text("engine-before sync")
    p.guest_writes("more")
    p.api("POST", "/v1/migrations/web/sync")
    wait_until(lambda: p.job()["state"] == "syncing", "it syncs", pause=0.01)
    p.api("POST", "/v1/migrations/web/pause")
    (p.folder / "hold").unlink()
    check(p.wait_rest()["state"] == "paused", f"{p.job()}")
    reach(p, "resume", "mirrored")
    ends_done(p)


def journal_of_before(p):
    """Failed in a state that does not fail any more, as an earlier version has left it."""
    p.migrate()
    (p.folder / "hold").write_text("step finishing")
    p.api("POST", "/v1/migrations/web/cutover")
    wait_until(lambda: p.job()["state"] == "finishing", "it finishes")
    p.kill()
    (p.folder / "hold").unlink()
    with sqlite3.connect(p.state / "journal.db") as db:
        db.execute("update migrations set state='failed', failed_state='finishing'")
    p.start(SLIPWAY_POINTS=p.folder / "points")
    ends_done(p)


DIRECTED = [fails_and_goes_on, fails_and_goes_back, instant_fails, ends_fail, given_up_anywhere,
            paused_anywhere, journal_of_before]

# In the table as a net: these steps have nothing today that can fail.
NEVER = {("created", "failed"): "nothing is done in it",
         ("finishing", "failed"): "a source that cannot be told is told by the commit"}

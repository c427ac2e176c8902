#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""A budget that never fits is given up or made instant as was chosen; a cutover that failed is not
tried again by itself until somebody asks anew; rehearsals come after each n-th sync; a failed sync
is tried again later; the commit window ends by itself, either way; and all that across a kill."""

import time

from case import check, wait_until, work
from fakes import Platform

OVER = ("window", "done")


def explain(name="web"):
    return p.api("GET", f"/v1/migrations/{name}/explain")


def says(words, name="web", action="none"):
    wait_until(lambda: words in explain(name).get("reason", "") and
               explain(name)["action"] == action, f"{name}: '{words}'; now {explain(name)}")


def states(name="web"):
    return [row[0] for row in p.rows(f"select to_state from transitions where migration='{name}' "
                                     "order by id")]


def change(name="web", **params):
    answer = p.api("PATCH", f"/v1/migrations/{name}", params)
    check("error" not in answer, f"{name} is changed: {answer}")


def restart():
    p.kill()
    p.start(FAKE_MORPH_PAUSE=1.5)


p = Platform(work / "budget")
p.start(FAKE_MORPH_PAUSE=1.5)
p.add_source()
p.migrate(sync_interval="manual")
check(p.cli("rehearse", "web", "--follow") != "", "a rehearsal measures the morph: above a second")
change(downtime_budget_s=1, over_budget="wait", cutover="auto")
says("is above its budget of 1 s, whatever the last delta: it waits")
change(over_budget="give-up")
says("the forecast stayed above its budget of 1 s; slipway cutover web does it now")
restart()
says("stayed above its budget")
time.sleep(1)
check("stopping" not in states(), "nothing was begun")
change(over_budget="instant")
wait_until(lambda: p.job()["state"] in OVER, "somebody has chosen otherwise")
check("instant-flip" in states(), f"and then it is instant: {states()}")
p.stop()

# A cutover that fails comes back, and is not repeated: not by time, not by a restart.
p = Platform(work / "failed")
(p.folder / "st").mkdir()
(p.folder / "st" / "fail-morph").touch()
p.start()
p.add_source()
p.migrate(sync_interval="1s", cutover="auto")
wait_until(lambda: "reverting" in states(), "the morph fails")
says("the cutover of web failed and is not tried again by itself", action=explain()["action"])
(p.folder / "st" / "fail-morph").unlink()
before = states().count("syncing")
p.kill()
p.start()
wait_until(lambda: states().count("syncing") >= before + 2, "its syncs go on")
check(states().count("stopping") == 1, "its cutover does not")
for _ in range(100):  # between two syncs
    answer = p.api("PATCH", "/v1/migrations/web", {"cutover": "auto"})
    if "error" not in answer:
        break
    time.sleep(0.02)
wait_until(lambda: p.job()["state"] in OVER, "asked anew, it is tried again")
p.stop()

# Rehearsals by the number of syncs; a failed sync.
p = Platform(work / "syncs")
p.start()
p.add_source()
p.migrate(sync_interval="1s", rehearse_every=2)
wait_until(lambda: len(p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"]) >= 2,
           "it is rehearsed again and again")
(p.source / "fail-snapshot_begin").write_text("the source has a headache")
wait_until(lambda: p.job()["state"] == "failed", "a sync fails")
says("the sync failed (1 in a row): next try at")
(p.source / "fail-snapshot_begin").unlink()
p.stop()

p = Platform(work / "refused")
p.start()
p.add_source()
p.migrate(sync_interval="1s", rehearse_every=1, rehearse_check="console:(")
wait_until(lambda: "regular expression" in explain().get("refused", ""),
           "a rehearsal that is refused is told")
wait_until(lambda: states().count("syncing") >= 4, "and its syncs go on")
p.stop()

# The end of the commit window.
p = Platform(work / "commit")
p.start()
p.add_source()
for name, end, rest in (("one", "commit", "done"), ("two", "rollback", "rolled-back")):
    p.migrate(name, sync_interval="manual", cutover="auto", commit_window_s=4, window_end=end)
    wait_until(lambda: p.job(name)["state"] == "window", "it is up, and can be taken back")
    says("committed at" if end == "commit" else "rolled back at", name)
    p.kill()
    p.start()
    wait_until(lambda: p.job(name)["state"] == rest, f"{end} by itself, also after a kill")
    check(states(name).count("window") == 1, "it was not begun twice")
    (p.vm / "power").write_text("running")
    if rest == "done":
        p.cli("remove", name)
        for path in p.node.iterdir():
            path.unlink()
time.sleep(1)
check(p.job("two")["state"] == "rolled-back", "what was taken back is not done again")

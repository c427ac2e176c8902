# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A rehearsal morphs and starts a draft beside the mirror, syncs go on meanwhile, and nothing of it
is left: not when it passes, fails, is stopped or kept, nor after slipwayd was killed at any point
of it.  A cutover ends it first."""

import json
import time

from case import check, wait_until, work
from fakes import Platform, kill_everywhere


def latest(p):
    return (p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"] or [{}])[0]


def wait_state(p, *states):
    deadline = time.monotonic() + 60
    while latest(p).get("state") not in states:
        check(time.monotonic() < deadline, f"the rehearsal becomes {states}: {latest(p)}")
        time.sleep(0.01)
    return latest(p)


def is_clear(p, what):
    store = p.state / "stores/web"
    check(not list(p.node.glob("web-rehearsal.*")), f"{what}: no VM is left")
    check(not list(store.glob("draft-*")), f"{what}: no draft is left")
    check(not (store / "recipe.new").exists(), f"{what}: no half recipe is left")
    check("MORPHED" not in p.target(), f"{what}: the mirror is as it was")


def ready(folder, **environment):
    p = Platform(work / folder)
    p.start(**environment)
    p.add_source()
    check(p.migrate()["state"] == "mirrored", "the mirror is there")
    return p


p = ready("p", FAKE_MORPH_PAUSE=1)
text = p.cli("rehearse", "web", "--follow")
check("rehearsal passed" in text and "morph" in text and "(agent)" in text, "it tells how it went")
is_clear(p, "passed")
check("--record" in (p.folder / "morph-arguments").read_text(), "a recipe is recorded")
check(p.job()["state"] == "mirrored" and p.job()["rehearsal"]["state"] == "passed", "it is shown")

p.cli("rehearse", "web")
p.guest_writes("while it is rehearsed")
check(p.verb("sync")["generation"] == 1, "a sync goes on meanwhile")
check(wait_state(p, "passed", "failed")["generation"] == 0, "it was of the older generation")

answer = json.loads(p.cli("rehearse", "web", "--keep", "--json", "--follow"))
check(answer["state"] == "kept" and (p.node / "web-rehearsal.state").read_text() == "running",
      "a kept one runs on")
status, answer = p.raw("POST", "/v1/migrations/web/rehearsal")
check(status == 409 and "kept" in answer["error"]["message"], "one at a time")
p.cli("rehearse", "web", "--stop", "--follow")
check(wait_state(p, "passed")["how"] == "agent", "a kept one that is stopped has passed")
is_clear(p, "kept")

(p.node / "fail-wait_up").write_text("the guest does not come up")
says = p.cli("rehearse", "web", "--follow", expect=1)
check(latest(p)["state"] == "failed" and "come up" in latest(p)["error"], "a failure is told")
check("rehearsal failed" in p.cli("status", "web"), "and stands in the status")
is_clear(p, "failed")
(p.node / "fail-wait_up").unlink()

(p.node / "web-rehearsal.xml").write_text("somebody's own VM")
(p.node / "web-rehearsal.state").write_text("running")
p.cli("rehearse", "web", "--follow", expect=1)
check("web-rehearsal" in latest(p)["error"], f"a name that is taken is told: {latest(p)}")
check((p.node / "web-rehearsal.xml").read_text() == "somebody's own VM" and
      (p.node / "web-rehearsal.state").read_text() == "running", "and its VM is left alone")
for path in p.node.glob("web-rehearsal.*"):
    path.unlink()

for body, words in (({"check": "prayer"}, "console:REGEX"), ({"check": "console:("}, "regular"),
                    ({"timeout_s": 0}, "between"), ({"speed": 1}, "speed")):
    status, answer = p.raw("POST", "/v1/migrations/web/rehearsal", json.dumps(body))
    check(status == 400 and words in answer["error"]["message"], f"{body}: {answer}")
check(p.raw("DELETE", "/v1/migrations/web/rehearsal")[0] == 404, "nothing to stop")
check(p.raw("POST", "/v1/migrations/nope/rehearsal")[0] == 404, "no such migration")

p.cli("rehearse", "web")
p.cli("cutover", "web", "--follow")
check(wait_state(p, "stopped", "passed")["active"] is False, "a cutover ends it")
check(p.job()["state"] == "done" and p.target().endswith("MORPHED\n"), "and the VM moves")
check(not list(p.node.glob("web-rehearsal.*")), "no VM of the rehearsal is left")
status, answer = p.raw("POST", "/v1/migrations/web/rehearsal")
check(status == 409 and "done" in answer["error"]["message"], "too late to rehearse")
check(len(p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"]) == 6, "all are remembered")
p.stop()

# The verdict of a port comes from the guest's agent, when that answers.
p = Platform(work / "port")
p.start()
p.add_source()
p.migrate()
(p.node / "listens").write_text("80")
for port, state, word in ((80, "passed", None), (81, "failed", "nobody listens on port 81")):
    p.api("POST", "/v1/migrations/web/rehearsal", {"check": f"port:{port}", "timeout_s": 1})
    wait_until(lambda: not p.job()["rehearsal"]["active"], "it ends")
    job = p.job()["rehearsal"]
    check(job["state"] == state and (word or "") in job.get("error", ""), f"{job}")
# Connected, it is a copy to work with: on the networks it will have, until somebody ends it.
p.api("POST", "/v1/migrations/web/rehearsal", {"keep": True, "connect": True})
wait_until(lambda: p.job()["rehearsal"]["state"] == "kept", "it is kept")
placement = json.loads((p.node / "web-rehearsal.xml").read_text())
check(placement["networks"] == {"default": "default"}, f"{placement}")
p.guest_writes("meanwhile")
check(p.verb("sync")["generation"] == 1, "syncs go on")
p.cli("rehearse", "web", "--stop")
status, answer = p.raw("POST", "/v1/migrations/web/rehearsal", '{"check": "port:0"}')
check(status == 400 and "port:NUMBER" in answer["error"]["message"], f"{answer}")
p.stop()


def story(p):
    """Mirror, one rehearsal, to its end."""
    job = p.job()
    if not p.api("GET", "/v1/sources")["sources"]:
        p.add_source()
    elif not job:
        p.api("POST", "/v1/migrations", {"source": "src", "vm": "web",
                                         "commit_window_s": 0, "name": "web"})
    elif job["state"] == "failed":
        p.verb("sync")
    elif job["state"] == "mirrored" and not job["active"] and not job["rehearsal"]:
        p.api("POST", "/v1/migrations/web/rehearsal")
    elif job["rehearsal"] and not job["rehearsal"]["active"]:
        return True
    time.sleep(0.01)
    return False


def after(p, what):
    is_clear(p, what)
    check(p.job()["rehearsal"]["state"] in ("passed", "stopped"), f"{what}: {p.job()['rehearsal']}")


kill_everywhere(story, after)

# What could not be cleared away is not forgotten: it is tried again when asked, by whatever may not
# be beside it, and before the migration is forgotten.
p = ready("stuck")
broken = p.node / "fail-stop"


def stuck():
    broken.write_text("the node says no")
    wait_until(lambda: p.raw("POST", "/v1/migrations/web/rehearsal")[0] == 202, "it begins")
    wait_until(lambda: p.job()["rehearsal"]["state"] == "discarding" and
               not p.job()["rehearsal"]["active"], "it cannot be cleared away")
    check((p.node / "web-rehearsal.state").exists(), "its VM is still there")


stuck()
status, answer = p.raw("POST", "/v1/migrations/web/rehearsal")
check(status == 409 and "--stop" in answer["error"]["message"], f"no other meanwhile: {answer}")
broken.unlink()
p.cli("rehearse", "web", "--stop")
wait_state(p, "stopped")
is_clear(p, "stopped once more")
stuck()
check(p.verb("cutover")["state"] == "done", "the cutover does not depend on it")
status, answer = p.raw("DELETE", "/v1/migrations/web")
check(status == 409 and "rehearsal" in answer["error"]["message"], f"it is not forgotten: {answer}")
broken.unlink()
status, answer = p.raw("DELETE", "/v1/migrations/web")
check(status == 204, f"now it is: {answer}")
check(not list(p.node.glob("web-rehearsal.*")), "no VM of the rehearsal is left")

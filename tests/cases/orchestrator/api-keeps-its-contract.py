#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""Every route answers as docs/api.yaml says, in status, media type and every member; each status of
an error comes from somewhere; and what is not documented is noticed."""

import errno
import grp
import json
import re

from case import check, run, wait_until, work
from contract import Contract, decode
from fakes import Platform, _Connection, daemon_program

contract = Contract()
p = Platform(work / "p")
said = []


def ask(method, path, body=None, socket=None):
    """(status, body), held against the document."""
    connection = _Connection(str(socket or p.socket))
    text = body if body is None or isinstance(body, bytes) else json.dumps(body)
    connection.request(method, path, text)
    answer = connection.getresponse()
    media = answer.headers["Content-Type"]
    if media == "application/x-ndjson":
        lines = []
        while len(lines) < 3:
            line = answer.fp.readline() if not answer.chunked else answer.readline()
            lines += [json.loads(line)] if line.strip() else []
        connection.close()
        for line in lines:
            said.extend(contract.problems(method, path, answer.status, media, line))
        return answer.status, lines
    decoded = decode(media, answer.read())
    connection.close()
    said.extend(contract.problems(method, path, answer.status, media, decoded))
    return answer.status, decoded


def asked(method, path, status, body=None):
    got, answer = ask(method, path, body)
    check(got == status, f"{method} {path}: {got} instead of {status}: {answer}")
    return answer


# The checker itself: what must be noticed.
good = {"program": "slipwayd", "version": "1", "api": 1}
json_type = "application/json"
check(not contract.problems("GET", "/v1/version", 200, json_type, good), "a good answer is good")
for method, path, status, media, body in (
        ("GET", "/v1/version", 200, json_type, {**good, "extra": 1}),
        ("GET", "/v1/version", 200, json_type, {"program": "slipwayd", "version": "1"}),
        ("GET", "/v1/version", 200, json_type, {**good, "api": "1"}),
        ("GET", "/v1/version", 200, "text/plain", "x"),
        ("GET", "/v1/version", 201, json_type, good),
        ("GET", "/v1/sources/a/vms", 404, json_type, {"error": {"code": 2, "name": "ENOENT"}}),
        ("GET", "/v1/undocumented", 200, json_type, {}),
        ("DELETE", "/v1/sources/a", 204, json_type, {"x": 1})):
    check(list(contract.problems(method, path, status, media, body)),
          f"a wrong answer is noticed: {method} {path} {status} {body}")
contract.seen.clear()

p.start(options=("--read-group", grp.getgrgid(0).gr_name))
asked("GET", "/v1/version", 200)
asked("POST", "/v1/sources", 201, {"name": "src", "uri": f"test://{p.source}"})
asked("POST", "/v1/sources", 201, {"name": "gone", "uri": f"test://{p.source}", "password": "p"})
asked("GET", "/v1/sources", 200)
asked("GET", "/v1/sources/src/vms", 200)
asked("DELETE", "/v1/sources/gone", 204)


def make(name, **params):
    asked("POST", "/v1/migrations", 201, {"source": "src", "vm": "web", "name": name, **params})


def verb(name, word, body=None, status=202, method="POST"):
    asked(method, f"/v1/migrations/{name}/{word}", status, body)
    p.wait_rest(name)


make("later", replicate="later")
asked("PATCH", "/v1/migrations/later", 200, {"priority": 60})
verb("later", "start")
make("web", priority=70)
asked("GET", "/v1/migrations/web", 200)  # as it is at work
p.wait_rest("web")
p.guest_writes("more")
verb("web", "sync")
verb("web", "pause")
verb("web", "resume")
asked("POST", "/v1/migrations/web/rehearsal", 202, {"check": "running", "timeout_s": 60})
asked("GET", "/v1/migrations/web", 200)
wait_until(lambda: not p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"][0]["active"],
           "the rehearsal ends")
asked("GET", "/v1/migrations/web/rehearsals", 200)
asked("POST", "/v1/migrations/web/rehearsal", 202, {"check": "running", "keep": True})
wait_until(lambda: p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"][0]["state"] in
           ("kept", "failed"), "it is kept")
if p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"][0]["active"]:
    asked("DELETE", "/v1/migrations/web/rehearsal", 202)
    wait_until(lambda: not p.api("GET", "/v1/migrations/web/rehearsals")["rehearsals"][0]["active"],
               "and ended")
for part in ("explain", "forecast", "report"):
    asked("GET", f"/v1/migrations/web/{part}", 200)
asked("GET", "/v1/schedule", 200)
asked("PUT", "/v1/limits", 200, {"scope": "all", "rules": [{"syncs": 2}]})
asked("GET", "/v1/limits", 200)
asked("GET", "/v1/status", 200)
asked("DELETE", "/v1/limits", 204, {"scope": "all"})
verb("web", "cutover", {"instant": False})
asked("GET", "/v1/migrations/web", 200)
asked("GET", "/v1/migrations/web/report", 200)
verb("web", "rollback", {})
verb("later", "cutover")
verb("later", "commit")
asked("GET", "/v1/migrations/later", 200)
asked("DELETE", "/v1/migrations/later", 204)
make("instant", instant=True)
p.wait_rest("instant")
(p.source / "fail-snapshot_begin").write_text("the source is \u2028tired")
p.verb("sync", "instant")
asked("GET", "/v1/migrations/instant", 200)  # failed, with its error
(p.source / "fail-snapshot_begin").unlink()
verb("instant", "cancel")
for number in (1, 2):  # a group that comes back, and one that stays
    folder = p.source / f"member{number}"
    folder.mkdir()
    (folder / "power").write_text("running")
    (folder / "vda.img").write_text("start\n")
    p.describe(folder, id=f"9{number}", uuid=f"00000000-0000-0000-0000-{number:012}")
for end in ("rollback", "commit"):
    for number in (1, 2):
        asked("POST", "/v1/migrations", 201, {"source": "src", "vm": f"member{number}",
                                              "name": f"{end}{number}", "group": end})
        p.wait_rest(f"{end}{number}")
    for word in ("sync", "cutover", end):
        asked("GET", "/v1/groups", 200)
        asked("POST", f"/v1/groups/{end}/{word}", 202)
        wait_until(lambda: not any(g["phase"] for g in p.api("GET", "/v1/groups")["groups"]),
                   f"the group's {word} ends")
        for number in (1, 2):
            p.wait_rest(f"{end}{number}")
plan = """\
plan: wave
source: src
networks: {default: default}
defaults: {replicate: later}
vms:
  - name: web
"""
asked("DELETE", "/v1/migrations/instant", 204)
asked("POST", "/v1/plans/check", 200, {"text": plan})
asked("POST", "/v1/plans/check", 200, {"text": "plan: [\n"})
asked("POST", "/v1/plans/simulate", 200, {"text": plan})
asked("POST", "/v1/plans", 400, {"text": "plan: [\n"})
asked("POST", "/v1/plans", 200, {"text": plan})
asked("GET", "/v1/plans", 200)
asked("GET", "/v1/plans/wave", 200)
asked("GET", "/v1/status", 200)
asked("GET", "/v1/migrations", 200)
asked("GET", "/v1/metrics", 200)
asked("GET", "/v1/events?since=0", 200)
asked("GET", "/v1/migrations/web/events?since=0", 200)
for m in p.api("GET", "/v1/migrations")["migrations"]:
    if "cancel" in m["verbs"]:
        p.verb("cancel", m["name"])
for m in p.api("GET", "/v1/migrations")["migrations"]:
    if "remove" in m["verbs"]:
        ask("DELETE", f"/v1/migrations/{m['name']}")
asked("DELETE", "/v1/plans/wave", 204)

# Each status of an error, and from several routes where it is about the request.
for method, path in sorted(contract.operations):
    concrete = path.replace("{name}", "nobody")
    if "{name}" in path:
        asked(method, concrete, 404, {} if method in ("POST", "PATCH") and "plans" not in path and
              path.endswith(("{name}", "cutover", "rollback", "rehearsal")) else None)
    ask(method, concrete, b"{broken")
    if method in ("POST", "PUT"):
        ask(method, concrete, {"no_such_field": 1})
asked("PUT", "/v1/version", 405)
asked("GET", "/v1/nothing", 404)
asked("POST", "/v1/sources", 413, b"x" * ((1 << 20) + 1))
asked("POST", "/v1/sources", 409, {"name": "src", "uri": f"test://{p.source}"})
asked("POST", "/v1/sources", 502, {"name": "x", "uri": "test:///nowhere"})
for code, status in ((errno.ETIMEDOUT, 504), (errno.ENOSPC, 507), (errno.EIO, 500),
                     (errno.EHOSTUNREACH, 502)):
    (p.source / "fail-list").write_text(f"{code} the source says no")
    asked("GET", "/v1/sources/src/vms", status)
(p.source / "fail-list").unlink()
status, _ = ask("POST", "/v1/sources", {"name": "x", "uri": "test:///x"},
                socket=f"{p.socket}.ro")
check(status == 403, f"a reader may not write: {status}")

errors = contract.documented_errors()
provoked = {status for _, _, status in contract.seen if status >= 400} | {404, 405}
check(set(errors) == provoked, f"documented {sorted(errors)}, provoked {sorted(provoked)}")
routes = {tuple(line.split(" ")) for line in
          run(daemon_program, "--dump-routes", quiet=True).splitlines()}
check(routes == set(contract.operations), "every route is in the document, and the other way round")
succeeded = {(method, path) for method, path, status in contract.seen if status < 400}
for method, path in sorted(routes - succeeded):
    said.append(f"{method} {path} was never asked with success: add it to this test")
for sentence in sorted(set(said)):
    print(re.sub(r"[^\x20-\x7e]", "?", sentence)[:400], flush=True)
check(not said, f"{len(set(said))} differences between the answers and docs/api.yaml")

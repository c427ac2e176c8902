#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Bad input, at the API and at the command line: the right status, exit code and sentence, and
nothing has changed."""

import json
import os
import re
import sqlite3
import subprocess

from case import check, source, work
from fakes import Platform, daemon_program

p = Platform(work / "p")


def refused(method, path, body, status, *words):
    text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
    got, answer = p.raw(method, path, text)
    message = (answer or {}).get("error", {}).get("message", "")
    print(f"{method} {path}: {got} {message}")
    check(got == status, f"{method} {path}: status {got}, expected {status}: {answer}")
    for word in words:
        check(word in message, f"{method} {path}: '{word}' is missing in '{message}'")


# Nobody is there yet.
says = p.cli("status", expect=8)
check("systemctl start slipwayd" in says and "--socket" in says, "it says how to start it")
answer = json.loads(p.cli("status", "--json", expect=8))
check(answer["error"]["code"] == "ECONNREFUSED", "also as JSON")

p.start()
refused("POST", "/v1/sources", "{not json", 400, "not valid JSON", "line 1")
refused("POST", "/v1/sources", "[1]", 400, "JSON object")
refused("POST", "/v1/sources", "", 400, "not valid JSON")
refused("POST", "/v1/sources", {"name": "a"}, 400, "'uri' is missing")
refused("POST", "/v1/sources", {"name": "a", "uri": 3}, 400, "'uri'", "a string")
refused("POST", "/v1/sources", {"name": "a", "uri": "x", "colour": 1}, 400, "'colour'",
        "name, uri, password, check")
refused("POST", "/v1/sources", {"name": "../x", "uri": "test:///"}, 400, "'../x'", "letters")
refused("POST", "/v1/sources", {"name": "a", "uri": "vsphere://h"}, 400, "vsphere://h", "test://")
refused("POST", "/v1/sources", {"name": "a", "uri": "test:///nowhere"}, 502, "cannot be reached")
refused("POST", "/v1/sources", b"x" * (1 << 20) + b"x", 413, "1048576")
refused("PUT", "/v1/sources", None, 405, "GET, POST")
refused("GET", "/v1/nothing", None, 404, "/v1/nothing")
refused("GET", "/v1/sources/a/vms", None, 404, "no source named 'a'")
refused("DELETE", "/v1/sources/a", None, 404, "no source named 'a'")
check(p.api("GET", "/v1/sources")["sources"] == [], "nothing was added")

p.add_source()
refused("POST", "/v1/sources", {"name": "src", "uri": f"test://{p.source}"}, 409, "exists already")
good = {"source": "src", "vm": "web"}
refused("POST", "/v1/migrations", {**good, "vm": "nope"}, 404, "no VM 'nope'")
refused("POST", "/v1/migrations", {**good, "source": "nope"}, 404, "no source named 'nope'")
refused("POST", "/v1/migrations", {**good, "speed": 9}, 400, "'speed'", "shutdown_policy")
refused("POST", "/v1/migrations", {**good, "morph_options": "--dhcp"}, 400, "an array")
refused("POST", "/v1/migrations", {**good, "morph_options": ["dhcp"]}, 400, "--dhcp")
refused("POST", "/v1/migrations", {**good, "morph_options": [7]}, 400, "--dhcp")
refused("POST", "/v1/migrations", {**good, "morph_options": ["--disk=/x"]}, 400, "--disk=/x")
refused("POST", "/v1/migrations", {**good, "morph_options": ["--no-such"]}, 400, "unknown option")
refused("POST", "/v1/migrations", {**good, "shutdown_policy": "pray"}, 400, "wait, force, fail")
refused("POST", "/v1/migrations", {**good, "boot_timeout_s": 0}, 400, "between 1 and")
refused("POST", "/v1/migrations", {**good, "pool": "here"}, 400, "absolute")
refused("POST", "/v1/migrations", {**good, "name": "a/b"}, 400, "'a/b'")
refused("POST", "/v1/migrations", {**good, "networks": {"VM Net": "default"}}, 400, "'VM Net'",
        "its networks are default")
refused("POST", "/v1/migrations", {**good, "networks": {"default": "lan"}}, 404, "'lan'")
(p.node / "web.xml").touch()
refused("POST", "/v1/migrations", good, 409, "has a VM named web")
(p.node / "web.xml").unlink()
(p.pool / "web").mkdir()
(p.pool / "web" / "vda.raw").write_text("somebody's")
refused("POST", "/v1/migrations", good, 409, "vda.raw is there already")
check((p.pool / "web/vda.raw").read_text() == "somebody's", "it was not touched")
(p.pool / "web" / "vda.raw").unlink()
check(p.api("GET", "/v1/migrations")["migrations"] == [], "nothing was created")

p.migrate()
refused("POST", "/v1/migrations", good, 409, "migration web exists already")
refused("DELETE", "/v1/sources/src", None, 409, "used by migration web")
refused("DELETE", "/v1/migrations/web", None, 409, "web is mirrored", "done, cancelled")
refused("POST", "/v1/migrations/web/sync", {"now": True}, 400, "'now'", "no fields")
refused("POST", "/v1/migrations/nope/cutover", None, 404, "no migration named 'nope'")
refused("GET", "/v1/migrations/web/events?since=x", None, 400, "since")

# The command line.
check("--password-file" in p.cli("source", "add", "x", "test:///", "--password", "s", expect=2),
      "a password on the command line is refused and the way is named")
p.cli("source", "add", "x", "test:///", "--password=s", expect=2)
p.cli("source", "add", "x", expect=2)
p.cli("frobnicate", expect=2)
p.cli("migrate", "web", expect=2)
p.cli("migrate", "src/web", "--map-network", "x", expect=2)
p.cli("cutover", "nope", expect=3)
p.cli("migrate", "src/web", expect=4)
p.cli("remove", "web", expect=5)

# Passwords: from a file or standard input, kept encrypted in a file of mode 0600, never shown.
(p.source / "password").write_text("open sesame")
p.cli("source", "add", "locked", f"test://{p.source}", expect=1)
(work / "pw").write_text("open sesame\n")
p.cli("source", "add", "locked", f"test://{p.source}", "--password-file", work / "pw")
p.cli("source", "add", "locked2", f"test://{p.source}", "--password-file", "-",
      stdin="open sesame\n")
secret = p.state / "secrets/locked.sealed"
check(b"sesame" not in secret.read_bytes() and secret.stat().st_mode & 0o777 == 0o600, "0600")
check("sesame" not in p.cli("source", "list", "--json"), "it is not shown")
check(b"sesame" not in (p.state / "journal.db").read_bytes(), "it is not in the journal")
p.cli("vm", "list", "locked")
p.cli("source", "remove", "locked")
check(not secret.exists(), "it is removed with its source")
check(p.socket.stat().st_mode & 0o777 == 0o660, "the socket is for root and its group")


def daemon_refuses(code, *words, state=p.state, socket=work / "other.sock"):
    result = subprocess.run([daemon_program, "--state", state, "--socket", socket], text=True,
                            stderr=subprocess.PIPE, timeout=30, check=False)
    print(result.stderr, end="")
    check(result.returncode == code, f"slipwayd ended with {result.returncode}, not {code}")
    for word in words:
        check(word in result.stderr, f"'{word}' is missing in '{result.stderr}'")


daemon_refuses(6, "another slipwayd works on", "--state")
daemon_refuses(6, "another slipwayd listens on", state=work / "st2", socket=p.socket)
p.cli("status")
p.stop()
with sqlite3.connect(p.state / "journal.db") as db:
    db.execute("pragma user_version=99")
daemon_refuses(9, "newer slipwayd", "version 99")
# As the first version wrote it: the first step of the schema, and what fits into that.
code = (source / "orchestrator/journal.c").read_text()
steps = re.search(r"schema\[\] = \{(.*?),\n\n", code, re.S)
with sqlite3.connect(p.state / "old.db") as db:
    db.executescript("".join(re.findall(r'"(.*)"', steps[1])) + "pragma user_version=1")
    db.execute(f"attach '{p.state}/journal.db' as new")
    for table, in db.execute("select name from main.sqlite_master where type='table' and name "
                             "not like 'sqlite%'").fetchall():
        columns = ", ".join(row[1] for row in db.execute(f"pragma main.table_info({table})"))
        db.execute(f"insert into main.{table}({columns}) select {columns} from new.{table}")
db.close()
for suffix in ("-wal", "-shm"):
    (p.state / f"journal.db{suffix}").unlink(missing_ok=True)
os.replace(p.state / "old.db", p.state / "journal.db")
p.start()
check(p.job()["state"] == "mirrored", "with an older version all is as it was")
check(p.api("GET", "/v1/migrations/web/rehearsals") == {"rehearsals": []}, "what is new is there")
p.stop()
size = os.path.getsize(p.state / "journal.db")
with open(p.state / "journal.db", "r+b") as file:
    file.seek(100)
    file.write(b"\xff" * (size - 100))
for suffix in ("-wal", "-shm"):
    (p.state / f"journal.db{suffix}").unlink(missing_ok=True)
daemon_refuses(9, "damaged", "journal.db.backup")
os.replace(p.state / "journal.db.backup", p.state / "journal.db")
p.start()
check(p.job()["state"] == "mirrored", "the backup brings it back")

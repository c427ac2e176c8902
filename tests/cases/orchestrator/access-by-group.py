#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""Root and slipwayd's group may do everything, the reading group may look, others nothing; who
asked for a change is in the log and in the journal."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from case import check, defer, require, work
from fakes import Platform, cli_program

require("root")
WRITERS, READERS, UID = 51001, 51002, 51234

# Somewhere everybody can go, so that only the sockets decide.
open_folder = Path(tempfile.mkdtemp(dir="/tmp"))
defer(lambda: shutil.rmtree(open_folder))
open_folder.chmod(0o755)
shutil.copy(cli_program, open_folder / "slipway")

p = Platform(work / "p")
p.socket = open_folder / "s.sock"
reading = open_folder / "s.sock.ro"
p.start(options=("--group", str(WRITERS), "--read-group", str(READERS)))
p.add_source()


def owner(path):
    s = path.stat()
    return s.st_uid, s.st_gid, s.st_mode & 0o777


check(owner(p.socket) == (0, WRITERS, 0o660), f"the socket: {owner(p.socket)}")
check(owner(reading) == (0, READERS, 0o660), f"the reading socket: {owner(reading)}")


def ask(method, path, groups, uid=UID, gid=UID, at=None):
    """The answer's status for a user with these groups; "refused" when connect() is."""
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_UNIX)\n"
              "try: s.connect(sys.argv[1])\n"
              "except PermissionError: print('refused'); sys.exit()\n"
              "s.sendall((sys.argv[2] + ' HTTP/1.0\\r\\n\\r\\n').encode())\n"
              "print(s.makefile().read())\n")
    answer = subprocess.run(["/usr/bin/python3", "-c", script, at or p.socket, f"{method} {path}"],
                            user=uid, group=gid, extra_groups=groups, cwd="/", text=True,
                            stdout=subprocess.PIPE, check=True, timeout=30).stdout
    print(f"{uid}:{gid}{groups} {method} {path} -> {answer.splitlines()[0]}")
    if answer.startswith("refused"):
        return "refused", ""
    return int(answer.split()[1]), answer


def expect(status, *question, **who):
    got, text = ask(*question, **who)
    check(got == status, f"{question} {who}: {got} instead of {status}: {text}")
    return text


# The file's mode already keeps strangers out, and readers from the socket for changes.
expect("refused", "GET", "/v1/version", [])
expect("refused", "GET", "/v1/version", [READERS])
expect("refused", "GET", "/v1/version", [], at=reading)
expect(200, "GET", "/v1/version", [READERS], at=reading)
expect(200, "GET", "/v1/migrations", [], gid=READERS, at=reading)
says = expect(403, "DELETE", "/v1/sources/src", [READERS], at=reading)
check("may only look" in says and "uid 51234" in says, "it says why")
expect(403, "POST", "/v1/migrations", [WRITERS, READERS], at=reading)
expect(403, "DELETE", "/v1/sources/src", [], uid=0, gid=0, at=reading)
expect(403, "BREW", "/v1/sources/src", [READERS], at=reading)
expect(200, "GET", "/v1/sources", [WRITERS])
expect(404, "DELETE", "/v1/sources/none", [WRITERS])
expect(404, "DELETE", "/v1/sources/none", [], gid=WRITERS)
expect(200, "GET", "/v1/sources", [*range(60000, 60500), WRITERS])
expect(200, "GET", "/v1/sources", [], uid=0, gid=0)

# Without the mode's help the credentials decide all the same.
p.socket.chmod(0o666)
reading.chmod(0o666)
says = expect(403, "GET", "/v1/version", [])
check("may not use slipwayd" in says and "slipway-read" in says, "it says who may")
expect(403, "DELETE", "/v1/sources/src", [])
expect(403, "GET", "/v1/nothing", [], at=reading)
expect(200, "GET", "/v1/version", [READERS])
expect(403, "DELETE", "/v1/sources/src", [READERS])
check(p.api("GET", "/v1/sources")["sources"], "nothing was removed")
p.socket.chmod(0o660)
reading.chmod(0o660)


def cli(groups, *argv):
    result = subprocess.run([open_folder / "slipway", *argv], user=UID, group=UID, cwd="/",
                            extra_groups=groups, text=True, capture_output=True, check=False,
                            env={**os.environ, "SLIPWAY_SOCKET": str(p.socket)}, timeout=30)
    print(groups, argv, result.returncode, result.stdout, result.stderr)
    return result


check(cli([READERS], "source", "list").stdout.startswith("src "), "the command finds PATH.ro")
refused = cli([READERS], "source", "remove", "src")
check(refused.returncode == 1 and "may only look" in refused.stderr, "and is refused there")
refused = cli([], "source", "list")
check(refused.returncode == 1 and "usermod -aG" in refused.stderr, "strangers are told the way")
check(cli([WRITERS], "migrate", "src/web", "--detach").returncode == 0, "the group may migrate")
p.wait_rest()
check(cli([WRITERS], "sync", "web", "--detach").returncode == 0, "and sync")
p.wait_rest()

# Who it was: in the journal, in the events, in the log.
rows = [(m, json.loads(b)) for m, b in p.rows("select migration, body_json from events")
        if json.loads(b)["event"] == "request"]
print(*rows, sep="\n")
asked = [(m, b["method"], b["path"], b["who"], b["uid"]) for m, b in rows]
check((None, "POST", "/v1/sources", "root", 0) in asked, "the source was added by root")
check((None, "POST", "/v1/migrations", "uid 51234", 51234) in asked, "the migration by the user")
check(("web", "POST", "/v1/migrations/web/sync", "uid 51234", 51234) in asked, "so was the sync")
check(not [a for a in asked if a[1] == "GET"], "looking is not recorded")
check(not [a for a in asked if a[2] == "/v1/sources/src"], "nor is what was refused")
log = (p.folder / "daemon.log").read_text()
check("POST /v1/migrations/web/sync by uid 51234: taken" in log, "the log says it")
check("DELETE /v1/sources/src by uid 51234: uid 51234 may only look" in log, "refusals too")

p.stop()
check(not p.socket.exists() and not reading.exists(), "the sockets go with slipwayd")
p.start(expect_ready=False, options=("--group", "no-such-group"))
check(p.daemon.wait(20) == 3, "a group that is not there keeps slipwayd from starting")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""A source's password is nowhere to be found in the open, through the whole life of its migration:
not in the state folder, the journal, the log at debug level, events, answers, command lines and
environments of processes, nor in a core dump, which is not written."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess

from case import check, require, work
from fakes import Platform, daemon_program

require("root")
PASSWORD = "correct-horse-battery"
SPELLINGS = [PASSWORD.encode(enc) for enc in ("utf-8", "utf-16-le")] + \
            [b"Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5", PASSWORD.encode().hex().encode()]

p = Platform(work / "p")
(p.source / "password").write_text(PASSWORD)
password_file = work / "pw"
password_file.write_text(PASSWORD + "\n")
places = 0


def leaks(data):
    return any(spelling in data for spelling in SPELLINGS)


def look(data, where):
    global places
    places += 1
    check(not leaks(data), f"the password is in {where}")


def look_everywhere(when):
    """Everything that slipwayd wrote, and all that other users could see of processes."""
    for folder in (p.state, p.pool, p.node):
        for path in folder.rglob("*"):
            if path.is_file():
                look(path.read_bytes(), f"{path} {when}")
    look((p.folder / "daemon.log").read_bytes(), f"the log {when}")
    for what in ("cmdline", "environ"):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/{what}", "rb") as file:
                    look(file.read(), f"/proc/{pid}/{what} {when}")
            except OSError:
                continue
    if p.daemon.poll() is not None:
        return
    for path in ("sources", "sources/locked/vms", "migrations", "migrations/web",
                 "migrations/web/report"):
        look(json.dumps(p.api("GET", "/v1/" + path)).encode(), f"{path} {when}")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(p.socket))
        s.sendall(b"GET /v1/events?since=0 HTTP/1.0\r\n\r\n")
        s.settimeout(0.3)
        text = b""
        try:
            while part := s.recv(65536):
                text += part
        except TimeoutError:
            pass
        look(text, f"the events {when}")


check(leaks(password_file.read_bytes()), "the search would find it")
p.start()
p.cli("source", "add", "locked", f"test://{p.source}", "--password-file", password_file)
refusals = [p.raw("POST", "/v1/sources", text) for text in (
    json.dumps({"name": "locked", "uri": f"test://{p.source}", "password": PASSWORD}),
    json.dumps({"name": "l2", "uri": "test:///nowhere", "password": PASSWORD}),
    json.dumps({"name": "l3", "uri": "vsphere://x", "password": PASSWORD}),
    json.dumps({"name": "../l4", "uri": "test:///", "password": PASSWORD}),
    json.dumps({"name": "l5", "uri": "test:///", "password": PASSWORD, "colour": 1}),
    '{"name": "l6", "password": "' + PASSWORD + '", ')]
check(all(status >= 400 for status, _ in refusals), "they are refused")
look(json.dumps(refusals).encode(), "refusals")
look_everywhere("behind source add")
p.api("POST", "/v1/migrations", {"source": "locked", "vm": "web", "commit_window_s": 0})
check(p.wait_rest()["state"] == "mirrored", "the password opens the source")
look_everywhere("behind the first sync")
p.kill()
p.start()
p.verb("sync")
look_everywhere("behind a kill")
p.stop()


def rotate(expect=0):
    result = subprocess.run([daemon_program, "--state", p.state, "--rotate-key"], text=True,
                            capture_output=True, check=False, timeout=30)
    print(result.stdout, result.stderr)
    check(result.returncode == expect, f"--rotate-key ended with {result.returncode}")
    return result.stdout + result.stderr


sealed, key = p.state / "secrets/locked.sealed", p.state / "secrets/key"
before = sealed.read_bytes(), key.read_bytes()
check("1 secrets" in rotate(), "it says how many")
check(before[0] != sealed.read_bytes() and before[1] != key.read_bytes(), "both are new")
p.start(CREDENTIALS_DIRECTORY=work)  # without a credential for us
check("another slipwayd" in rotate(expect=6), "not while slipwayd runs")
p.verb("cutover")
check(p.job()["state"] == "done", "the new key opens it")
look_everywhere("behind the cutover")

# A core dump: a program of the same kind writes one here, slipwayd does not.


def aborted(process):
    process.send_signal(signal.SIGABRT)
    status = os.waitpid(process.pid, 0)[1]
    process.returncode = -signal.SIGABRT
    check(os.WTERMSIG(status) == signal.SIGABRT, "it was aborted")
    return os.WCOREDUMP(status)


p.stop()
limits = resource.getrlimit(resource.RLIMIT_CORE)
os.chdir(work)
try:
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        print("core dumps are written here:", aborted(sleeper))
    p.start()
    check(not aborted(p.daemon), "no core of slipwayd is written")
finally:
    resource.setrlimit(resource.RLIMIT_CORE, limits)
p.start()
dumpable = subprocess.run(["stat", "-c", "%u %a", f"/proc/{p.daemon.pid}/environ"], text=True,
                          capture_output=True, check=True).stdout
print("owner and mode of its environ:", dumpable)

# What went wrong with the files is said, and what to do.
p.stop()


def says(word):
    status, answer = p.raw("GET", "/v1/sources/locked/vms")
    message = answer.get("error", {}).get("message", "")
    print(status, message)
    check(status >= 400 and word in message and "locked" in message, f"{word}: {message}")


good = sealed.read_bytes()
sealed.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
p.start()
says("damaged")
p.stop()
sealed.write_bytes(good)
key.rename(work / "key")
p.start()
says("slipway-key-old")
p.stop()
key.write_bytes(b"short")
key.chmod(0o600)
p.start(expect_ready=False)
check(p.daemon.wait(20) == 9, "a key that is none keeps slipwayd from starting")
check("5 bytes instead of 32" in (p.folder / "daemon.log").read_text(), "it says so")

# The key as a credential takes the place of the file's.
shutil.copy(work / "key", key)
credentials = work / "credentials"
credentials.mkdir()
(credentials / "slipway-key").write_bytes(os.urandom(32))
p.start(CREDENTIALS_DIRECTORY=credentials)
p.cli("vm", "list", "locked")
check(not key.exists() and sealed.read_bytes() != good, "encrypted with the credential")
p.stop()

# A password that an earlier version kept in the open.
sealed.unlink()
plain = p.state / "secrets/locked"
plain.write_text(PASSWORD)
p.start(CREDENTIALS_DIRECTORY=credentials)
check(sealed.exists() and not plain.exists(), "it is encrypted now")
p.cli("vm", "list", "locked")
look_everywhere("when it was taken over")
p.cli("remove", "web")
p.cli("source", "remove", "locked")
check(not sealed.exists(), "it goes with its source")
look_everywhere("in the end")
p.stop()
print(places, "places looked at")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""--json of every verb: errors are JSON on standard output, wrong use too, and nothing else is
there; the exit code is that of the error.  On a terminal what is begun is followed with a bar."""

import json
import os
import subprocess

import manual
from case import check, run, work
from fakes import Platform, cli_program
from screen import Screen

CODES = {"EINVAL": 2, "ENOENT": 3, "EEXIST": 4, "EPERM": 5, "EBUSY": 6, "ECONNREFUSED": 8}
ARGUMENTS = {"source add": ["src2", "test:///nowhere"], "migrate": ["src/nobody"],
             "limit set": ["source", "nobody", "--syncs", "1"], "limit clear": ["source", "nobody"],
             "set": ["nobody", "--priority", "1"]}

p = Platform(work / "p")
plan = work / "plan.yaml"
plan.write_text("plan: p\nsource: nobody\nvms:\n  - match: '*'\n")


def call(*argv):
    result = subprocess.run([cli_program, *argv], text=True, capture_output=True, check=False,
                            stdin=subprocess.DEVNULL, timeout=60,
                            env={**os.environ, "SLIPWAY_SOCKET": str(p.socket)})
    print(f"+ slipway {' '.join(map(str, argv))}: {result.returncode} {result.stderr}", flush=True)
    try:
        return result.returncode, json.loads(result.stdout) if result.stdout else None
    except json.JSONDecodeError:
        check(False, f"slipway {argv}: not one JSON value: {result.stdout[:300]}")


def arguments(verb, usage):
    if verb in ARGUMENTS:
        return ARGUMENTS[verb]
    words = usage.removeprefix(f"slipway {verb}").split()
    return [str(plan) if word == "FILE" else "nobody" for word in words
            if word.isupper() and word[0] != "["]


overview = run(cli_program, "--help", quiet=True)
verbs = {}
for verb in sorted(manual.help_verbs(overview) - {"engine", "mount"}):
    usage = run(cli_program, *verb.split(), "--help", quiet=True).splitlines()[0]
    verbs[verb] = arguments(verb, usage)

LOCAL = {"diff", "plan schema", "plan simulate", "plan check"}  # work without slipwayd, too
for verb, argv in verbs.items():
    code, answer = call(*verb.split(), "--no-such-option", "--json")
    check(code == 2 and answer["error"]["code"] == "EINVAL", f"{verb}: wrong use, as JSON")
    code, answer = call(*verb.split(), *(argv or ["too", "many"]), *["x"] * 9, "--json")
    check(code == 2 and answer["error"]["code"] == "EINVAL", f"{verb}: too many arguments")
    code, answer = call(*verb.split(), *argv, "--json")
    if verb not in LOCAL:
        check(code == 8 and answer["error"]["code"] == "ECONNREFUSED", f"{verb}: no slipwayd")

p.start()
p.add_source()
for verb, argv in verbs.items():
    code, answer = call(*verb.split(), *argv, "--json")
    if code:
        name = answer["error"]["code"] if "error" in answer else None
        check(name is None or CODES.get(name, 1) == code, f"{verb}: {name} and {code}")
        check(name is None or answer["error"]["message"], f"{verb}: with a sentence")
for argv in (("nonsense",), ("source",), ("source", "nonsense"), ("plan",)):
    code, answer = call(*argv, "--json")
    check(code == 2 and answer["error"]["code"] == "EINVAL", f"{argv}: no such verb, as JSON")

# What works.
for argv in (("source", "list"), ("vm", "list", "src"), ("status",), ("limit", "list"),
             ("plan", "list"), ("group", "list"), ("explain",), ("report",)):
    code, answer = call(*argv, "--json")
    check(code == 0 and isinstance(answer, (dict, list)), f"{argv}")
code, answer = call("migrate", "src/web", "--name", "web", "--follow", "--json")
check(code == 0 and answer["state"] == "mirrored", "followed to the end")
code, answer = call("migrate", "src/web", "--name", "web", "--json")
check(code == 4 and answer["error"]["code"] == "EEXIST", "exists")
code, answer = call("sync", "web", "--follow", "--json")
check(code == 0 and answer["generation"] == 1, "synced")
p.stop()

# On a terminal: one line that is drawn again, with rate and time left; elsewhere lines.
p.start(FAKE_SYNC_STEPS=30, FAKE_SYNC_PAUSE=0.08)
screen = Screen([cli_program, "migrate", "src/web", "--name", "bar"], SLIPWAY_SOCKET=str(p.socket))
check(screen.ended() == 0, "it ends well")
text = screen.text()
check("bar: syncing" in text and "[###" in text and "ETA 0:0" in text and "/s" in text,
      f"a bar with rate and time left: {text!r}")
check(text.count("\r\033[K") > 5 and "bar: mirrored" in text, "in one line, then the outcome")
lines = subprocess.run([cli_program, "sync", "bar", "--follow"], text=True, capture_output=True,
                       check=True, env={**os.environ, "SLIPWAY_SOCKET": str(p.socket)})
check("\033" not in lines.stdout + lines.stderr and "bar: mirrored" in lines.stdout,
      f"lines: {lines}")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 180
"""slipway status --watch on a terminal: a table that lives, fits, never lets a name steer the
terminal, and gives the terminal back on every way out; lines and JSON elsewhere."""

import json
import os
import re
import signal
import subprocess
import time
import unicodedata

from case import check, wait_until, work
from fakes import Platform, cli_program
from screen import Screen, stray_controls

p = Platform(work / "p")


def add_vm(vm, **changes):
    folder = p.source / vm
    folder.mkdir()
    (folder / "power").write_text("running")
    (folder / "vda.img").write_text("start\n")
    p.describe(folder, **changes)
    return folder


for n in range(8):
    add_vm(f"vm{n}")
NAME = "x\033]0;owned\a\033[2J\u202e日本"
hostile = add_vm(NAME)
p.describe(p.vm, name=NAME)
p.start(options=("--max-syncs", "4"), FAKE_SYNC_STEPS=24, FAKE_SYNC_PAUSE=0.05)
p.add_source()
environment = {"SLIPWAY_SOCKET": str(p.socket)}


def watch(*argv, **size):
    return Screen([cli_program, "status", "--watch", *argv], **size, **environment)


def width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF"
               else 1 for c in line)


def fits(screen, page):
    return 0 < len(page) <= screen.lines and all(width(line) <= screen.columns for line in page)


# It lives: appears, moves, comes to rest, goes away.
screen = watch(columns=110, lines=20)
screen.wait(lambda page: page and "0 migrations" in page[0], "an empty table")
for n in range(8):
    p.api("POST", "/v1/migrations", {"source": "src", "vm": f"vm{n}"})
page = screen.wait(lambda page: any(re.search(r"syncing .*\[#+ *\] +\d+% .*/s", line)
                                    for line in page), "a bar with percent and rate")
check(page[1].split()[:3] == ["NAME", "STATE", "PROGRESS"], f"titles: {page[1]}")
screen.wait(lambda page: any("queued" in line for line in page), "who waits is shown")
screen.wait(lambda page: any("mirrored" in line for line in page), "states change")
for n in range(8):
    p.wait_rest(f"vm{n}")
screen.wait(lambda page: sum("mirrored" in line for line in page) == 9, "all are mirrored")
p.api("POST", "/v1/migrations/vm3/cancel")
p.wait_rest("vm3")
p.api("DELETE", "/v1/migrations/vm3")
page = screen.wait(lambda page: not any("vm3" in line for line in page), "the removed one is gone")
check([line.split()[0] for line in page[2:]] == [f"vm{n}" for n in range(8) if n != 3],
      f"sorted by name: {page}")

# Not more often than five times a second, and whole pages only.
before, begun = len(screen.pages()), time.monotonic()
for n in (0, 1):
    p.api("POST", f"/v1/migrations/vm{n}/sync")
    p.wait_rest(f"vm{n}")
screen.read(0.5)
drawn, seconds = len(screen.pages()) - before, time.monotonic() - begun
check(drawn <= 5 * seconds + 2, f"{drawn} pages in {seconds:.1f} s")

# The terminal becomes narrow, then short, then both.
for columns, lines in ((34, 20), (110, 5), (20, 3), (5, 1), (200, 50)):
    screen.resize(columns, lines)
    count = len(screen.pages())
    wait_until(lambda: len(screen.pages()) > count and
               max(map(width, screen.page())) == columns, f"drawn for {columns}x{lines}")
    check(fits(screen, screen.page()), f"fits {columns}x{lines}: {screen.page()}")
    if (columns, lines) == (110, 5):
        check(re.search(r"5 more \(5 mirrored\)", screen.page()[-1]), f"the rest: {screen.page()}")

# slipwayd goes away and comes back.
p.kill()
screen.wait(lambda page: "slipwayd" in page[-1] and len(page) > 8, "the loss is told")
p.start(options=("--max-syncs", "4"), FAKE_SYNC_STEPS=24, FAKE_SYNC_PAUSE=0.05)
screen.wait(lambda page: len(page) == 9, "and that it is back")
p.api("POST", "/v1/migrations/vm0/sync")
screen.wait(lambda page: any("syncing" in line for line in page), "the table lives on")
p.wait_rest("vm0")

# A hostile name, and an error text with it.
p.api("POST", "/v1/migrations", {"source": "src", "vm": NAME, "name": "evil"})
(hostile / "vda.img").unlink()
p.wait_rest("evil")
p.api("POST", "/v1/migrations/evil/sync")
p.wait_rest("evil")
check(p.job("evil")["state"] == "failed", "the evil one fails")
screen.wait(lambda page: any("evil" in line and "failed" in line for line in page), "it is shown")
check(screen.page()[2].startswith("evil"), "a failure is on top")
screen.type("q")
check(screen.ended() == 0, "q ends it")
check(stray_controls(screen.text()) == [], f"no stray controls: {stray_controls(screen.text())}")
check(screen.is_given_back(), "the terminal is as before")
plain = Screen([cli_program, "status", "evil"], **environment)
check(plain.ended() == 0 and stray_controls(plain.text()) == [], "nor without --watch")
plain = Screen([cli_program, "vm", "list", "src"], **environment)
check(plain.ended() == 0 and stray_controls(plain.text()) == [], "nor in vm list")
ascii_only = watch("evil", LC_ALL="C")
ascii_only.wait(lambda page: len(page) == 3, "one migration alone")
ascii_only.type("q")
ascii_only.ended()
check(ascii_only.text().isascii(), "ASCII where the terminal knows nothing else")

# Every way out gives the terminal back.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
               signal.SIGABRT):
    screen = watch()
    screen.wait(lambda page: len(page) > 2, "the table is there")
    screen.process.send_signal(number)
    check(screen.ended() == -number, f"{number.name} ends it, as that signal")
    check(screen.is_given_back(), f"{number.name}: the terminal is as before")
screen = watch()
screen.wait(lambda page: len(page) > 2, "the table is there")
os.kill(screen.process.pid, signal.SIGTSTP)
# The kernel does not stop a process group that nobody would continue; all else is as with a shell.
wait_until(lambda: screen.text().count("\033[?1049h") == 2, "given back, and taken again")
check(screen.text().count("\033[?1049l") == 1, "^Z: the terminal was the shell's")
screen.type("q")
check(screen.ended() == 0 and screen.is_given_back(), "and can be left")
gone = Screen([cli_program, "status", "--watch", "nobody"], **environment)
check(gone.ended() == 3 and "\033[?1049h" not in gone.text(), "an error does not take the terminal")
dumb = Screen([cli_program, "status", "--watch"], **environment, TERM="dumb")
wait_until(lambda: "NAME" in dumb.text(), "lines on a dumb terminal")
check("\033[?" not in dumb.text(), "without sequences")
dumb.end()

# Off a terminal: lines, and JSON.
for argv in ((), ("--json",)):
    out = open(work / "lines", "w+", encoding="utf-8")
    process = subprocess.Popen([cli_program, "status", "--watch", *argv], stdout=out,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, **environment})
    wait_until(lambda: "vm1" in (work / "lines").read_text(), "what there is comes first")
    p.api("POST", "/v1/migrations/vm1/sync")
    p.wait_rest("vm1")
    wait_until(lambda: (work / "lines").read_text().count("mirrored") > 7, "then what happens")
    process.terminate()
    process.wait()
    lines = (work / "lines").read_text().splitlines()
    check("\033" not in "".join(lines), "no sequences in a file")
    if argv:
        decoded = [json.loads(line) for line in lines if line]
        check(len(decoded[0]["migrations"]) == 8 and decoded[1]["event"] == "hello" and
              decoded[1]["epoch"] == decoded[0]["epoch"], "a snapshot, then events")
        check(any(e.get("state") == "syncing" for e in decoded[2:]), "with the states")

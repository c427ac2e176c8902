#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""One slipwayd per state folder, also of many that are started at once; a journal that is damaged
or of a newer version is left as it is, the sentence says how to go on, and that works."""

import shutil
import sqlite3
import subprocess

from case import check, stop, wait_until, work
from fakes import Platform, daemon_program

p = Platform(work / "p")
journal, backup = p.state / "journal.db", p.state / "journal.db.backup"


def begin(number, state):
    with open(work / f"log{number}", "wb") as log:
        # pylint: disable=consider-using-with
        return subprocess.Popen([daemon_program, "--state", state, "--socket",
                                 work / f"s{number}.sock", "--node", f"test://{p.node}"],
                                stdin=subprocess.DEVNULL, stderr=log)


# Six at once on a folder that is not there yet, one of them by another name for it.
(work / "link").symlink_to(work / "shared")
(work / "shared").mkdir()
many = [begin(n, work / ("link" if n == 3 else "shared")) for n in range(6)]
try:
    wait_until(lambda: sum(one.poll() is not None for one in many) == 5, "five give up", timeout=30)
    check(all(one.poll() in (None, 6) for one in many), "with the exit code for that")
    winner = next(n for n, one in enumerate(many) if one.poll() is None)
    wait_until((work / f"s{winner}.sock").exists, "the one that is left can be used")
    check(many[winner].poll() is None, "and stays")
    says = (work / f"log{(winner + 1) % 6}").read_text()
    check("another slipwayd works on" in says and "--state" in says, f"the others say why: {says}")
    many[winner].kill()
    many[winner].wait()
    many.append(begin(7, work / "shared"))
    wait_until((work / "s7.sock").exists, "killed, it makes room at once")
finally:
    for one in many:
        stop(one)

p.start()
p.add_source()
p.migrate()
p.stop()
p.start()  # the backup is of the start
p.stop()
good, kept = journal.read_bytes(), backup.read_bytes()


def refuses(what, *words):
    """slipwayd does not start on the journal as it is, and touches neither that nor the copy."""
    before = journal.read_bytes()
    result = subprocess.run([daemon_program, "--state", p.state, "--socket", work / "o.sock"],
                            text=True, capture_output=True, check=False, timeout=30)
    print(f"{what}: {result.returncode} {result.stderr}", end="")
    check(result.returncode == 9, f"{what}: ended with {result.returncode}, not 9")
    for word in words:
        check(word in result.stderr, f"{what}: '{word}' is missing in: {result.stderr}")
    check(journal.read_bytes() == before, f"{what}: the journal is as it was")
    check(backup.read_bytes() == kept, f"{what}: the backup is as it was")
    for suffix in ("-wal", "-shm"):
        (p.state / f"journal.db{suffix}").unlink(missing_ok=True)
    journal.write_bytes(good)


def flipped(data, at):
    return data[:at] + bytes(255 - b for b in data[at:at + 2000]) + data[at + 2000:]


for name, data in {"empty": b"", "garbage": b"\xa5" * 30000, "text": b"hello\n",
                   "half": good[:8192], "a few bytes": good[:50], "a page": flipped(good, 4096),
                   "the head": flipped(good, 20), "zeros": bytes(len(good))}.items():
    journal.write_bytes(data)
    refuses(name, str(journal), "damaged", "journal.db.backup", "start anew")
with sqlite3.connect(journal) as db:
    db.execute("pragma user_version=99")
db.close()
refuses("newer", "newer slipwayd", "version 99", "install that version", "--state")

# The first way out: the backup in its place.
journal.unlink()
shutil.copy(backup, journal)
p.start()
check(p.job()["state"] == "mirrored", "the backup brings all back")
p.stop()

# The other one: start anew.  What the backup had is not lost by that, nor by starting once more.
kept = backup.read_bytes()
journal.rename(work / "moved-away")
for _ in range(2):
    p.start()
    check(p.api("GET", "/v1/migrations")["migrations"] == [], "nothing is known any more")
    p.stop()
older = [path for path in p.state.glob("journal.db.backup*") if path != backup]
check(len(older) == 1 and older[0].read_bytes() == kept, f"the old backup is kept: {older}")
older[0].replace(journal)
p.start()
check(p.job()["state"] == "mirrored", "and can be gone back to")
check(p.verb("sync")["state"] == "mirrored", "it goes on from there")

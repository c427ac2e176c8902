#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""Started by systemd, slipwayd's messages reach the journal with the id of their kind and the names
of migration and source; without a journal each line says its kind.  slipwayd(8) lists the kinds."""

import os
import re
import socket
import subprocess
import threading

from case import check, require, skip, source, wait_until, work
from fakes import Platform, daemon_program

require("root", "unshare")
if subprocess.run(["unshare", "-m", "true"], check=False).returncode:
    skip("no mount namespace can be made here")

# A journal of our own at the place where systemd's is, seen by slipwayd alone.
folder = work / "journal"
folder.mkdir()
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind(str(folder / "socket"))
program = work / "slipwayd"
program.write_text(f"""#!/bin/sh
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal &&
mount --bind {folder} /run/systemd/journal && exec {daemon_program} "$@"
""")
program.chmod(0o755)


got = []  # the messages, as dictionaries


def read():
    while True:
        lines = journal.recv(65536).decode().splitlines()
        got.append(dict(line.split("=", 1) for line in lines))


threading.Thread(target=read, daemon=True).start()


class InNamespace(Platform):
    def start_there(self):
        log = self.folder / "daemon.log"
        log.touch()
        st = log.stat()
        with open(log, "ab") as file:
            # pylint: disable=consider-using-with
            self.daemon = subprocess.Popen(
                ["unshare", "-m", program, "--state", self.state, "--socket", self.socket, "--pool",
                 self.pool, "--node", f"test://{self.node}"], stderr=file,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "SLIPWAY_LIBEXEC": str(self.libexec),
                     "JOURNAL_STREAM": f"{st.st_dev}:{st.st_ino}"})
        wait_until(self.socket.exists, "slipwayd is ready")


p = InNamespace(work / "p")
p.start_there()
p.add_source()
p.migrate()
p.verb("sync")
(p.source / "fail-snapshot_begin").write_text("no more")
p.verb("sync")
p.stop()
wait_until(lambda: any(m["SLIPWAY_KIND"] == "ending" for m in got), "the last message")
print(*got, sep="\n")
check((p.folder / "daemon.log").read_text() == "", "nothing goes to standard error")
kinds = dict(re.findall(r'LOG_KIND_\w+ "([a-z-]+)", "([0-9a-f]{32})"',
                        (source / "orchestrator/logkind.h").read_text()))
check(len(kinds) > 10 and len(set(kinds.values())) == len(kinds), "each kind has an id of its own")
for message in got:
    check(message["SYSLOG_IDENTIFIER"] == "slipwayd" and message["PRIORITY"] in "346", f"{message}")
    check(message.get("MESSAGE_ID") == kinds[message["SLIPWAY_KIND"]], f"its id: {message}")


def find(kind, text):
    for message in got:
        if message["SLIPWAY_KIND"] == kind and text in message["MESSAGE"]:
            return message
    check(False, f"there is a message of the kind {kind} with '{text}'")
    return None


find("ready", "ready on")
find("ending", "ending")
find("request", "POST /v1/migrations/web/sync by root: taken")
for message in (find("transition", "syncing -> mirrored"), find("failure", "no more")):
    check(message["SLIPWAY_MIGRATION"] == "web" and message["SLIPWAY_SOURCE"] == "src", "its names")
check(find("failure", "no more")["PRIORITY"] == "4", "a failure is a warning")

manual = (source / "orchestrator/slipwayd.md").read_text()
for kind, number in kinds.items():
    check(f"| {kind} | {number} |" in manual, f"slipwayd(8) lists {kind}")

# Without a journal, and with a JOURNAL_STREAM that is not ours.
(p.source / "fail-snapshot_begin").unlink()
p.start(JOURNAL_STREAM="1:1")
p.stop()
log = (p.folder / "daemon.log").read_text()
check(re.search(r"^\d\d:\d\d:\d\d\.\d{3} slipwayd info: \[ready\] ready on ", log, re.M), log)

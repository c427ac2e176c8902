#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""The stream of events: live, replayed from a number, of one migration only, ended by slipwayd."""

import json
import socket
import threading

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "p")
p.start(FAKE_SYNC_STEPS=30, FAKE_SYNC_PAUSE=0.05)
p.add_source()


def listen(path, into):
    """Reads a stream into a list in the background, as curl would."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(p.socket))
    s.sendall(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    s.settimeout(5)
    check(s.recv(1, socket.MSG_PEEK) == b"H", "the stream has begun before anything happens")
    s.settimeout(None)

    def read():
        with s, s.makefile("r", encoding="utf-8") as file:
            for line in file:
                event = json.loads(line) if line.startswith("{") else {}
                if event.get("event") not in (None, "hello", "reset", "migration"):
                    into.append(event)
        into.append({"event": "END"})

    threading.Thread(target=read, daemon=True).start()


def states(events):
    return [e["state"] for e in events if e["event"] == "state"]


live = []
listen("/v1/events", live)
p.api("GET", "/v1/version")
p.migrate()
wait_until(lambda: "mirrored" in states(live), "the stream tells of mirrored")
check(states(live) == ["created", "preparing", "syncing", "mirrored"], f"in order: {states(live)}")
progress = [e for e in live if e["event"] == "progress"]
check(progress and all(e["migration"] == "web" and e["total_bytes"] > 0 for e in progress),
      "progress was told")
check(all("seq" in e for e in live if e["event"] == "state"), "lasting events are numbered")

again, tail, other = [], [], []
listen("/v1/migrations/web/events?since=0", again)
wait_until(lambda: len(states(again)) == 4, "the journal is replayed")
listen(f"/v1/events?since={again[1]['seq']}", tail)
wait_until(lambda: len(states(tail)) == 2, "the rest of it too")
p.api("POST", "/v1/migrations", {"source": "src", "vm": "web",
                                 "commit_window_s": 0, "name": "other"})
listen("/v1/migrations/other/events", other)
p.wait_rest("other")
wait_until(lambda: "mirrored" in states(live[-4:]), "live goes on")
check(states(again) == ["created", "preparing", "syncing", "mirrored"], "only of this migration")
check(all(e["migration"] == "other" for e in other), "only of the other one")
p.stop()
for events in (live, again, tail, other):
    wait_until(lambda: events[-1]["event"] == "END", "the stream ends with slipwayd", timeout=5)
p.start()
after = []
listen("/v1/events?since=0", after)
wait_until(lambda: len(states(after)) == 8, "events outlive slipwayd")
numbers = [e["seq"] for e in after]
check(numbers == sorted(set(numbers)), "each once, in order")

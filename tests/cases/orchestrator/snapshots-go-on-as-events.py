#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 240
"""A client that takes one snapshot and then only listens has, at the end, what a new snapshot
shows; and one that counts numbered events misses none and gets none twice: with 50 migrations, over
two kill -9 of slipwayd."""

import json
import socket
import threading
import time

from case import check, wait_until, work
from fakes import Platform

COUNT = 50

p = Platform(work / "p")
settings = {"FAKE_SYNC_STEPS": 4, "FAKE_SYNC_PAUSE": 0.05}
p.start(options=("--max-syncs", "8"), **settings)
p.add_source()


class Listener(threading.Thread):
    """Keeps a stream open; connects again when slipwayd has gone."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ended = False
        self.problems = []

    def where(self):
        raise NotImplementedError

    def take(self, event):
        raise NotImplementedError

    def run(self):
        while not self.ended:
            try:
                self.listen()
            except OSError:
                pass
            time.sleep(0.02)

    def listen(self):
        since = self.where()
        if since is None:
            return
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(p.socket))
            s.sendall(f"GET /v1/events?since={since} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
            with s.makefile("r", encoding="utf-8", errors="strict") as file:
                for line in file:
                    if line.startswith("{") and line.endswith("}\n") and \
                            self.take(json.loads(line)) == "again":
                        return


class Model(Listener):
    """What a snapshot shows, kept up to date."""

    def __init__(self):
        super().__init__()
        self.migrations, self.sources, self.limits = {}, {}, []
        self.cursor = self.epoch = self.tick = None
        self.snapshots = self.lost = 0

    def where(self):
        if not self.cursor:
            status, answer = p.raw("GET", "/v1/status")
            if status != 200:
                return None
            self.snapshots += 1
            self.migrations = {m["name"]: m for m in answer["migrations"]}
            self.sources = {s["name"]: s for s in answer["sources"]}
            self.limits = answer["limits"]
            self.cursor, self.epoch = answer["cursor"], answer["epoch"]
            self.tick = int(self.cursor.split(".")[1])
        return self.cursor

    def take(self, event):
        kind = event["event"]
        if kind == "reset" or (kind == "hello" and event["epoch"] != self.epoch):
            self.lost += 1
            self.cursor = None
            return "again"
        if kind == "hello":
            return None
        if event["tick"] != self.tick:
            self.problems.append(f"tick {event['tick']} instead of {self.tick}")
        self.tick = event["tick"] + 1
        number = event.get("seq", event.get("generation"))
        self.cursor = f"{number}.{self.tick}.{self.epoch}"
        name = event.get("migration")
        if kind == "migration":
            known = self.migrations.setdefault(name, {})
            known.update(event["set"])
            for gone in event.get("unset", ()):
                del known[gone]
        elif kind == "progress" and name in self.migrations:
            self.migrations[name]["progress"] = {key: event[key] for key in event
                                                 if key.endswith(("bytes", "_s", "phase"))}
        elif kind == "removed":
            del self.migrations[name]
        elif kind == "limits":
            self.limits = event["limits"]
        elif kind == "source":
            self.sources[event["source"]["name"]] = event["source"]
        elif kind == "source-removed":
            del self.sources[event["source"]]
        return None


class Counter(Listener):
    """Only the numbered ones, by the number alone."""

    def __init__(self):
        super().__init__()
        self.seen = [0]
        self.hellos = set()

    def where(self):
        return self.seen[-1]

    def take(self, event):
        if event["event"] == "hello":
            self.hellos.add(event["epoch"])
        if event["event"] == "reset" and event["lost"] == "events":
            self.problems.append("numbered events were lost")
        if "seq" in event:
            self.seen.append(event["seq"])


def settled(migration):
    """Without what changes only because time goes on."""
    return {key: value for key, value in migration.items() if key != "forecast"}


model, counter = Model(), Counter()
model.start()
counter.start()
names = [f"m{n:02}" for n in range(COUNT)]
for name in names[:COUNT // 2]:
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": name})


def mirrored():
    return sum(m["state"] == "mirrored" for m in p.api("GET", "/v1/migrations")["migrations"])


def restart():
    p.kill()
    p.start(options=("--max-syncs", "8"), **settings)


wait_until(lambda: mirrored() >= 5, "some are mirrored")
restart()
p.api("POST", "/v1/sources", {"name": "other", "uri": f"test://{p.source}"})
for name in names[COUNT // 2:]:
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": name})
wait_until(lambda: mirrored() >= COUNT - 10, "most are mirrored", timeout=120)
for name in names[:3]:
    p.api("POST", f"/v1/migrations/{name}/cancel")
    p.wait_rest(name)
p.api("DELETE", f"/v1/migrations/{names[0]}")
p.api("POST", f"/v1/migrations/{names[4]}/cutover")
restart()
p.api("DELETE", f"/v1/migrations/{names[1]}")
p.api("DELETE", "/v1/sources/other")
p.api("PUT", "/v1/limits", {"scope": "source", "name": "src", "rules": [{"syncs": 7}]})
p.api("PUT", "/v1/limits", {"scope": "all", "rules": [{"syncs": 6}]})
p.api("DELETE", "/v1/limits", {"scope": "all"})
p.api("POST", f"/v1/migrations/{names[3]}/sync")
for name in names[2:]:
    p.wait_rest(name, timeout=120)

p.api("PATCH", f"/v1/migrations/{names[5]}", {"priority": 77})
p.api("POST", f"/v1/migrations/{names[6]}/pause")

status = p.api("GET", "/v1/status")
want = {m["name"]: settled(m) for m in status["migrations"]}
check(len(want) == COUNT - 2, "two were forgotten")
check(len(status["limits"]) == 1, "one limit is left")


def same():
    now = {name: settled(m) for name, m in model.migrations.items()}
    return now == want and list(model.sources) == ["src"] and model.limits == status["limits"]


def difference():
    for name, m in want.items():
        got = model.migrations.get(name, {})
        for key in sorted(m | got):
            if key != "forecast" and got.get(key) != m.get(key):
                yield f"{name}.{key}: {got.get(key)} instead of {m.get(key)}"


try:
    wait_until(same, "the model is what the snapshot shows", timeout=20)
except SystemExit:
    print("\n".join(difference()), flush=True)
    raise
check(model.problems == [], f"each event once, in order: {model.problems[:3]}")
check(model.lost == 2 and model.snapshots == 3, "a new snapshot for each new slipwayd, no more: "
                                                f"{model.lost} {model.snapshots}")

journalled = [row[0] for row in p.rows("SELECT seq FROM events ORDER BY seq")]
wait_until(lambda: counter.seen[-1] >= journalled[-1], "the other one has come to the end")
check(counter.problems == [], f"{counter.problems}")
check(len(counter.hellos) == 3, "three slipwayds have said hello")
check(counter.seen == sorted(set(counter.seen)), "no number comes twice or late")
missed = set(journalled) - set(counter.seen)
check(not missed, f"events {sorted(missed)[:5]} were missed")
check(set(range(1, journalled[-1] + 1)) == set(counter.seen[1:]),
      "there are no holes, not even for what was forgotten since")
print(f"{len(journalled)} numbered events in the journal, {len(counter.seen) - 1} seen, "
      f"{model.tick} ticks in the last run", flush=True)
model.ended = counter.ended = True

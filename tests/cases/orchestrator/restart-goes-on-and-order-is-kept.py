#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""SIGTERM in the middle of a sync: slipwayd ends at once, the engine copies on, the next slipwayd
adopts it.  Waiting syncs take their turns in the order in which they came."""

import time

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "p")
p.start(FAKE_SYNC_STEPS=40, FAKE_SYNC_PAUSE=0.05, options=["--max-syncs", "1"])
p.add_source()
names = ["first", "second", "third", "fourth"]
for name in names:
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web",
                                     "commit_window_s": 0, "name": name})
    wait_until(lambda: p.job(name)["state"] == "syncing", f"{name} syncs or waits", pause=0.01)
wait_until(lambda: (p.job("first")["progress"] or {}).get("phase") == "copy", "the copy runs")
begin = time.monotonic()
check(p.stop() == 0, "slipwayd ends cleanly")
check(time.monotonic() - begin < 5, "and soon")
check((p.state / "stores/first/control.sock").exists(), "the engine stays")
check(not p.socket.exists(), "its socket is gone")
p.start(options=["--max-syncs", "1"])
for name in names:
    job = p.wait_rest(name)
    check(job["state"] == "mirrored" and "error" not in job, f"{name} goes on: {job}")
passes = p.rows("select count(*) from passes where migration='first'")
check(passes == [(1,)], f"the interrupted pass was taken up again: {passes}")
done = [row[0] for row in p.rows("select migration from transitions where to_state='mirrored' "
                                 "order by id")]
check(sorted(done) == sorted(names), f"each came to rest once: {done}")
p.stop()

p = Platform(work / "fifo")
p.start(FAKE_SYNC_STEPS=4, FAKE_SYNC_PAUSE=0.05, options=["--max-syncs", "1"])
p.add_source()
for name in names:
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web",
                                     "commit_window_s": 0, "name": name})
    wait_until(lambda: p.job(name)["state"] != "created" and p.job(name)["progress"] or
               p.job(name)["state"] == "mirrored", f"{name} syncs or waits", pause=0.01)
for name in names:
    p.wait_rest(name)
done = [row[0] for row in p.rows("select migration from transitions where to_state='mirrored' "
                                 "order by id")]
check(done == names, f"first come, first served: {done}")

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""An engine that dies while it copies is started again; the sync goes on, the job never fails."""

import os
import signal
from pathlib import Path

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "p")
p.start(FAKE_SYNC_STEPS=40, FAKE_SYNC_PAUSE=0.05)
p.add_source()
p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "commit_window_s": 0})
wait_until(lambda: (p.job()["progress"] or {}).get("phase") == "copy", "the copy runs")
engines = [int(c.parent.name) for c in Path("/proc").glob("[0-9]*/cmdline")
           if str(p.state / "stores/web").encode() in c.read_bytes()]
check(len(engines) == 1, f"one engine runs: {engines}")
os.kill(engines[0], signal.SIGKILL)
job = p.wait_rest()
check(job["state"] == "mirrored" and "error" not in job, f"the sync went on: {job}")
notes = [row[0] for row in p.rows("select body_json from events where body_json like '%note%'")]
check(any("started again" in note for note in notes), f"it was said: {notes}")
check(p.rows("select count(*) from passes") == [(1,)], "in the same pass")

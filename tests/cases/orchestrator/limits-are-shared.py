#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 90
"""What syncs share is divided, again when one begins or ends or the limit changes; nothing
remains."""

import json

from case import check, wait_until, work
from fakes import Platform

p = Platform(work / "x")
p.start(options=("--max-syncs", "4"), FAKE_SYNC_STEPS=4000, FAKE_SYNC_PAUSE="0.02")
p.add_source()
MB = 1000000


def told(name):
    """The rates an engine was told so far."""
    log = p.state / "stores" / name / "limits.log"
    return [json.loads(line)["source_bytes_s"] for line in log.read_text().splitlines()] \
        if log.exists() else []


def begin(name):
    p.api("POST", "/v1/migrations", {"source": "src", "vm": "web", "name": name})
    wait_until(lambda: (p.job(name)["progress"] or {}).get("phase") == "copy", f"{name} copies")


def wait_told(**wanted):
    for name, rate in wanted.items():
        wait_until(lambda: told(name)[-1:] == [rate], f"{name} is told {rate}: {told(name)}")


p.cli("limit", "set", "all", "--bandwidth", "9000000")
begin("a")
check(told("a") == [9 * MB], f"a alone has all of it, before it copies: {told('a')}")
begin("b")
wait_told(a=4500000, b=4500000)
check(told("b") == [4500000], "b never had more than its share")
check(p.job("b")["progress"]["limit_bytes_s"] == 4500000
      and "all syncs" in p.job("b")["progress"]["because"], f"it is shown: {p.job('b')}")

reason = p.api("GET", "/v1/migrations/b/explain")["reason"]
check("4.3 MiB/s at most: its share of the limit of all syncs" in reason, f"explained: {reason}")

# A tighter scope on top; then other rules; then none.
p.cli("limit", "set", "source", "src", "--bandwidth", "3M", "--also-cutover")
wait_told(a=(3 << 20) // 2, b=(3 << 20) // 2)
p.cli("limit", "clear", "source", "src")
wait_told(a=4500000, b=4500000)
p.cli("limit", "set", "all", "--bandwidth", "unlimited", "--when", "00:00-24:00", "--bandwidth",
      "medium")
wait_told(a=1250000, b=1250000)
check("00:00-24:00: medium" in p.cli("limit", "list"), "the list shows it")

# A killed slipwayd: its successor goes on with the same limits.
p.kill()
before = len(told("a")), len(told("b"))
p.start(options=("--max-syncs", "4"))
wait_until(lambda: len(told("a")) > before[0] and len(told("b")) > before[1], "both are told again")
wait_told(a=1250000, b=1250000)
p.api("POST", "/v1/migrations/b/cancel")
p.wait_rest("b")
wait_told(a=2500000)
p.cli("limit", "clear", "all")
wait_told(a=0)
p.cli("limit", "set", "all", "--bandwidth", "1M")
wait_told(a=1 << 20)
p.api("POST", "/v1/migrations/a/cancel")
p.wait_rest("a")
check(p.rows("SELECT count(*) FROM governed")[0][0] == 0, "nothing is remembered of it")

# Wrong ones are told in sentences, and a limit that is not there.
for argv, word, code in (
        (("set", "all", "x", "--syncs", "1"), "has no name", 2),
        (("set", "planet", "--syncs", "1"), "planet", 2),
        (("set", "all", "--bandwidth", "slow"), "'slow'", 2),
        (("set", "all", "--when", "sometimes", "--iops", "5"), "sometimes", 2),
        (("set", "network", "esx1", "--iops", "5"), "10.1.0.0/16", 2),
        (("clear", "host", "esx1"), "no limit of host esx1", 3)):
    check(word in p.cli("limit", *argv, expect=code), f"{argv} is refused")

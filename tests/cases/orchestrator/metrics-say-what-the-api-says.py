#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""GET /v1/metrics is Prometheus' text format to the letter, has exactly what docs/METRICS.md lists,
and its figures are those of the API."""

import re

from case import check, run, source, wait_until, work
from fakes import Platform, _Connection, daemon_program

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([^ ]+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
SUFFIXES = ("_bucket", "_sum", "_count")


class Wrong(Exception):
    pass


def need(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        need(match, f"labels {text!r}")
        need(match[1] not in labels, f"label {match[1]} twice")
        labels[match[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match[2])
        at = match.end()
        need(not (match[3] and at == len(text)), "a comma at the end")
    return labels


def parse(text):
    """{metric: {"type", "help", "samples": {(name, labels…): value}}}; raises Wrong."""
    need(text.endswith("\n"), "the last line has no end")
    families, current = {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            word, name, rest = line[2:].split(" ", 2)
            need(word in ("HELP", "TYPE") and re.fullmatch(NAME, name), line)
            if word == "HELP":
                need(name not in families, f"{name} is described twice")
                current = families[name] = {"help": rest, "samples": {}}
            else:
                need(families.get(name) is current and "type" not in current, f"TYPE of {name}")
                need(rest in ("counter", "gauge", "histogram"), line)
                current["type"] = rest
            continue
        match = SAMPLE.match(line)
        need(match and current and "type" in current, f"not a sample: {line!r}")
        family = next(reversed(families))
        base = match[1]
        if current["type"] == "histogram":
            need(base.startswith(family) and base[len(family):] in SUFFIXES, line)
        else:
            need(base == family, f"{base} stands under {family}")
        value = float(match[3])
        key = (base, *sorted(parse_labels(match[2] or "").items()))
        need(key not in current["samples"], f"{line}: twice")
        need(value >= 0, f"{line}: negative")
        current["samples"][key] = value
    for name, family in families.items():
        need(family["type"] != "counter" or name.endswith("_total"), f"{name} is no _total")
        if family["type"] == "histogram":
            check_histogram(name, family["samples"])
    return families


def check_histogram(name, samples):
    series = {}
    for (base, *labels), value in samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        part = series.setdefault(rest, {"buckets": []})
        if base.endswith("_bucket"):
            part["buckets"].append((float(dict(labels)["le"]), value))
        else:
            part[base[len(name):]] = value
    for labels, part in series.items():
        bounds, counts = zip(*part["buckets"])
        need(list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), f"bounds {bounds}")
        need(list(counts) == sorted(counts), f"{labels}: buckets shrink")
        need(counts[-1] == part["_count"] and "_sum" in part, f"{labels}: the count")


def refuses(text):
    try:
        parse(text)
    except (Wrong, ValueError):
        return True
    return False


GOOD = '# HELP a_total x\n# TYPE a_total counter\na_total{b="c\\"\\\\\\n"} 1\n'
check(not refuses(GOOD), "the parser takes what is right")
for bad in (GOOD[:-1], GOOD.replace("counter", "thing"), GOOD + 'a_total{b="c\\"\\\\\\n"} 2\n',
            GOOD.replace("\\\"", "\""), GOOD.replace(" 1", " x"),
            GOOD.replace("a_total{", "b_total{"),
            GOOD.replace("# TYPE a_total counter\n", ""), GOOD.replace(" 1", " -1"),
            GOOD.replace('"}', '",}')):
    check(refuses(bad), f"the parser refuses {bad!r}")

p = Platform(work / "p")
p.start(options=("--max-syncs", "3"))
p.add_source()


def metrics():
    connection = _Connection(str(p.socket))
    connection.request("GET", "/v1/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    check(answer.status == 200 and answer.headers["Content-Type"] ==
          "text/plain; version=0.0.4; charset=utf-8", f"{answer.status} {answer.headers}")
    return parse(text)


def value(families, name, **labels):
    family = re.sub(r"_(bucket|sum|count)$", "", name)
    samples = families[name if name in families else family]["samples"]
    return samples.get((name, *sorted(labels.items())))


empty = metrics()
check(value(empty, "slipway_migrations", state="mirrored") == 0, "states are there at 0")

# The list in the documentation is printed from the table, and is what is served.
dump = run(daemon_program, "--dump-metrics", quiet=True)
check((source / "docs/METRICS.md").read_text() == dump, "docs/METRICS.md is --dump-metrics")
listed = {row[0]: row for row in re.findall(r"^\| (slipway_\w+) \| (\w+) \| ([^|]*) \| ([^|]*) \|",
                                            dump, re.M)}
check(set(listed) == set(empty), f"listed and served: {set(listed) ^ set(empty)}")

for name in ("a", "b", "c"):
    p.migrate(name)
p.guest_writes("more")
p.verb("sync", "a")
p.verb("cutover", "b")
p.verb("cancel", "c")
p.api("POST", "/v1/migrations/a/rehearsal")
wait_until(lambda: not p.api("GET", "/v1/migrations/a/rehearsals")["rehearsals"][0]["active"],
           "the rehearsal ends")
p.api("GET", "/v1/nothing/here")
full = metrics()

for name, (_, kind, labels, text) in listed.items():
    check(full[name]["type"] == kind and full[name]["help"] == text, f"{name} as documented")
    want = set() if labels == "–" else set(labels.split(", "))
    for (_, *pairs) in full[name]["samples"]:
        check({key for key, _ in pairs} - {"le"} == want, f"{name}: labels {pairs}")

status = p.api("GET", "/v1/status")
states = {}
for m in status["migrations"]:
    states[m["state"]] = states.get(m["state"], 0) + 1
for (_, (_, state)), count in full["slipway_migrations"]["samples"].items():
    check(count == states.get(state, 0), f"{state}: {count} migrations")
reports = {m["name"]: p.api("GET", f"/v1/migrations/{m['name']}/report")
           for m in status["migrations"]}
passes = [row for report in reports.values() for row in report["passes"]]
for kind in ("initial", "delta", "final"):
    mine = [row for row in passes if row["kind"] == kind and row["ended"]]
    # What a cancelled migration has copied is in no report any more, but counts.
    extra = kind == "initial"
    check(value(full, "slipway_pass_duration_seconds_count", kind=kind) >= len(mine) > 0,
          f"{kind}: {len(mine)} passes")
    check(value(full, "slipway_copied_bytes_total", kind=kind) >= sum(r["bytes"] for r in mine),
          f"{kind}: bytes")
    if not extra:
        check(value(full, "slipway_pass_duration_seconds_count", kind=kind) == len(mine), kind)
        check(value(full, "slipway_copied_bytes_total", kind=kind) ==
              sum(r["bytes"] for r in mine), f"{kind}: bytes, exactly")
        spent = sum(r["seconds"] for r in mine)
        check(abs(value(full, "slipway_pass_duration_seconds_sum", kind=kind) - spent) < 0.5,
              f"{kind}: seconds")
downtime = reports["b"]["downtime"]
check(downtime["complete"], "b was cut over")
check(abs(value(full, "slipway_migration_last_downtime_seconds", migration="b") -
          downtime["total_s"]) < 1e-6, "the downtime of b")
check(len(full["slipway_migration_last_downtime_seconds"]["samples"]) == 1, "only of b")
a = next(m for m in status["migrations"] if m["name"] == "a")
check(abs(value(full, "slipway_migration_synced_timestamp_seconds", migration="a") -
          a["synced_ns"] / 1e9) < 1e-3, "when a was synced")
check(value(full, "slipway_migration_dirty_bytes_per_second", migration="a") ==
      a["forecast"]["dirty_bytes_s"], "how fast a is written")
verdicts = {dict(key[1:])["verdict"]: n for key, n in
            full["slipway_rehearsals_total"]["samples"].items()}
state = p.api("GET", "/v1/migrations/a/rehearsals")["rehearsals"][0]["state"]
check(verdicts == {"passed": 0, "failed": 0, "stopped": 0, state: 1}, f"verdicts {verdicts}")
check(value(full, "slipway_engine_up", migration="a") == 1, "the engine of a answers")
check(value(full, "slipway_engine_up", migration="c") is None, "c has no store any more")
check(value(full, "slipway_sync_slots") == 3 and value(full, "slipway_sync_slots_used") == 0 and
      value(full, "slipway_sync_waiting") == 0, "the slots")
check(value(full, "slipway_events_generation") == status["generation"], "the generation")
check(value(full, "slipway_events_total") >= status["generation"], "events")
check(value(full, "slipway_build_info", version=p.api("GET", "/v1/version")["version"]) == 1,
      "the version")
requests = {tuple(v for _, v in key[1:]): n for key, n in
            full["slipway_api_requests_total"]["samples"].items()}
check(requests[("POST", "/v1/migrations", "201")] == 3, "requests by route and status")
check(requests[("", "", "404")] == 1, "what is nowhere has one series")
check(not any("nothing" in part for key in requests for part in key), "paths are no labels")
p.api("DELETE", "/v1/migrations/b")
gone = metrics()
check(value(gone, "slipway_migration_last_downtime_seconds", migration="b") is None,
      "a removed migration's series go")

# SPDX-License-Identifier: Apache-2.0
"""slipway-morph, killed while it changes a draft: the draft is dropped and the mirror is as it was.

    lab = morphkill.Lab()
    for event in morphkill.spread(lab.events(), 4):
        lab.kill_at(event)
    lab.whole()
"""

import hashlib
import json
import subprocess
from pathlib import Path

import phony
from byhand import engine, engine_json, serve_file
from case import build, check, defer, run, wait_until, work
from engines import Engine, Refused, read_export

MORPH = build / "morph/slipway-morph"
MAC = "52:54:00:00:00:01"


def spread(events, count):
    """`count` of the events, the first and the last among them."""
    return [events[i * (len(events) - 1) // (count - 1)] for i in range(count)]


def descendants(pid):
    """Processes below this one, by pid."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(words[1]), []).append(int(path.parent.name))
    found, rest = [], [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        found += children
        rest += children
    return found


def is_running(pid):
    """False for one that ended and waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Lab:
    """An engine with a phony guest in its first generation."""

    def __init__(self):
        image = work / "src.img"
        phony.debian(image)
        self.engine = Engine("vm", sda=image.stat().st_size).start()
        defer(self.engine.stop)
        engine("sync", "vm", f"sda={serve_file(image)}", "--snapshot", "p0")
        self.before = self.fingerprints()
        self.drafts_changed = 0

    def fingerprints(self):
        """The engine's own, and of what clients read, and of the file below."""
        return (self.engine.call("digest", disk="sda")["digest"],
                hashlib.sha256(read_export(self.engine.uri("sda"))).hexdigest(),
                hashlib.sha256(self.engine.target("sda").read_bytes()).hexdigest())

    def start(self, *words):
        """A slipway-morph on a new draft."""
        engine("draft", "create", "vm", "morph")
        process = subprocess.Popen(
            [MORPH, "--json", *words, "--nic", MAC, "--disk", self.engine.uri("morph/sda")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        defer(process.kill)
        return process

    def dropped(self):
        try:
            self.engine.call("draft-drop", name="morph")
        except Refused as error:
            check(error.name == "EBUSY", f"only what is still connected holds a draft: {error}")
            return False
        return True

    def drop(self):
        wait_until(self.dropped, "the draft is dropped", timeout=30)
        check(engine_json("draft", "list", "vm")["drafts"] == [], "no draft is left")
        check(self.fingerprints() == self.before, "the disk is as it was, by all its digests")

    def events(self):
        """What a run says while it changes something: each edit, and what comes then."""
        process = self.start()
        output, errors = process.communicate(timeout=400)
        check(process.returncode == 0, f"the run that is not killed ends well: {errors}")
        lines = [json.loads(line) for line in errors.splitlines()]
        first = next(i for i, line in enumerate(lines) if line.get("state") == "edit")
        count = sum(line.get("state") == "edit" for line in lines)
        check(count == len(json.loads(output)["changes"]), "each change was told as it was made")
        self.drop()
        return range(first, len(lines) - 1)

    def kill_at(self, event):
        """Kills a run as soon as it has said as many lines, and drops the draft at once."""
        process = self.start()
        for number, line in enumerate(process.stderr):
            if number == event:
                break
        below = descendants(process.pid)
        process.kill()
        process.wait()
        print(f"killed at {line.strip()}", flush=True)
        draft = read_export(self.engine.uri("morph/sda"))
        self.drafts_changed += hashlib.sha256(draft).hexdigest() != self.before[1]
        self.drop()
        wait_until(lambda: not any(is_running(pid) for pid in below),
                   "the appliance ends with who started it")
        check(self.fingerprints() == self.before, "nobody wrote after the draft was gone")

    def whole(self):
        """After all that, a run on a new draft makes the guest whole."""
        check(self.drafts_changed > 0, "at least one kill came when the draft was written to")
        process = self.start()
        _, errors = process.communicate(timeout=400)
        check(process.returncode == 0, f"a run that is not killed ends well: {errors}")
        engine("draft", "seal", "vm", "morph")
        check(self.fingerprints()[1] != self.before[1], "the new generation is the changed guest")
        (work / "out").write_bytes(read_export(self.engine.uri("sda"))[1 << 20:65 << 20])
        run("/usr/sbin/e2fsck", "-fn", work / "out")

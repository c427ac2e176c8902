# SPDX-License-Identifier: Apache-2.0
"""A second guest that belongs to the first: both are frozen at one instant, and cut over as one."""

import guest
from agent import Agent
from stage import NAME, SOURCE

VM = "partner"
MOVED = "moved2"
GROUP = "shop"


def boot(stage, clock):
    folder = stage.folder / VM
    folder.mkdir()
    serial = folder / "serial.log"
    disks = guest.disks(folder)
    stage.source_virsh("define", stage.write("partner.xml", guest.domain_xml(VM, disks, serial)))
    stage.source_virsh("start", VM)
    clock.say("a second VM, 'partner', boots beside it")
    guest.Console(serial).wait_for(r"login:", timeout=600,
                                   alive=lambda: stage.source_runs(VM),
                                   heartbeat=lambda text: clock.heartbeat("  booting"))


def migrate(stage, words):
    stage.slipway("migrate", f"{SOURCE}/{VM}", "--name", MOVED, *words, "--follow")


def members(stage):
    group, = stage.slipway_json("group", "list")["groups"]
    return {member["name"]: member["state"] for member in group["members"]}


def sync(stage, clock, proof):
    clock.say("group sync: both guests stand still for the moment in which both are frozen")
    stage.slipway("group", "sync", GROUP, "--follow")
    states = members(stage)
    proof.check(set(states.values()) == {"mirrored"} and stage.source_runs()
                and stage.source_runs(VM), f"both are mirrored at one instant and run on: {states}")


def cut_over(stage, clock, proof):
    stage.slipway("group", "cutover", GROUP, "--follow")
    states = members(stage)
    proof.check(set(states.values()) == {"window"} and set(states) == {NAME, MOVED},
                f"both were cut over as one: {states}")
    reports = [stage.slipway_json("report", name) for name in (NAME, MOVED)]
    off = max(_time(report, "final-sync") for report in reports)
    flipped = [_time(report, "flipping") for report in reports]
    ready = max(_time(report, "morphing") for report in reports)
    proof.check(off <= min(_time(report, "morphing") for report in reports) and
                ready <= min(flipped), "no target flipped before both sources had stopped and both "
                "guests were morphed")


def _time(report, state):
    """When it last went into that state."""
    return max(t["time_ns"] for t in report["transitions"] if t["state"] == state)


def check(stage, clock, proof, timeout):
    agent = Agent(stage.agent_socket(MOVED))
    agent.wait(timeout, lambda: clock.heartbeat("  waiting for the partner's guest agent"))
    device = agent.run("findmnt -n -o SOURCE /", expect=None).strip()
    proof.check(device == "/dev/vda1", f"the partner runs on the node, too, from {device}")

# SPDX-License-Identifier: Apache-2.0
"""The way back: what the guest wrote on the node goes to the source's own disks, and it runs there
again as if it had never been away."""

import time

import records
from stage import NAME, VM

BOOT_TIMEOUT_S = 600


def first_record(stage, console, clock, since):
    """(what the recorder found at its start, the first record it wrote) on the source again."""
    def heartbeat(text):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        clock.heartbeat("  booting: " + (lines[-1][-70:] if lines else "…"))

    console.wait_for(r"recorder: record \d+ [0-9a-f]{64}", timeout=BOOT_TIMEOUT_S, since=since,
                     alive=stage.source_runs, heartbeat=heartbeat)
    found = console.recorder("found", since)
    return found[-1] if found else None, console.recorder("record", since)[0]


def stop_source(stage, clock):
    deadline = time.monotonic() + 300
    asked = 0
    while stage.source_runs():
        if time.monotonic() - asked > 20:  # a guest that boots does not hear it
            stage.source_virsh("shutdown", VM)
            asked = time.monotonic()
        if time.monotonic() > deadline:
            raise RuntimeError("the source does not shut down again")
        clock.heartbeat("  the source shuts down")
        time.sleep(0.5)


def go_back(stage, console, last, clock, proof):
    """last: the newest record that was seen in the guest on the node."""
    stage.start_daemon()
    proof.check(stage.slipway_json("status", NAME)["state"] == "window",
                "after the cutover one can go back; the VM runs through the engine")
    clock.say("rollback with failback: what the guest wrote here goes back, then the source starts")
    since = console.size()
    stage.slipway("rollback", NAME, "--failback", "--follow")
    job = stage.slipway_json("status", NAME)
    proof.check(job["state"] == "rolled-back", f"the migration is {job['state']}")
    found, first = first_record(stage, console, clock, min(since, console.size()))
    clock.say(f"the source runs and has written record {first[0]}")
    proof.check(found is not None and found[0] >= last.number,
                f"its recorder found record {found[0] if found else None}: those written on the "
                "node are there")
    stop_source(stage, clock)
    text = records.read_file(stage.disks[0], "/var/log/records", stage.folder).decode()
    written = records.parse(text)
    blocks = records.read_file(stage.disks[1], "/blocks", stage.folder)
    records.check_blocks(written, blocks)
    proof.check(written[last.number - 1] == last and written[-1].number >= first[0],
                f"the source's own disks hold an unbroken chain of {len(written)} records: from "
                "the source, from the node, from the source again")

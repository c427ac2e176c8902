# SPDX-License-Identifier: Apache-2.0
"""slipwayd with the real engine, a private libvirtd as source and the embedded driver as node, and
one VM 't1' with a qcow2 and a raw disk.  Importing it starts the source."""

import json
import os
from pathlib import Path

import sourcevm
from case import build, defer, run, start, wait_until, work

lab = sourcevm.Lab()
vm = lab.vm("t1", {"vda": "qcow2", "vdb": "raw"})
os.environ["SLIPWAY_SOCKET"] = str(work / "s.sock")
os.environ["SLIPWAY_ACCEL"] = "tcg"


def daemon():
    process = start(build / "orchestrator/slipwayd", "--state", work / "st", "--socket",
                    work / "s.sock", "--pool", work / "pool", log=work / "slipwayd.log")
    wait_until(lambda: "NAME" in slipway("status", expect=None, quiet=True), "slipwayd answers")
    return process


def slipway(*words, **options):
    return run(build / "orchestrator/slipway", *words, **options)


def job():
    return json.loads(slipway("status", "moved", "--json", quiet=True))


def show_log():
    print((work / "slipwayd.log").read_text()[-6000:])
    for log in (work / "st/stores").glob("*/engine.log"):
        print(log.read_text()[-2000:])


def end_node():
    """Ends the VM on the node by its pid; the embedded driver is gone with slipwayd."""
    for path in (work / "st/node").rglob("*.pid"):
        command = Path("/proc", path.read_text().strip(), "cmdline")
        if command.exists() and str(work) in command.read_text():
            os.kill(int(command.parent.name), 15)


defer(show_log)
defer(end_node)

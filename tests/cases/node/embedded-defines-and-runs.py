# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""Without a libvirtd the destination is libvirt's embedded driver: a VM is defined from a
description, starts (BIOS and UEFI), outlives the program that started it, goes without a trace."""

import json
import subprocess
from pathlib import Path

from case import build, check, defer, require, run, start, wait_until, work

require("root", "qemu-system-x86_64", "/usr/share/OVMF/OVMF_CODE.fd")
ROOT = work / "embed"
NAME = "arrived"


def node(*words, expect=0):
    return run(build / "tests/tools/node-probe", f"qemu:///embed?root={ROOT}", ROOT, *words,
               expect=expect).strip()


def description(**changes):
    vm = {"name": NAME, "uuid": "7f0e2b0a-0000-4000-8000-00000000e001", "memory_bytes": 64 << 20,
          "vcpus": 1, "arch": "x86_64", "machine": "pc", "firmware": "bios", "secure_boot": False,
          "disks": [{"name": "sda", "size_bytes": 8 << 20}, {"name": "sdb", "size_bytes": 8 << 20}],
          "nics": [{"mac": "52:54:00:aa:bb:01", "network": "lan"}], "serial": True}
    path = work / "description.json"
    path.write_text(json.dumps(vm | changes))
    return path


def placement(**changes):
    place = {"name": NAME, "accel": "tcg", "networks": {"lan": "none"},
             "console_log": str(work / "console.log"),
             "disks": [{"name": "sda", "path": str(work / "sda.raw")},
                       {"name": "sdb", "nbd_uri": f"nbd+unix:///sdb?socket={work}/sdb.sock"}]}
    path = work / "placement.json"
    path.write_text(json.dumps(place | changes))
    return path


def first_open():
    """The first program gets the embedded driver because no libvirtd answers."""
    uri = run(build / "tests/tools/node-probe", "-", ROOT, "uri").strip()
    check(uri in (f"qemu:///embed?root={ROOT}", "qemu:///system"), f"destination: {uri}")


def wipe():
    subprocess.run([build / "tests/tools/node-probe", f"qemu:///embed?root={ROOT}", ROOT, "stop",
                    NAME, "force"], check=False)


for disk in ("sda", "sdb"):
    run("truncate", "-s", "8M", work / f"{disk}.raw")
start("qemu-nbd", "-t", "-f", "raw", "-x", "sdb", "-k", work / "sdb.sock", work / "sdb.raw")
wait_until((work / "sdb.sock").exists, "qemu-nbd")
first_open()
defer(wipe)

check(node("state", NAME) == "absent", "nothing is there yet")
check("\"lan\"" in node("define", description(), placement(networks={}), expect=2),
      "an unmapped network is named")
check("nosuchbr" in node("define", description(), placement(networks={"lan": "bridge:nosuchbr"}),
                         expect=3), "missing bridge")
node("define", description(), placement())
facts = json.loads(node("facts"))
check(facts["vms"] == {NAME: "7f0e2b0a-0000-4000-8000-00000000e001"}, f"its VMs: {facts['vms']}")
check(facts["archs"]["x86_64"]["uefi"] and facts["vcpus"] > 0 and facts["memory_bytes"] > 1 << 28,
      f"what it has: {facts}")
check(all(int(facts[name].split(".")[0]) > 0 for name in ("libvirt", "qemu")), f"versions: {facts}")
check("already" in node("define", description(), placement(), expect=4), "the name is taken")
check("uuid" in node("define", description(), placement(name="other"), expect=4), "so is the uuid")
node("start", NAME)
node("start", NAME)
check(node("state", NAME) == "running", "it outlives the program that started it")
check(node("wait", NAME, "20", "1") == "running", "without an agent: it runs")
check("agent" in node("wait", NAME, "1", "30", expect=8), "an agent that never answers")
node("stop", NAME, "force")
check(node("state", NAME) == "off", "it is off")
check("instead of running" in node("wait", NAME, "5", "1", expect=1), "waiting for one that is off")
node("undefine", NAME)
node("undefine", NAME)

node("define", description(firmware="uefi", machine="pc-q35-7.2", memory_bytes=128 << 20),
     placement())
node("start", NAME)
check(node("wait", NAME, "20", "1") == "running", "UEFI on q35 runs")
node("stop", NAME, "force")
node("undefine", NAME)
check(node("state", NAME) == "absent", "it is gone, with its UEFI variables")
check(not list(ROOT.rglob("*VARS*")), "no UEFI variables are left")

# Killed while libvirt asks QEMU in the background what it can do: the next one ends those QEMUs.
FRESH = work / "fresh"
URI = f"qemu:///embed?root={FRESH}"


def probes():
    return [path for path in FRESH.glob("lib/qemu/qmp-*/qmp.pid")
            if path.read_text().strip() and Path(f"/proc/{path.read_text().strip()}").exists()]


first = start(build / "tests/tools/node-probe", URI, FRESH, "define", description(), placement())
wait_until(lambda: probes() or first.poll() is not None, "QEMU is asked", pause=0.01)
first.kill()
first.wait()
run(build / "tests/tools/node-probe", URI, FRESH, "uri")
wait_until(lambda: not probes(), "QEMUs that nobody waits for are ended", timeout=10)

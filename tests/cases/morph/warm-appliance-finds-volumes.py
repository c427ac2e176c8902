# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 600
"""An appliance that was started on disks that held nothing finds logical volumes, encrypted ones
and subvolumes once it is told to go, and what it changes is what a cold one would change."""

import json
import subprocess

import guest
from byhand import engine, program
from case import build, check, defer, require, start, wait_until, work

require("root", "qemu-nbd", "mmdebstrap", build / "morph/slipway-morph")


def sources(layout):
    """A qemu-nbd for each disk: [(name, size, URI)]."""
    found = []
    for number, image in enumerate(guest.disks(work, layout=layout)):
        sock = work / f"{layout}{number}.sock"
        start("qemu-nbd", "-r", "-t", "-e", "8", "-f", "qcow2", "-k", sock, image)
        wait_until(sock.exists, "qemu-nbd's socket")
        info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", "-U", image],
                                         check=True, stdout=subprocess.PIPE).stdout)
        found.append((f"sd{'abc'[number]}", info["virtual-size"], f"nbd+unix:///?socket={sock}"))
    return found


def warm_morph(store, names, options):
    argv = [build / "morph/slipway-morph", "--json", "--wait", "--nic", guest.MAC, *options]
    for name in names:
        argv += ["--disk", f"nbd+unix:///morph/{name}+early?socket={work}/{store}/nbd.sock"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    defer(process.kill)
    for line in process.stderr:
        print(line, end="")
        if json.loads(line) == {"phase": "wait", "state": "begin"}:
            return process
    raise AssertionError("slipway-morph ended before it waited")


for layout in ("lvm", "luks", "btrfs"):
    disks = sources(layout)
    engine("create", layout, *(w for name, size, _ in disks
                               for w in ("--disk", f"{name}={layout}-{name}.raw:{size}")))
    start(program, "engine", "serve", work / layout)
    wait_until((work / layout / "control.sock").exists, "the engine")
    key = ["--key", f"/dev/sda2={guest.folder(layout=layout)}/key"] if layout == "luks" else []
    morph = warm_morph(layout, [name for name, _, _ in disks], key)
    engine("sync", layout, *(f"{name}={uri}" for name, _, uri in disks), "--snapshot", "p0")
    engine("draft", "create", layout, "morph")
    output, errors = morph.communicate("go\n", timeout=300)
    print(errors)
    check(morph.returncode == 0, f"{layout}: exit code {morph.returncode}")
    changes = {change["change"] for change in json.loads(output)["changes"]}
    check({"fstab", "network", "initramfs", "agents"} <= changes, f"{layout}: only {changes}")
    engine("draft", "seal", layout, "morph")

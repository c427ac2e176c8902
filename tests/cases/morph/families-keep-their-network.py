# SPDX-License-Identifier: Apache-2.0
# timeout: 300
"""Fourteen Linux guests keep their card's name in the way that their udev understands, and their
network files byte for byte; with --dhcp the fixed address goes and nothing else does."""

import re

import phonylinux
from case import build, check, require, work
from phonyfamilies import FAMILIES

require(build / "tests/tools/morph-tree", "zstd")

RULES = "/etc/udev/rules.d/70-persistent-net.rules"
BY_RULES = {"centos6", "centos7"}       # their udev does not name cards by .link files
BY_KERNEL = {"alpine"}                  # eth0 is eth0 without doing anything
CONFIGURED = ("etc/network/", "etc/sysconfig/network", "etc/NetworkManager/", "etc/netplan/",
              "etc/systemd/network/", "etc/netctl/")
UNTOUCHED = ("etc/hostname", "etc/HOSTNAME", "etc/resolv.conf", "etc/hosts", "etc/machine-id")


def mac_of(family):
    """The card that the guest's own files tell; any other when they tell none."""
    text = "\n".join(str(value) for name, value in family.files.items()
                     if name.startswith(CONFIGURED + ("etc/udev/",)))
    found = re.search(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", text.lower())
    return found.group() if found else phonylinux.MAC


def network_files(tree):
    return {path: (tree / path).read_text() for path in phonylinux.snapshot(tree)
            if path.startswith(CONFIGURED) and (tree / path).is_file()}


def live(text):
    return [line for line in text.splitlines() if not line.lstrip().startswith(("#", ";"))]


def run_once(family, *options):
    tree = work / (family.name + "".join(options))
    phonylinux.make(family, tree)
    before, others = network_files(tree), phonylinux.snapshot(tree)
    arguments = ("--nic", mac_of(family), *options)
    result = phonylinux.morph(family, tree, *arguments)
    check(phonylinux.morph(family, tree, *arguments)["changes"] == [],
          f"{family.name} {options}: a second run changes something")
    after = phonylinux.snapshot(tree)
    for path in UNTOUCHED:
        check(others.get(path) == after.get(path), f"{family.name}: {path} was touched")
    changed = {c["path"] for c in result["changes"]
               if c["change"] == "network" and c["kind"] != "directory"}
    return before, network_files(tree), changed, result["nics"]


for family in FAMILIES.values():
    before, after, changed, nics = run_once(family)
    name = nics[0]["name"]
    check(all(after.get(path) == text for path, text in before.items()),
          f"{family.name}: its network files stay as they are, not {changed}")
    expected = f"/etc/systemd/network/10-slipway-{name}.link"
    pinned = mac_of(family) in str(family.files.get(RULES[1:], "")).lower()
    want = set() if pinned or family.name in BY_KERNEL else {
        RULES if family.name in BY_RULES else expected}
    check(changed == want, f"{family.name}: {changed} keeps the name, not {want}")

    before, after, changed, nics = run_once(family, "--dhcp")
    fixed = {path for path, text in before.items()
             if any("192.0.2." in line and "192.0.2.53" not in line for line in live(text))}
    check(fixed, f"{family.name}: it has a fixed address")
    for path in fixed:
        left = [line for line in live(after[path])
                if "192.0.2." in line and "192.0.2.53" not in line]
        check(not left, f"{family.name}: {path} still says {left}")
        check("dhcp" in after[path].lower() or "auto" in after[path] or "routes" in path,
              f"{family.name}: {path} asks for DHCP")
    resolvers = [line for text in before.values() for line in live(text) if "192.0.2.53" in line]
    kept = [line for text in after.values() for line in live(text) if "192.0.2.53" in line]
    check(resolvers == kept, f"{family.name}: its resolvers were {resolvers}, are {kept}")
    print(f"{family.name}: {name}", flush=True)

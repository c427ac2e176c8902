# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 300
"""The file trees of fourteen Linux guests from other platforms, changed without an appliance: every
file is checked by what it says, nothing else changes, and a second run changes nothing."""

import re

import phonylinux
from case import build, check, require, work
from phonyfamilies import FAMILIES

require(build / "tests/tools/morph-tree", "zstd")

# Names of hardware that stayed behind.
SOURCE_NAME = re.compile(r"/dev/(sd|hd|vd|xvd|nvme)[a-z0-9]|/dev/disk/by-(path|id)/")


def text(tree, path):
    return (tree / path).read_text()


def live_lines(content):
    return [line for line in content.splitlines() if line.strip() and
            not line.lstrip().startswith("#")]


def check_names(family, tree):
    for line in live_lines(text(tree, "etc/fstab")):
        check(not SOURCE_NAME.match(line.split()[0]) or "sr0" in line,
              f"{family.name}: fstab still says '{line}'")


def check_initramfs(family, tree):
    inside = phonylinux.unpacked(tree / family.initramfs)
    modules = {name.rsplit("/", 1)[1].split(".")[0] for name in inside if ".ko" in name}
    wanted = {"virtio_blk", "virtio_scsi", "virtio_pci"} - set(family.builtin)
    check(wanted <= modules, f"{family.name}: its initramfs lacks {wanted - modules}")
    needs = {"virtio", "virtio_ring"} - set(family.builtin)
    check(needs <= modules, f"{family.name}: its initramfs lacks what virtio needs")


def links(tree, path):
    return sorted(p.name for p in (tree / path).glob("*"))


def check_masked(family, tree, *names):
    for name in names:
        path = tree / "etc/systemd/system" / name
        check(path.is_symlink() and str(path.readlink()) == "/dev/null",
              f"{family.name}: {name} is masked")
        check(name not in links(tree, "etc/systemd/system/multi-user.target.wants"),
              f"{family.name}: {name} is wanted by nothing")


def check_debian(family, tree):
    check_masked(family, tree, "open-vm-tools.service", "vgauth.service")
    check(not (tree / "etc/X11/xorg.conf").exists(), "debian12: no X server for VMware's card")
    check("vmware" in text(tree, "var/lib/slipway/aside/etc/X11/xorg.conf"), "debian12: a copy")


AGENTS = {
    "debian12": check_debian,
    "ubuntu2204": lambda f, t: check_masked(f, t, "open-vm-tools.service", "walinuxagent.service"),
}


def check_family(family):
    tree = work / family.name
    phonylinux.make(family, tree)
    before = phonylinux.snapshot(tree)
    nic = f"{phonylinux.MAC}=eth0" if "eth0" in str(family.files) else f"{phonylinux.MAC}=ens192"
    plan = phonylinux.morph(family, tree, "--nic", nic, "--dry-run")
    check(phonylinux.snapshot(tree) == before, f"{family.name}: a dry run changed something")
    result = phonylinux.morph(family, tree, "--nic", nic)
    check(result["changes"] == plan["changes"], f"{family.name}: the dry run told otherwise")
    after = phonylinux.snapshot(tree)
    said = {change["path"].lstrip("/") for change in result["changes"]}
    real = {str((tree / path).parent.resolve().relative_to(tree) / (tree / path).name)
            for path in said}
    for path in before.keys() | after.keys():
        if before.get(path) != after.get(path) and not (tree / path).is_dir():
            check(path in real, f"{family.name}: {path} changed and nothing was said")
    check_names(family, tree)
    check_initramfs(family, tree)
    AGENTS[family.name](family, tree)
    again = phonylinux.morph(family, tree, "--nic", nic)
    check(again["changes"] == [], f"{family.name}: a second run wants {again['changes']}")
    check(phonylinux.snapshot(tree) == after, f"{family.name}: a second run changed something")
    print(f"{family.name}: {len(result['changes'])} changes", flush=True)


for name in AGENTS:
    check_family(FAMILIES[name])

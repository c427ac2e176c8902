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


# What a boot loader reads, of whichever family has it.
BOOT_FILES = ("boot/grub/grub.cfg", "boot/grub2/grub.cfg", "boot/grub/grub.conf",
              "boot/extlinux.conf", "boot/loader/entries", "boot/grub2/grubenv",
              "etc/default/grub", "etc/update-extlinux.conf")


def check_boot(family, tree):
    seen = serial = 0
    for name in BOOT_FILES:
        path = tree / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []:
            for line in live_lines(file.read_text()):
                seen += 1
                serial += "root=" in line and "console=ttyS0" in line
                check(not SOURCE_NAME.search(line), f"{family.name}: {file.name} says '{line}'")
    check(seen > 0, f"{family.name}: no boot loader was looked at")
    check(serial > 0, f"{family.name}: no kernel line with a serial console")


def links(tree, path):
    return sorted(p.name for p in (tree / path).glob("*"))


def check_masked(family, tree, names):
    for name in names:
        path = tree / "etc/systemd/system" / name
        check(path.is_symlink() and str(path.readlink()) == "/dev/null",
              f"{family.name}: {name} is masked")
        check(name not in links(tree, "etc/systemd/system/multi-user.target.wants"),
              f"{family.name}: {name} is wanted by nothing")


def check_debian(tree):
    check(not (tree / "etc/X11/xorg.conf").exists(), "debian12: no X server for VMware's card")
    check("vmware" in text(tree, "var/lib/slipway/aside/etc/X11/xorg.conf"), "debian12: a copy")


def check_centos7(tree):
    check(text(tree, "etc/modprobe.d/blacklist.conf") ==
          "# hardening\nblacklist floppy\n# slipway-morph: blacklist virtio_balloon\n"
          "# slipway-morph: install virtio_blk /bin/false\n", "centos7: virtio may be loaded")
    check(not (tree / "etc/modprobe.d/vmware-tools.conf").exists(), "centos7: pciehp is free")


def check_centos6(tree):
    for level in "235":
        names = links(tree, f"etc/rc.d/rc{level}.d")
        check(names == ["K10vmtoolsd", "K97vmware-tools"], f"centos6: runlevel {level}: {names}")
    check(not (tree / "etc/init/vmware-tools.conf").exists(), "centos6: the job is gone")
    check((tree / "var/lib/slipway/aside/etc/init/vmware-tools.conf").exists(), "centos6: a copy")


def check_alpine(tree):
    check(links(tree, "etc/runlevels/default") == ["sshd"], "alpine: sshd stays, the agent goes")


def check_labels(family, result):
    """With SELinux everything that is new has a context, and only that."""
    for change in result["changes"]:
        new = (change["kind"] == "link" or (change["kind"] in ("write", "directory") and
                                            change["before"] is None))
        check(("label" in change) == (new and "etc/selinux/config" in family.files),
              f"{family.name}: the label of {change}")
    labels = {change["path"]: change.get("label") for change in result["changes"]}
    if family.name == "rocky9":
        check(labels["/etc/systemd/system/vmtoolsd.service"] ==
              "system_u:object_r:systemd_unit_file_t:s0", "rocky9: a unit's context")


# Units that must be masked, and what else is told of a family.
MASKED = {
    "debian12": ["open-vm-tools.service", "vgauth.service"],
    "ubuntu2204": ["open-vm-tools.service", "vgauth.service", "walinuxagent.service"],
    "rocky9": ["vmtoolsd.service", "vgauthd.service"],
    "rocky8": ["hypervkvpd.service", "hypervvssd.service", "hypervfcopyd.service"],
    "centos7": ["xe-linux-distribution.service", "vmware-tools.service"],
    "centos6": [],
    "fedora": ["vboxservice.service"],
    "oracle8": ["vmtoolsd.service"],
    "alma9": ["prltoolsd.service"],
    "sles15": ["vmtoolsd.service", "vgauthd.service"],
    "sles12": ["vboxadd.service", "vboxadd-service.service"],
    "opensuse": ["vmtoolsd.service"],
    "arch": ["vmtoolsd.service", "vmware-vmblock-fuse.service"],
    "alpine": [],
}
MORE = {"debian12": check_debian, "centos7": check_centos7, "centos6": check_centos6,
        "alpine": check_alpine}


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
    check_boot(family, tree)
    check_labels(family, result)
    check_masked(family, tree, MASKED[family.name])
    MORE.get(family.name, lambda tree: None)(tree)
    check([n["text"] for n in result["notes"] if n["warning"]] == [],
          f"{family.name}: warnings {result['notes']}")
    again = phonylinux.morph(family, tree, "--nic", nic)
    check(again["changes"] == [], f"{family.name}: a second run wants {again['changes']}")
    check(phonylinux.snapshot(tree) == after, f"{family.name}: a second run changed something")
    print(f"{family.name}: {len(result['changes'])} changes", flush=True)


check(MASKED.keys() == FAMILIES.keys(), "every family is told of")
for one in FAMILIES.values():
    check_family(one)

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""Two guests of other families as disks, changed by the real program: scripts of the caller run
before and after, a key gets its owner, new files their SELinux context, rewritten ones keep theirs;
a second run leaves the disks as they are, bit for bit."""

import hashlib
import json
import subprocess

import phonydisk
import phonylinux
from case import build, check, require, run, work
from phonyfamilies import FAMILIES

require("root", "debugfs", "zstd", "dash", build / "morph/slipway-morph")
MORPH = build / "morph/slipway-morph"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"
ETC_T = "system_u:object_r:etc_t:s0"


def digest(disks):
    return [hashlib.sha256(disk.read_bytes()).hexdigest() for disk in disks]


def words(disks):
    return [word for disk in disks for word in ("--disk", disk)]


def morph(disks, *options, expect=0):
    output = run(MORPH, "--json", "--nic", f"{phonylinux.MAC}=eth0", *options, *words(disks),
                 expect=expect, timeout=300)
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return lines[-1]


def debugfs(image, command):
    return subprocess.run(["/usr/sbin/debugfs", "-R", command, image], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def context(image, path):
    """As stored: with its NUL byte, which debugfs shows as \\000."""
    return debugfs(image, f"ea_get -V {path} security.selinux").rstrip("\n").rstrip("\0")


def give_context(disk, path):
    start = (1 + phonydisk.BOOT_MIB) << 20
    run("/usr/sbin/debugfs", "-w", "-R", f"ea_set {path} security.selinux {ETC_T}",
        f"{disk}?offset={start}")


def script(name, text):
    path = work / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    return path


# A guest with SELinux: everything on demand at once.
(work / "key.pub").write_text(KEY + "\n")
disks = phonydisk.make(FAMILIES["rocky8"], work / "rocky8", with_shell=True)
give_context(disks[0], "/etc/fstab")
pre = script("pre", "echo before; echo '/dev/sdb1 /more ext4 defaults 0 0' >>/etc/fstab")
post = script("post", "read -r line </etc/fstab; while read -r line; do echo \"$line\"; done "
                      "</etc/fstab; echo done >/srv-was-here")
broken = script("broken", "echo what is wrong >&2; exit 3")
later = script("later", "echo later")
ON_DEMAND = ["--ssh-key", f"anna={work}/key.pub", "--script-firstboot", later]

before = digest(disks)
failure = morph(disks, *ON_DEMAND, "--ssh-key", f"nobody={work}/key.pub", "--script-pre", pre,
                expect=20)
check("no user 'nobody'" in failure["error"] and not failure["changed"], "a refusal")
check(digest(disks) == before, "a refusal comes before the script")

result = morph(disks, *ON_DEMAND, "--script-pre", pre, "--script-post", post)
check([(s["when"], s["name"]) for s in result["scripts"]] == [("pre", "pre"), ("post", "post")],
      "both scripts are told of")
check(result["scripts"][0]["output"] == "before\n", "what a script said")
check(f"UUID={phonylinux.HOME_UUID} /more ext4" in result["scripts"][1]["output"],
      "the plan was made of what the first script left, and the second saw what came of it")
check([n["mac"] for n in result["nics"]] == [phonylinux.MAC], "each card once")

after = digest(disks)
again = morph(disks, *ON_DEMAND)
check(again["changes"] == [] and not again["changed"], f"a second run wants {again['changes']}")
check(digest(disks) == after, "a second run leaves the disks as they are")

with phonydisk.root(disks[0]) as image:
    run("/usr/sbin/e2fsck", "-fn", image)
    check(context(image, "/etc/fstab") == ETC_T, "a rewritten file keeps its context")
    for change in result["changes"]:
        if "label" in change and not change["path"].startswith("/boot"):
            found = context(image, change["path"])
            check(found == change["label"], f"{change['path']} has {found!r}: {change}")
    check(sum("label" in change for change in result["changes"]) > 8, "many were labelled")
    keys = next(c["path"] for c in result["changes"] if c["path"].endswith("authorized_keys"))
    check(KEY in debugfs(image, f"cat {keys}"), "the key is there")
    for path, mode in ((keys, "0600"), (keys.rsplit("/", 1)[0], "0700")):
        stat = debugfs(image, f"stat {path}")
        check(f"Mode:  {mode}" in stat and "User:  1000   Group:  1000" in stat, f"{path}: {stat}")
    check("ssh_home_t" in context(image, keys), "sshd may read the key")
    check("later" in debugfs(image, "cat /var/lib/slipway/firstboot.d/50-later"), "for later")
    check("slipway-script" not in debugfs(image, "ls /"), "the scripts are gone")
    check("srv-was-here" in debugfs(image, "ls /"), "what a script made stays")

failure = morph(disks, "--script-pre", broken, expect=1)
check("'broken' ended with 3" in failure["error"] and "what is wrong" in failure["error"] and
      failure["changed"], f"a failing script: {failure}")

# A guest of long ago.
disks = phonydisk.make(FAMILIES["centos6"], work / "centos6")
result = morph(disks)
check({"fstab", "bootconfig", "initramfs", "agents"} <= {c["change"] for c in result["changes"]},
      "all kinds of change were needed")
after = digest(disks)
check(morph(disks)["changes"] == [] and digest(disks) == after, "a second run changes nothing")

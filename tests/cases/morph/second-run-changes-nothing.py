# SPDX-License-Identifier: Apache-2.0
# timeout: 300
"""Over NBD: --dry-run writes nothing and tells what a run then does; a second run leaves the disk
as it is, bit for bit."""

import hashlib
import json

import phony
from case import build, check, require, run, start, wait_until, work

require("root", "nbdkit", "debugfs", build / "morph/slipway-morph")
MAC = "52:54:00:00:00:01"
disk, fs, sock = work / "disk.raw", work / "root.fs", work / "n.sock"


def digest():
    return hashlib.sha256(disk.read_bytes()).hexdigest()


def morph(*words):
    output = run(build / "morph/slipway-morph", "--json", "--nic", MAC, *words,
                 "--disk", f"nbd+unix:///morph/sda?socket={sock}")
    return json.loads(output.splitlines()[-1])


def cat(path):
    """A file of the guest's root filesystem, which starts at 1 MiB."""
    return run("/usr/sbin/debugfs", "-R", f"cat {path}", fs, quiet=True)


phony.debian(disk)
start("nbdkit", "-f", "-U", sock, "--filter=exportname", "file", disk,
      "exportname=morph/sda", "exportname-strict=true")
wait_until(sock.exists, "nbdkit's socket")

before = digest()
plan = morph("--dry-run")
check(plan["dry_run"] and not plan["changed"], "a dry run says that it is one")
check(digest() == before, "a dry run wrote to the disk")

result = morph()
check(result["changed"], "the guest was changed")
check(result["changes"] == plan["changes"], "the run did what the dry run told")
check(result["nics"] == [{"mac": MAC, "name": "ens192"}], "the card keeps its name")
check(not result["guest_agent"], "no agent is announced where none is installed")
after = digest()
check(after != before, "something was written")

run("dd", f"if={disk}", f"of={fs}", "bs=1M", "skip=1", "count=64", "status=none")
run("/usr/sbin/e2fsck", "-fn", fs)
check("/dev/sda" not in cat("/etc/fstab") and cat("/etc/fstab").count("UUID=") >= 2,
      "fstab names filesystems by UUID")
check("root=UUID=" in cat("/boot/grub/grub.cfg"), "the root is named by UUID")
check("console=ttyS0" in cat("/boot/grub/grub.cfg"), "the serial console is kept")
check(f"MACAddress={MAC}" in cat("/etc/systemd/network/10-slipway-ens192.link"), "a .link file")

again = morph()
check(again["changes"] == [] and not again["changed"], "a second run has nothing to do")
check(digest() == after, "a second run wrote to the disk")

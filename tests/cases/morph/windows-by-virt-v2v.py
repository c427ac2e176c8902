# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 1500
"""Where virt-v2v-in-place is installed it gives a Windows guest its drivers: over NBD, with our
own changes on top; a second run finds nothing to do.  When it fails, its last words are the
failure, and the draft must go.  Its helpers for Windows are stand-ins here."""

import hashlib
import json
import os

import hivefile
import phonywin
from case import build, check, require, run, start, wait_until, work

require("root", "nbdkit", "nbdfuse", "ntfs-3g", "mkntfs", "virt-v2v-in-place", "/dev/fuse",
        build / "morph/slipway-morph")
tree, tools, disk, sock = work / "virtio-win", work / "tools", work / "disk.raw", work / "n.sock"
phonywin.drivers(tree)
phonywin.windows(disk, "2k19")
start("nbdkit", "-f", "-U", sock, "--filter=exportname", "file", disk, "exportname=morph/sda",
      "exportname-strict=true")
wait_until(sock.exists, "nbdkit's socket")
WORDS = [build / "morph/slipway-morph", "--json", "--nic", phonywin.MAC, "--disk",
         f"nbd+unix:///morph/sda?socket={sock}", "--virtio-win", tree]
os.environ["VIRT_TOOLS_DATA_DIR"] = str(tools)


def digest():
    return hashlib.sha256(disk.read_bytes()).hexdigest()


def failure(output):
    return json.loads([line for line in output.splitlines() if '"error"' in line][-1])


before = digest()
# A program of this name that fails as the real one does.
false = work / "false"
false.mkdir()
(false / "virt-v2v-in-place").write_text(
    "#!/bin/sh\necho 'virt-v2v-in-place: error: no room on the moon'\necho later >&2\nexit 1\n")
(false / "virt-v2v-in-place").chmod(0o755)
tools.mkdir()
for name in ("rhsrvany.exe", "pnp_wait.exe"):
    (tools / name).write_text("stand-in\n")
path = os.environ["PATH"]
os.environ["PATH"] = f"{false}:{path}"
said = failure(run(*WORDS, expect=1, timeout=400))
check("no room on the moon" in said["error"] and said["changed"], f"its last error is told: {said}")
check(digest() == before, "nothing was written by a program that writes nothing")
os.environ["PATH"] = path

result = json.loads(run(*WORDS, timeout=900).splitlines()[-1])
check(result["changed"] and "virt-v2v" in result["phases"], "virt-v2v-in-place was at work")
check(result["hints"]["disk_bus"] == "virtio", f"the disk may be virtio: {result['hints']}")
check(not list(work.glob("**/v2v.*")), "nothing is left behind")
told = {c["path"]: c for c in result["changes"] if c["kind"] == "done"}
check(told["/Windows/System32/config/SYSTEM"]["before"] != told[
    "/Windows/System32/config/SYSTEM"]["after"], "the report tells what virt-v2v changed")
check("/Windows/Drivers/VirtIO/netkvm.inf" in told, "and which files it brought")
after, volume = digest(), work / "volume"
phonywin.volume_of(disk, volume)
with phonywin.Mounted(volume, work / "mount", "-o", "ro") as root:
    hive = root / "Windows/System32/config/SYSTEM"
    check(hivefile.read(hive, r"ControlSet001\Services\viostor", "Start") == 0, "viostor starts")
    check(hivefile.read(hive, r"ControlSet001\Services\firstboot", "Start") == 2,
          "the first boot of virt-v2v")
    check(hivefile.read(hive, r"ControlSet001\Services\SlipwayFirstBoot", "Start") == 2,
          "and ours")
    check((root / "Windows/Drivers/VirtIO/netkvm.inf").exists(), "its driver packages")
    check(not (root / "Windows/Slipway/drivers").exists(), "not ours as well")
    check(phonywin.ADDRESS in (root / "Windows/Slipway/network.ps1").read_text(),
          "the address is kept, which virt-v2v does not do")
again = json.loads(run(*WORDS, timeout=400).splitlines()[-1])
check(again["changes"] == [] and not again["changed"], f"a second run: {again['changes']}")
check("virt-v2v" not in again["phases"] and digest() == after, "a second run wrote to the disk")

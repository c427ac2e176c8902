# SPDX-License-Identifier: Apache-2.0
# timeout: 300
"""slipway-morph --wait is started on a draft that is not there yet, while the store has not even
its first generation; told to go, it changes the draft of the last generation.  Without the word,
nothing is changed, and neither the draft nor the engine is held up."""

import json
import subprocess

import phony
from byhand import engine, engine_json, program, serve_file
from case import build, check, defer, require, run, start, wait_until, work

require("root", "nbdkit", build / "morph/slipway-morph")
MAC = "52:54:00:00:00:01"
image = work / "src.img"
phony.debian(image)
engine("create", "s", "--disk", f"sda=t.raw:{image.stat().st_size}")
start(program, "engine", "serve", work / "s")
wait_until((work / "s/control.sock").exists, "the engine")
URI = f"nbd+unix:///morph/sda+early?socket={work}/s/nbd.sock"


def warm():
    """A slipway-morph whose appliance runs and which waits."""
    process = subprocess.Popen(
        [build / "morph/slipway-morph", "--json", "--wait", "--disk", URI, "--nic", MAC],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    defer(process.kill)
    for line in process.stderr:
        print(line, end="")
        if json.loads(line) == {"phase": "wait", "state": "begin"}:
            return process
    raise AssertionError("slipway-morph ended before it waited")


morph, idle = warm(), warm()
uri = serve_file(image)
engine("sync", "s", f"sda={uri}", "--snapshot", "p0")
engine("draft", "create", "s", "morph")

idle.stdin.close()
check(idle.wait(timeout=60) == 20, "without the word nothing is changed, and the exit code says so")
check('"changed":false' in idle.stderr.read(), "and so does the failure")
listed = engine_json("draft", "list", "s")["drafts"][0]
print(listed)

output, errors = morph.communicate("go\n", timeout=200)
print(errors)
check(morph.returncode == 0, f"exit code {morph.returncode}")
result = json.loads(output)
check(result["changed"] and {"wait", "look", "inspect"} <= set(result["phases"]), "all phases came")
engine("draft", "seal", "s", "morph")
run("qemu-img", "convert", "-O", "raw", f"nbd+unix:///sda?socket={work}/s/nbd.sock", work / "out")
run("dd", f"if={work}/out", f"of={work}/fs", "bs=1M", "skip=1", "count=64", "status=none")
run("/usr/sbin/e2fsck", "-fn", work / "fs")
fstab = run("/usr/sbin/debugfs", "-R", "cat /etc/fstab", work / "fs", quiet=True)
check("UUID=" in fstab and "/dev/sda" not in fstab, "the generation is the changed guest")

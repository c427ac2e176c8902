#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 400
"""diff --files names the files that changed between two generations, and changes nothing."""

import json
import subprocess

import phony
from byhand import engine, program, serve_file
from case import check, require, run, work

require("root", "nbdkit", "virt-diff", "debugfs", "mkfs.ext4")
OFFSET = 1 << 20  # of the root filesystem
image = work / "disk.raw"
phony.FILES["bin/sh"] = "not a shell\n"  # or libguestfs sees no system
phony.debian(image)
uri = serve_file(image)
engine("create", "s p", "--disk", f"sda=t.raw:{image.stat().st_size}", "--keep", "2")
engine("sync", "s p", f"sda={uri}", "--snapshot", "p0")

(work / "motd").write_text("hello\n")
(work / "hostname").write_text("renamed\n")
run("debugfs", "-w", "-f", "-", f"{image}?offset={OFFSET}", stdin=f"""
rm /etc/debian_version
write {work}/motd /etc/motd
rm /etc/hostname
write {work}/hostname /etc/hostname
""")
engine("sync", "s p", f"sda={uri}", "--snapshot", "p1", "--compare")
before = (work / "t.raw").read_bytes()

# The engine is one for this command, and must live until virt-diff has seen everything.
told = subprocess.run([program, "engine", "diff", work / "s p", "0", "1", "--files", "--json"],
                      check=True, timeout=360, stdout=subprocess.PIPE, text=True).stdout
print(told)
answer = json.loads(told)
files = answer["files"]


def has(sign, path):
    return any(line.startswith(f"{sign} - ") and line.endswith(f" {path}") for line in files)


check(has("-", "/etc/debian_version"), "a file that was removed")
check(has("+", "/etc/motd"), "a file that was added")
check(has("=", "/etc/hostname") and "+renamed" in files, "a file that was changed")
check(not any("fstab" in line for line in files), "and no other")
check(answer["disks"][0]["changed_bytes"] > 0, "the bytes are told, too")
check((work / "t.raw").read_bytes() == before, "the target is as it was")

# SPDX-License-Identifier: Apache-2.0
"""A mounted slipwayfs.

    mount = Mount(work)            the folder of stores
    (mount.path / "vm/sda.raw").read_bytes()
    mount.stop()
"""

import os
import subprocess

from case import build, check, defer, run, start, stop, wait_until, work

SLIPWAYFS = build / "fusefs" / "slipwayfs"
SUSPICIOUS = ("fuse:", "assert", "Sanitizer", "runtime error", "double free", "corrupt")


def unmount(path):
    """However it is: nothing of a test stays mounted."""
    subprocess.run(["umount", "-l", path], check=False, stderr=subprocess.DEVNULL)


class Mount:
    """The program runs until the test ends; its log is looked at for words that should not be."""

    count = 0

    def __init__(self, stores, *options):
        Mount.count += 1
        self.path = work / f"mnt{Mount.count}"
        self.log_path = work / f"slipwayfs{Mount.count}.log"
        self.path.mkdir()
        defer(unmount, self.path)
        self.process = start(SLIPWAYFS, "-f", *options, stores, self.path,
                             log=self.log_path)
        wait_until(lambda: self.process.poll() is not None or os.path.ismount(self.path),
                   "the mount", pause=0.02)
        check(self.process.poll() is None, f"slipwayfs starts: {self.log()}")

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def stop(self):
        """SIGTERM, which unmounts."""
        stop(self.process)
        check(self.process.returncode == 0, f"slipwayfs ends well: {self.process.returncode}")
        check(not os.path.ismount(self.path), "and has unmounted")
        for word in SUSPICIOUS:
            check(word not in self.log(), f"'{word}' is not in its log:\n{self.log()}")


def fail_to_mount(*words, expect, says):
    """It does not start; the sentence has all the words of `says`."""
    output = run(SLIPWAYFS, "-f", *words, expect=expect)
    for word in says:
        check(word in output, f"it says '{word}'")
    check(output.count("\n") == 1, "in one sentence")

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A guest on RAID1 boots on virtio with both halves in the array: both got the changes."""

import morphed
from case import check, run, work

FIRST, LENGTH = 1 << 20, 1199 << 20  # the filesystem; behind it each half has a superblock


def both_are_the_same(images):
    for image in images:
        run("qemu-img", "convert", "-O", "raw", image, work / f"{image.stem}.raw")
    run("cmp", "-n", LENGTH, "-i", FIRST, *(work / f"{image.stem}.raw" for image in images))


def both_are_in(agent):
    state = agent.run("cat /proc/mdstat")
    check("[UU]" in state, f"both disks are in the array: {state}")


morphed.boots("md", {"/": "/dev/md0"}, needs=("fstab", "network", "initramfs", "agents"),
              between=both_are_the_same, also=both_are_in)

# SPDX-License-Identifier: Apache-2.0
"""What the recorder of tests/guests wrote: records that prove what arrived.

One line a record: NUMBER TIME BLOCKSUM PREVIOUS SUM (tests/guests/overlay/usr/local/sbin/recorder).
"""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 65536
BLOCKS = 1024
FIRST_PARTITION = 1 << 20
START = hashlib.sha256(b"start").hexdigest()


@dataclass(frozen=True)
class Record:
    number: int
    time: float
    block_sum: str
    previous: str
    sum: str


class Broken(Exception):
    """A record that is missing, changed or repeated."""


def parse(text):
    """The records of a whole file, each checked against its own sum and against the one before."""
    records, previous = [], START
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) != 5:
            raise Broken(f"line {len(records) + 1} is not a record: {line[:100]!r}")
        body = " ".join(fields[:4]).encode()
        record = Record(int(fields[0]), float(fields[1]), *fields[2:])
        if record.number != len(records) + 1:
            raise Broken(f"record {len(records) + 1} is missing: {record.number} is in its place")
        if hashlib.sha256(body).hexdigest() != record.sum:
            raise Broken(f"record {record.number} does not match its checksum")
        if record.previous != previous:
            raise Broken(f"record {record.number} does not follow on the one before")
        previous = record.sum
        records.append(record)
    if not records:
        raise Broken("there is no record at all")
    return records


def check_blocks(records, blocks):
    """Compares the blocks file of the second disk with the last records; how many it covered.

    The disk is one block ahead when it was frozen between a block and its record."""
    last = records[-BLOCKS + 1:]
    for record in last:
        offset = record.number % BLOCKS * BLOCK_BYTES
        found = hashlib.sha256(blocks[offset:offset + BLOCK_BYTES]).hexdigest()
        if found != record.block_sum:
            raise Broken(f"the block of record {record.number} is not the one on the second disk")
    return len(last)


def read_file(image, path, scratch, image_format="qcow2"):
    """Bytes of a file in the first partition (ext4) of an image that nobody writes, by debugfs."""
    raw, copy = Path(scratch) / "image.raw", Path(scratch) / "file"
    try:
        if image_format == "raw":
            raw.symlink_to(image)
        else:
            subprocess.run(["qemu-img", "convert", "-f", image_format, "-O", "raw", str(image),
                            str(raw)], check=True)
        subprocess.run(["/usr/sbin/debugfs", "-R", f"dump {path} {copy}",
                        f"{raw}?offset={FIRST_PARTITION}"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not copy.exists():
            raise Broken(f"{path} is not in the first partition of {image}")
        return copy.read_bytes()
    finally:
        raw.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)

# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 900
"""A Windows guest that sleeps, is encrypted, is marked for a check, has a damaged registry, or for
which there are no drivers, is refused with the way out, and its disk stays as it was."""

import hashlib
import json

import phonywin
from case import build, check, require, run, work

require("root", "ntfs-3g", "mkntfs", "/dev/fuse", build / "morph/slipway-morph")
empty = work / "no-drivers"
empty.mkdir()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


for kind, sentence, words in (("hibernated", "shutdown /s /t 0", []),
                              ("bitlocker", "manage-bde -off", []),
                              ("marked", "chkdsk /f", []),
                              ("damaged", "SYSTEM is damaged", []),
                              ("drivers", "cannot be opened", ["--virtio-win", work / "missing"])):
    disk = work / f"{kind}.raw"
    phonywin.windows(disk, "w10", kind)
    before = digest(disk)
    output = run(build / "morph/slipway-morph", "--json", "--windows-engine", "own", "--disk", disk,
                 *(words or ["--virtio-win", empty]), expect=20, timeout=300)
    failure = json.loads([line for line in output.splitlines() if '"error"' in line][-1])
    check(sentence in failure["error"], f"'{sentence}' is not in: {failure['error']}")
    check(failure["changed"] is False, "a refusal says that nothing was changed")
    check(digest(disk) == before, f"the disk of the guest '{kind}' was changed")
    disk.unlink()

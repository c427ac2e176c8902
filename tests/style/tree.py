# SPDX-License-Identifier: Apache-2.0
"""The files of the checkout, for the checks of this folder."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def files():
    """Names of all files that git knows or would take up, relative to the root."""
    out = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "--cached",
                          "--others", "--exclude-standard", "-z"],
                         check=True, stdout=subprocess.PIPE).stdout
    names = sorted(name.decode() for name in out.split(b"\0") if name)
    return [name for name in names if (ROOT / name).is_file()]


def texts(names):
    for name in names:
        data = (ROOT / name).read_bytes()
        if b"\0" not in data:
            yield name, data.decode("utf-8")


def c_files():
    """(name, text) of every C file and header."""
    return texts(name for name in files() if name.endswith((".c", ".h")))


def report(what, complaints):
    """Prints the complaints; the exit code for main()."""
    for complaint in complaints:
        print(complaint)
    print(f"{what}: " + (f"{len(complaints)} complaints" if complaints else "good"))
    return 1 if complaints else 0

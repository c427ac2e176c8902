#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
"""Every source file names its licence in its first lines."""

import sys

from tree import files, report, texts

SUFFIXES = (".c", ".h", ".py", ".sh")
SCRIPTS = ("run", ".ci/run")
LINE = "SPDX-License-Identifier: Apache-2.0"


def main():
    names = [n for n in files() if n.endswith(SUFFIXES) or n in SCRIPTS]
    complaints = [f"{name}: no line '{LINE}' in the first three lines"
                  for name, text in texts(names) if LINE not in "\n".join(text.splitlines()[:3])]
    return report("licence", complaints)


if __name__ == "__main__":
    sys.exit(main())

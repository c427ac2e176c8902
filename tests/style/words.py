#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
"""What has no place in the tree: unfinished work, paths of one machine, C99 comments."""

import re
import sys

from tree import c_files, files, report, texts

EVERYWHERE = {
    r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b": "unfinished work belongs in an issue",
    r"/(home|work|Users)/[a-z]": "a path of one machine",
    r"/root/": "a path of one machine",
    r"<" r"<<<<<< |>" r">>>>>> ": "a merge conflict",
}
IN_C = {
    r"^(?:[^\"'/*]|/(?![/*]))*//": "comments are /* like this */",
    r"\btypedef\s+(struct|union|enum)\b": "structures are not hidden behind a typedef",
    r"\b(strcat|sprintf|gets|system|popen)\s*\(": "use base/str.h or base/proc.h",
}
PRODUCT = ("base/", "engine/", "nbdplugin/", "fusefs/", "orchestrator/", "morph/")
IN_PRODUCT = {r"\"/(var/)?tmp/": "temporary files go where the caller says"}
SUFFIXES = (".c", ".h", ".py", ".sh", ".md", ".yaml", ".build", "run")


def search(name, text, rules):
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, why in rules.items():
            if re.search(pattern, line):
                yield f"{name}:{number}: {why}: {line.strip()[:80]}"


def main():
    complaints = []
    for name, text in texts(n for n in files() if n.endswith(SUFFIXES)):
        if name != "tests/style/words.py":
            complaints += search(name, text, EVERYWHERE)
    for name, text in c_files():
        complaints += search(name, text, IN_C)
        if name.startswith(PRODUCT):
            complaints += search(name, text, IN_PRODUCT)
    return report("words", complaints)


if __name__ == "__main__":
    sys.exit(main())

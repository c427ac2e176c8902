#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
"""Files of at most 900 lines, functions of at most 120, lines of at most 100 columns.

Tables in block comments may be wider.
"""

import statistics
import sys

from tree import c_files, files, report, texts

FILE_LINES = 900
FUNCTION_LINES = 120
COLUMNS = 100
COMMENT_COLUMNS = 125
TAB = "\t"


def functions(text):
    """(name, first line, length) of the functions, each between '{' and '}' alone in column 0."""
    lines = text.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            head = next((lines[i] for i in range(start - 2, -1, -1)
                         if lines[i] and not lines[i][0].isspace() and "(" in lines[i]), "?")
            yield head.partition("(")[0].split()[-1].lstrip("*"), start, number - start - 1
            start = None


def main():
    complaints, lengths, sizes = [], [], []
    for name, text in c_files():
        sizes.append(text.count("\n"))
        if sizes[-1] > FILE_LINES:
            complaints.append(f"{name}: {sizes[-1]} lines, at most {FILE_LINES}")
        for function, line, length in functions(text):
            lengths.append(length)
            if length > FUNCTION_LINES:
                complaints.append(f"{name}:{line}: {function}() has {length} lines, "
                                  f"at most {FUNCTION_LINES}")
    for name, text in texts(n for n in files() if n.endswith((".c", ".h", ".py", ".sh"))):
        for number, line in enumerate(text.splitlines(), 1):
            limit = COMMENT_COLUMNS if line.lstrip().startswith(("*", "/*")) else COLUMNS
            if len(line) > limit:
                complaints.append(f"{name}:{number}: {len(line)} columns, at most {limit}")
            if line != line.rstrip():
                complaints.append(f"{name}:{number}: white space at the end")
            if TAB in line and not name.endswith(".sh"):
                complaints.append(f"{name}:{number}: a tab")
    if lengths:
        print(f"{len(sizes)} C files, median {statistics.median(sizes):.0f} lines; "
              f"{len(lengths)} functions, median {statistics.median(lengths):.0f} lines")
    return report("sizes", complaints)


if __name__ == "__main__":
    sys.exit(main())

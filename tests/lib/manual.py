# SPDX-License-Identifier: Apache-2.0
"""What --help and the man pages say: verbs, options and exit codes, as sets to compare."""

import re

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")


def difference(left, right):
    """What is in one of two sets only, as a sentence; empty when they are the same."""
    said = []
    if left - right:
        said.append(f"only in --help: {', '.join(sorted(left - right))}")
    if right - left:
        said.append(f"only in the man page: {', '.join(sorted(right - left))}")
    return "; ".join(said)


def section(page, name):
    parts = page.split(f"\n## {name}\n")
    return parts[1].split("\n## ")[0] if len(parts) == 2 else ""


def help_options(text):
    """Options that a --help of one option a line defines."""
    return set(re.findall(r"^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)", text, re.M))


def help_verbs(text):
    """Verbs that slipway --help lists: {"source add", …}."""
    verbs = set()
    for line in re.findall(r"^  slipway (.*?)(?:  |$)", text, re.M):
        words = []
        for word in line.split():
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            words.append(word)
        verbs.add(" ".join(words))
    return verbs


def page_verbs(page):
    """Verbs of a SYNOPSIS: "**slipway a** | **b c**" names "a" and "b c"."""
    verbs = set()
    for line in section(page, "SYNOPSIS").splitlines():
        if not line.startswith("**slipway "):
            continue
        for bold in re.findall(r"\*\*([^*]+)\*\*", line.split(" [")[0]):
            name = bold.removeprefix("slipway ")
            if re.fullmatch(r"[a-z][a-z -]*", name):
                verbs.add(name)
    return verbs


def page_options(page):
    """{verb: options} by the headings "Of **a**, **b** and **c**:"; "" has those of every verb."""
    options, verbs = {}, []
    for line in section(page, "OPTIONS").splitlines():
        heading = re.fullmatch(r"Of (.*):", line)
        defined = re.findall(r"\*\*(--[a-z][a-z0-9-]*)\*\*", line) if line[:4] == "**--" else ()
        if heading:
            verbs = [""] if heading[1].startswith("every verb") \
                else re.findall(r"\*\*([^*]+)\*\*", heading[1])
        for verb in verbs or [""]:
            options.setdefault(verb, set()).update(defined)
    return options


def named_options(text, only_bold_lines=False):
    """Every option that a text names anywhere; for pages that define several a line."""
    if only_bold_lines:
        text = "\n".join(line for line in text.splitlines() if line.startswith(("**", "[**")))
    return set(_OPTION.findall(text))


def exit_codes(text):
    """{number: meaning}, out of "0 done; 1 failed; …"."""
    flat = " ".join(text.split()).rstrip(".")
    return {int(number): meaning for number, meaning in
            (part.strip().split(" ", 1) for part in flat.split(";"))}

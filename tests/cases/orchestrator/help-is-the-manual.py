#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 60
"""Every verb, option and exit code of --help is in the man page and the other way round, for all
programs; and the comparison notices what is missing on either side."""

import re

import manual
from case import build, check, run, source
from fakes import cli_program, daemon_program

page = (source / "orchestrator/slipway.md").read_text()
overview = run(cli_program, "--help", quiet=True)
FOREIGN = {"engine", "mount"}  # have pages of their own


def verb_differences(overview, helps, page):
    """Sentences, one for each difference between slipway's helps and its page."""
    said = [manual.difference(manual.help_verbs(overview), manual.page_verbs(page))]
    options = manual.page_options(page)
    for verb, text in helps.items():
        in_page = options.get(verb, set()) | options.get("", set())
        different = manual.difference(manual.help_options(text), in_page)
        said.append(different and f"{verb}: {different}")
    for verb in set(options) - set(helps) - {""}:
        said.append(f"the man page has options of {verb}, which is no verb")
    codes = manual.exit_codes(overview.split("Exit codes:")[1])
    if codes != manual.exit_codes(manual.section(page, "EXIT STATUS")):
        said.append("the exit codes differ")
    return [sentence for sentence in said if sentence]


helps = {verb: run(cli_program, *verb.split(), "--help", quiet=True)
         for verb in sorted(manual.help_verbs(overview) - FOREIGN)}
for sentence in verb_differences(overview, helps, page):
    print(sentence, flush=True)
check(verb_differences(overview, helps, page) == [], "slipway --help and slipway.md agree")

# The comparison must be able to fail.
PLANTS = (
    (overview.replace("  slipway sync ", "  slipway sink "), helps, page, "sink"),
    (overview, {**helps, "migrate": helps["migrate"].replace("--uuid", "--wuid")}, page, "--wuid"),
    (overview, helps, page.replace("**--pool** *DIR*", "**--pond** *DIR*"), "--pond"),
    (overview, helps, page.replace("**slipway status**", "**slipway state**"), "state"),
    (overview, helps, page.replace("3 not found", "3 not there"), "exit codes"),
    (overview, helps, page.replace("Of **diff**:", "Of **sync**:"), "--files"),
)
for planted_overview, planted_helps, planted_page, word in PLANTS:
    said = verb_differences(planted_overview, planted_helps, planted_page)
    check(any(word in sentence for sentence in said), f"a planted {word} is noticed: {said}")

# The codes are those of the code.
codes = manual.exit_codes(overview.split("Exit codes:")[1])
header = (source / "base/error.h").read_text()
defined = {int(n) for n in re.findall(r"EXIT_CODE_\w+ = (\d+)", header)}
check(set(codes) == defined, f"help explains every exit code of base/error.h: {codes} {defined}")

# Pages with one list of options.
for program, path in ((daemon_program, "orchestrator/slipwayd.md"),):
    text, manual_text = run(program, "--help", quiet=True), (source / path).read_text()
    said = manual.difference(manual.help_options(text), manual.page_options(manual_text)[""])
    check(not said, f"{path}: {said}")

# Pages whose options stand beside their verbs.
for argv, path in (((cli_program, "engine"), "orchestrator/cli/slipway-engine.md"),
                   ((build / "morph/slipway-morph",), "morph/slipway-morph.md"),
                   ((build / "fusefs/slipwayfs",), "fusefs/slipwayfs.md")):
    if not argv[0].exists():
        continue
    text, manual_text = run(*argv, "--help", quiet=True), (source / path).read_text()
    said = manual.difference(manual.named_options(text),
                             manual.named_options(manual_text, only_bold_lines=True))
    check(not said, f"{path}: {said}")
    victim = sorted(manual.named_options(text))[0]
    check(manual.difference(manual.named_options(text.replace(victim, "--planted")),
                            manual.named_options(manual_text, only_bold_lines=True)),
          f"{path}: a planted option is noticed")

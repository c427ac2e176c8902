#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 120
"""bash completes every verb and option of --help, and the names that slipwayd knows."""

import os
import subprocess

import manual
from case import check, run, source, work
from fakes import Platform, cli_program

SCRIPT = """
compopt() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_slipway
printf '%s\\n' "${COMPREPLY[@]}"
"""

p = Platform(work / "p")
environment = {**os.environ, "SLIPWAY_SOCKET": str(p.socket)}


def completed(*words):
    """What bash offers behind these words, the last of which is being written."""
    result = subprocess.run(
        ["bash", "-c", SCRIPT, "bash", source / "orchestrator/cli/slipway.bash", cli_program,
         *words], env=environment, cwd=work, text=True, check=True, timeout=30,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return {line for line in result.stdout.splitlines() if line}


run("bash", "-n", source / "orchestrator/cli/slipway.bash")
overview = run(cli_program, "--help", quiet=True)
verbs = manual.help_verbs(overview)
check({verb.split()[0] for verb in verbs} <= completed(""), "every verb is offered")
check(completed("mig") == {"migrate"}, "only what begins so")
for verb in sorted(verbs):
    words = verb.split()
    if len(words) == 2:
        check(words[1] in completed(words[0], ""), f"{verb}: its second word is offered")
    options = manual.help_options(run(cli_program, *words, "--help", quiet=True)) \
        if verb not in ("engine", "mount") else set()
    offered = completed(*words, "--")
    check(options <= offered, f"{verb}: {sorted(options - offered)} are not offered")
engine = run(cli_program, "engine", "--help", quiet=True)
everything = {option for verb in completed("engine", "") for words in ((), ("create",), ("begin",))
              for option in completed("engine", verb, *words, "--")}
check(manual.named_options(engine) <= everything,
      f"engine: {manual.named_options(engine) - everything} are not offered")

check(completed("status", "") == set(), "without slipwayd no names, and no complaint")
p.start()
p.add_source()
p.migrate("web")
p.migrate("wiki")
for verb in ("status", "sync", "cutover", "cancel", "remove", "report", "diff", "rehearse"):
    check(completed(verb, "w") == {"web", "wiki"}, f"{verb} is offered the names of migrations")
check(completed("source", "remove", "") == {"src"}, "sources")
check(completed("migrate", "") == {"src/"}, "sources that have VMs")
check(completed("migrate", "src/") == {"src/web"}, "VMs of a source")
check(completed("migrate", "--accel", "") == {"auto", "kvm", "tcg"}, "values of an option")
(work / "a-folder").mkdir()
(work / "a-file").touch()
check(completed("migrate", "--pool", "a-") == {"a-folder"}, "folders")
check(completed("source", "add", "--password-file", "a-") == {"a-folder", "a-file"}, "files")
check(completed("status", "--socket", str(work / "nobody"), "") == set(), "--socket counts")
check(completed("nonsense", "") == {"--help"}, "an unknown verb is no failure")

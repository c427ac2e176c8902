#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: quick
# timeout: 30
"""What is written down is what the programs do: routes, states, parameters."""

import re

import yaml

from case import check, run, source
from fakes import daemon_program

SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "EXAMPLES")
METHODS = ("get", "post", "put", "patch", "delete")


def same(left, right, what):
    check(left == right, f"{what}: only in the first {sorted(left - right)}, only in the second "
                         f"{sorted(right - left)}")


api = yaml.safe_load((source / "docs/api.yaml").read_text())
described = {f"{method.upper()} {path}" for path, item in api["paths"].items()
             for method in item if method in METHODS}
routes = set(run(daemon_program, "--dump-routes", quiet=True).splitlines())
same(described, routes, "docs/api.yaml and the routes")

states = run(daemon_program, "--dump-states", quiet=True)
check((source / "docs/STATES.md").read_text().startswith(states),
      "docs/STATES.md begins with what slipwayd --dump-states prints")


def refs(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


for ref in refs(api):
    at = api
    for part in ref.removeprefix("#/").split("/"):
        check(part in at, f"{ref} in docs/api.yaml leads nowhere")
        at = at[part]

# The fields of a migration are those that slipwayd takes.
params = api["components"]["schemas"]["MigrationParams"]["properties"]
code = (source / "orchestrator/params-table.c").read_text()
fields = set(re.findall(r'(?:STRING|BOOL|INTEGER)\("(\w+)"|\.name = "(\w+)"', code))
fields = {a or b for a, b in fields}
same(set(params), fields, "MigrationParams and params.c")

for page in ("slipwayd.md", "slipway.md"):
    manual = (source / "orchestrator" / page).read_text()
    for section in SECTIONS:
        check(f"\n## {section}\n" in manual, f"{page} has the section {section}")

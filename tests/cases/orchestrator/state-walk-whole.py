#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: long
# timeout: 7200
"""As state-walk.py, with every point: slipwayd killed at each, the engine killed before and after
each of its verbs, each operation of source, node and engine failing once."""

from directed import DIRECTED, NEVER
from stories import STORIES
from walk import Walk

walk = Walk(stride=1)
walk.directed(*DIRECTED)
walk.disturb(*STORIES)
walk.tell(NEVER)

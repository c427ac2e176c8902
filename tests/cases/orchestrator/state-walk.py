#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# suite: full
# timeout: 240
"""Every transition of the table of states is taken by some story; stories with slipwayd killed, the
engine killed, or an error at points of them (SLIPWAY_SEED=N: at others) end as they do undisturbed,
with nothing left behind.  state-walk-whole.py has all the points."""

from directed import DIRECTED, NEVER
from stories import STORIES
from walk import Walk

walk = Walk(stride=61)
walk.directed(*DIRECTED)
walk.disturb(*STORIES)
walk.tell(NEVER)

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# manpage.sh PAGE.md OUTPUT VERSION: a man page from its markdown.  The first line names page and
# section, "# slipway(1)"; the sections are second-level headings.
set -eu
title=$(sed -n '1s/^# \(.*\)(.*/\1/p' "$1")
section=$(sed -n '1s/^# .*(\(.*\))/\1/p' "$1")
[ -n "$title" ] && [ -n "$section" ] || {
    echo "$1: the first line must be '# NAME(SECTION)'" >&2
    exit 1
}
tail -n +2 "$1" | sed 's/^## /# /' |
    lowdown -s -tman --out-no-smarty -m title="$title" -m section="$section" \
        -m source="Slipway $3" -m date= >"$2"

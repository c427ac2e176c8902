/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of others on a terminal.  Names of VMs are whatever somebody has typed elsewhere: control
 * characters would move our cursor or worse, and letters can be two columns wide or none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * A copy that may be printed: control characters, marks that turn the direction of writing, and
 * bytes that are not UTF-8 are shown as \x1b or \u202e.  utf8 false (see text_is_utf8()): so is
 * everything beyond ASCII.  Owned by the caller.
 */
char *text_safe(const char *text, bool utf8);

/* Columns that safe text takes. */
size_t text_columns(const char *safe);

/* Safe text as exactly so many columns: cut (with a "…" or "~" as its last one) or filled up with
 * spaces.  Owned by the caller. */
char *text_fit(const char *safe, size_t columns, bool utf8);

/* Whether the locale of the environment writes UTF-8. */
bool text_is_utf8(void);

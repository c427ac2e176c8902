/* SPDX-License-Identifier: Apache-2.0 */
/* The live table of slipway status --watch as lines of text: pure, the terminal is somebody
 * else's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "orchestrator/cli/model.h"

struct table_view {
    size_t columns, lines; /* of the terminal */
    bool utf8;
    int64_t now_ns;        /* wall clock, for ages */
    const char *only;      /* only this migration; NULL: all */
    const char *trouble;   /* what is to be said at the bottom; NULL: nothing */
};

/*
 * Draws the model, what needs attention first; at most view->lines lines, none wider than
 * view->columns.  *ret_lines: an array of so many strings, free both with table_free().
 */
size_t table_draw(const struct model *model, const struct table_view *view, char ***ret_lines);
void table_free(char **lines, size_t count);

/* "[#####     ]", so many columns wide with its brackets; done > total counts as total. */
char *table_bar(uint64_t done, uint64_t total, size_t columns);

/* "0:09", "12:34", "1:02:03" */
void table_format_seconds(double seconds, char *buf, size_t size);

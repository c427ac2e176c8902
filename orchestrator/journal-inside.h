/* SPDX-License-Identifier: Apache-2.0 */
/* For journal-*.c: statements on the journal.  Only journal.c knows the database itself. */
#pragma once

#include "orchestrator/journal.h"

/*
 * Runs one statement.  types has a letter for each value that follows: s text, i int64_t, d double,
 * j JSON; NULL text and JSON become NULL.  ret_rows (may be NULL): a new array of objects whose
 * fields are the columns; those named *_json arrive parsed and without that ending.  EEXIST: the
 * primary key is in use already.
 */
int journal_run(struct journal *journal, json_t **ret_rows, struct error **err, const char *sql,
                const char *types, ...);

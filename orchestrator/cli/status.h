/* SPDX-License-Identifier: Apache-2.0 */
/* The live table of slipway status --watch. */
#pragma once

#include <jansson.h>

struct cli_common;

/* Shows the table until it is interrupted, then ends the process; `only`: one migration, or NULL.
 * -ENOTTY when there is no terminal to draw on. */
int status_table(const struct cli_common *common, const json_t *snapshot, const char *only);

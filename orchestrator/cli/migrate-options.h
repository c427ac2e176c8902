/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of a migration as options of the command line. */
#pragma once

#include <jansson.h>
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/verbs.h"

/* Of slipway migrate, and of slipway set: those that may be changed later. */
extern const struct cli_option migrate_options[], set_options[];

/* Takes one of them into the body of a request, `context`.  -1: go on; otherwise the exit code. */
int migrate_take(struct cli_common *common, int key, void *context);

#define INSTANT_HELP                                                                               \
    "do not wait for the last delta: the VM starts at once and what\n"                             \
    "is missing is fetched from the stopped source while it runs"

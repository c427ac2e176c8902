/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting on standard input for the word that the disks are ready. */
#pragma once

#include "base/error.h"

/*
 * Returns 0 once the line "go" has come.  -ECANCELED with a sentence at the end of standard input or
 * after a signal, -EINVAL for any other line.
 */
int wait_for_go(struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGTERM, SIGINT and SIGHUP end the appliance, not this process: the call that waits for it fails,
 * and the way out is that of any failure, which removes libguestfs's temporary files.
 */
#pragma once

#include <stdbool.h>

/* Takes the signals over.  Before any thread is started. */
void interrupt_watch(void);

/* True once one of them came. */
bool interrupt_came(void);

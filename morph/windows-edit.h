/* SPDX-License-Identifier: Apache-2.0 */
/* What the changes to Windows share: files that are put below its directory. */
#pragma once

#include "morph/plan.h"
#include "morph/windows.h"

/* The guest agent's installer, below "Slipway" in the directory of Windows. */
#define WINDOWS_AGENT_FILE "qemu-ga.msi"

/*
 * Proposes the file `below` the directory of Windows with a copy of data, unless the guest has it
 * so already.  Takes what and why.  1 when proposed, 0 when not, -errno.
 */
int windows_put(struct facts *facts, struct plan *plan, const char *change, const char *below,
                const void *data, size_t length, char *what, char *why, struct error **err);

/* The same for a text, whose lines end with CR LF in the guest. */
int windows_put_text(struct facts *facts, struct plan *plan, const char *change, const char *below,
                     const char *text, char *what, char *why, struct error **err);

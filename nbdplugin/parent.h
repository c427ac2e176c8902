/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* nbdkit 1.32 asks the kernel for SIGTERM at its parent's end whether --exit-with-parent was given or
 * not.  An engine outlives whoever started it, unless it was given. */
void outlive_parent(void);

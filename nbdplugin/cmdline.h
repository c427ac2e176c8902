/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The arguments of this program, NULL-terminated; the caller frees the first one, which holds them
 * all, and the list.  NULL: they cannot be read. */
char **cmdline_read(void);

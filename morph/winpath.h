/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows takes "\WINDOWS\system32" and "\Windows\System32" for the same; the tree does not.  Pure.
 */
#pragma once

#include <stdbool.h>
#include "morph/tree.h"

/*
 * `path` ("/Windows/System32/cmd.exe") with each name written as the guest has it, or NULL when
 * there is no such file or directory.  Owned by the caller.
 */
char *winpath_find(const struct tree *tree, const char *path);

/* As winpath_find(); names from the first missing one on stay as they are written.  Never NULL. */
char *winpath_resolve(const struct tree *tree, const char *path);

/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the facts from a guest whose root is mounted. */
#pragma once

#include "morph/facts.h"

/* True when the tree looks like the root of a Linux system. */
int inspect_is_root(const struct tree *tree);

/* os-release into *ret_os (owned by the caller: os_done()). */
int inspect_os(const struct tree *tree, struct os *ret_os, struct error **err);
void os_done(struct os *os);
enum family inspect_family(const struct os *os);

#define KERNELS_MAX 64

/* Kernels with modules in /lib/modules and an image, oldest first.  -ENOENT when none. */
int inspect_kernels(const struct tree *tree, struct kernel **ret_kernels, size_t *ret_count,
                    struct error **err);

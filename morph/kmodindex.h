/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writer of the binary indexes of kmod (modules.dep.bin, modules.alias.bin).  They are made here,
 * from the text files, so that no ELF file of the guest is ever parsed on the host.
 */
#pragma once

#include <stdint.h>
#include "morph/buffer.h"

struct kmodindex;

struct kmodindex *kmodindex_new(void);
struct kmodindex *kmodindex_free(struct kmodindex *index);

/* One key may have several values; lower priority numbers come first.  Keys that are empty, too
 * long or not ASCII are left out. */
void kmodindex_add(struct kmodindex *index, const char *key, const char *value, uint32_t priority);

/* Adds the index file to out (which must be empty). */
void kmodindex_write(struct kmodindex *index, struct buffer *out);

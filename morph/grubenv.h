/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GRUB's environment block: "# GRUB Environment Block", lines NAME=value, and '#' up to the fixed
 * size of the file (1024 bytes), which GRUB itself overwrites in place at boot.  A block of another
 * size is refused by GRUB, so it must never change.  Pure.  Format: GRUB manual, grub-editenv.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/buffer.h"

/* True for a text that GRUB would read. */
bool grubenv_is_valid(const char *text);

/* The value of a variable, owned by the caller; NULL when it is not set. */
char *grubenv_get(const char *text, const char *name);

/* The text with name=value to out, its size kept; false when it does not fit. */
bool grubenv_set(const char *text, const char *name, const char *value, struct buffer *out);

/* Makes b, a block whose lines were changed, `size` bytes long again; false when it does not fit.
 */
bool grubenv_fit(struct buffer *b, size_t size);

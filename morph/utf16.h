/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-16 with the low byte first, as Windows keeps text in its registry.  Pure. */
#pragma once

#include <stddef.h>
#include "morph/buffer.h"

/* `length` bytes to UTF-8, up to the first NUL; halves of pairs and an odd last byte become U+FFFD.
 * Owned by the caller; never NULL. */
char *utf16_decode(const void *data, size_t length);

/* Adds the UTF-8 text as UTF-16, without a NUL; what is no UTF-8 becomes U+FFFD. */
void utf16_encode(struct buffer *out, const char *text);

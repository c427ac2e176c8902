/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* True when all bytes are zero.  Compares the buffer with itself shifted by 16 bytes, so libc's
 * vectorised memcmp does the work (the idea is Rusty Russell's "memeqzero"). */
static inline bool is_zero(const void *data, size_t length)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < 16; i++) {
        if (length == 0)
            return true;
        if (*p)
            return false;
        p++;
        length--;
    }
    return memcmp(data, p, length) == 0;
}

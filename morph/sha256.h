/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, for the report of changed files.  The only file of morph/ that sees OpenSSL. */
#pragma once

#include <stddef.h>

/* The hash of `first` followed by `second` (either may be empty), in lower case hex. */
void sha256_hex(const void *first, size_t first_length, const void *second, size_t second_length,
                char ret_hex[65]);

/* The hash of `first` and that of `first` followed by `second`, reading `first` once. */
void sha256_hex_both(const void *first, size_t first_length, const void *second,
                     size_t second_length, char ret_first[65], char ret_both[65]);

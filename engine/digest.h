/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 of a block's bytes: fast enough to be taken from every block while it is in cache. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 16

struct io;

/* Canonical (big-endian) XXH3-128 of data.  Never all zero: that value means "unknown" in digest
 * files (the one input in 2^128 that hashes to zero gets the value 1). */
void digest_block(const void *data, size_t length, uint8_t ret_digest[DIGEST_SIZE]);

/* Makes all digests of a file unknown; its size stays, also when a crash comes between.  Not durable
 * before an fdatasync. */
int digests_forget(struct io *io, int fd, uint64_t blocks);

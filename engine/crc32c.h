/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4) of data, continuing from `crc` (0 to begin). */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

/* The same without the processor's instruction for it; for its test. */
uint32_t crc32c_by_tables(uint32_t crc, const void *data, size_t length);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and byte order of everything the engine writes (docs/FORMATS.md has the tables).
 * All integers are little-endian.  A block is the unit of layers and digests, a sub-block the unit
 * of "missing" in the target, a page the unit of metadata writes.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define BLOCK_SIZE UINT64_C(65536)
#define SUB_BLOCK_SIZE UINT64_C(4096)
#define SUB_BLOCKS 16 /* per block; one bit each in a u16 */
#define META_PAGE 4096
#define SECTOR 512

#define STORE_FORMAT 1 /* raised when an older program must not open the store */

#define DISKS_MAX 24
#define LAYERS_MAX 8 /* of a mirror; an owner may have one more */
#define DISK_NAME_MAX 31
#define SNAPSHOT_ID_MAX 63
#define DISK_SIZE_MAX (UINT64_C(1) << 50)

static inline void put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void put_u64(uint8_t *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *p)
{
    return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static inline uint64_t get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

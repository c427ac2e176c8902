/* SPDX-License-Identifier: Apache-2.0 */
/* A file of page pairs (engine/pagefile.h) from fuzzer bytes. */
#pragma once

#include "base/align.h"
#include "engine/crc32c.h"
#include "engine/pagefile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model/sim.h"

/* The first byte's lowest bit asks for right checksums; the rest fills the slots, cut or padded to
 * `pairs` pairs. */
static inline void pages_put(struct sim *sim, const char *path, uint32_t pairs,
                             const uint8_t *data, size_t size)
{
    uint8_t slots[8 * META_PAGE] = {0};
    uint64_t bytes = pagefile_bytes(pairs);

    FUZZ_ASSERT(bytes <= sizeof(slots));
    if (size > 1)
        memcpy(slots, data + 1, MIN((uint64_t)size - 1, bytes));
    for (uint64_t at = 0; size > 0 && data[0] & 1 && at < bytes; at += META_PAGE) {
        put_u32(slots + at + 4, 0);
        put_u32(slots + at + 4, crc32c(0, slots + at, META_PAGE));
    }
    sim_put(sim, path, slots, bytes);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a map file; see fuzz-layer.c. */
#include "engine/map.h"
#include "tests/fuzz/pages.h"

#define BLOCKS (MAP_PAGE_BLOCKS + 5)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim *sim = sim_new();
    struct map *map;

    pages_put(sim, "/map.1", 2, data, size);
    if (map_open(sim_io(sim), "/map.1", 1, BLOCKS, &map) == 0) {
        uint64_t missing = 0;

        for (uint64_t b = map_find(map, 0); b < BLOCKS; b = map_find(map, b + 1))
            missing++;
        FUZZ_ASSERT(missing == map->missing_blocks);
        map_free(map);
    }
    sim_free(sim);
    return 0;
}

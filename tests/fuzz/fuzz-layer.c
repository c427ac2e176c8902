/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer's index file.  First byte: whether the checksums of its slots are made right first, so
 * that what lies behind them is reached, too.
 */
#include <string.h>

#include "engine/layer.h"
#include "tests/fuzz/pages.h"

#define BLOCKS (LAYER_PAGE_BLOCKS + 5)
#define DISK_SIZE (BLOCKS * BLOCK_SIZE - 512)

static void look_around(struct layer *l)
{
    uint64_t counts[4], sum = 0, found = 0;

    layer_count(l, counts);
    for (int i = 0; i < 4; i++)
        sum += counts[i];
    FUZZ_ASSERT(sum == BLOCKS);
    for (uint64_t b = layer_find(l, 0, LAYER_IN_SET); b < BLOCKS;
         b = layer_find(l, b + 1, LAYER_IN_SET))
        found++;
    FUZZ_ASSERT(found == BLOCKS - counts[BLOCK_UNCHANGED]);
    FUZZ_ASSERT(l->phase != LAYER_SEALED || counts[BLOCK_PENDING] == 0);
    FUZZ_ASSERT(memchr(l->snapshot, '\0', sizeof(l->snapshot)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim *sim = sim_new();
    struct layer *l;

    pages_put(sim, "/L1.idx", 3, data, size);
    sim_put(sim, "/L1.data", "", 0);
    sim_put(sim, "/L1.dig", "", 0);
    if (layer_open(sim_io(sim), "/L1", DISK_SIZE, &l) == 0) {
        look_around(l);
        layer_unref(l);
    }
    sim_free(sim);
    return 0;
}

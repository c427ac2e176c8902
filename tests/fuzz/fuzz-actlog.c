/* SPDX-License-Identifier: Apache-2.0 */
/* The activity log: the record's page pair; see fuzz-layer.c for the first byte. */
#include "engine/actlog.h"
#include "tests/fuzz/pages.h"

#define EPOCH 1
#define DISK_SIZE (20 * ACTLOG_REGION_MIN + 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sim *sim = sim_new();
    bool active[21];
    struct actlog *log;

    pages_put(sim, "/al.1", 1, data, size);
    if (actlog_open(sim_io(sim), "/al.1", EPOCH, DISK_SIZE, &log) == 0) {
        FUZZ_ASSERT(log->regions == 21);
        for (uint32_t r = 0; r < log->regions; r++)
            active[r] = actlog_is_active(log, r);
        FUZZ_ASSERT(actlog_activate(log, DISK_SIZE - 1, 1) == 0);
        actlog_free(log);
        /* What was active stays so, also for the next engine. */
        FUZZ_ASSERT(actlog_open(sim_io(sim), "/al.1", EPOCH, DISK_SIZE, &log) == 0);
        for (uint32_t r = 0; r < log->regions; r++)
            FUZZ_ASSERT(actlog_is_active(log, r) == (active[r] || r == 20));
        actlog_free(log);
    }
    sim_free(sim);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* limits.json, which an operator may have touched. */
#include <string.h>

#include "engine/limitfile.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model/sim.h"

static const struct limitfile_names names = {.names = {"sda", "sdb"}, .count = 2};

/* What was understood is written and read back as it was. */
static void check(const struct limit_table *table)
{
    struct sim *sim = sim_new();
    struct io *io = sim_io(sim);
    struct limit_table again;

    FUZZ_ASSERT(io->ops->mkdir(io, "/store") == 0);
    FUZZ_ASSERT(limitfile_write(io, "/store", &names, table) == 0);
    FUZZ_ASSERT(limitfile_read(io, "/store", &names, &again, NULL) == 0);
    FUZZ_ASSERT(memcmp(table, &again, sizeof(again)) == 0);
    sim_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct limit_table table;
    struct error *err = NULL;

    if (limitfile_parse((const char *)data, size, "limits.json", &names, &table, &err) == 0)
        check(&table);
    else
        FUZZ_ASSERT(err);
    error_free(err);
    return 0;
}

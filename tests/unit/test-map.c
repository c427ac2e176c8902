/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/map.h"
#include "tests/model/sim.h"

#define BLOCKS (MAP_PAGE_BLOCKS + 10)

static struct sim *sim;
static struct io *io;
static struct map *map;
static unsigned syncs;

static int enter(void **state)
{
    sim = sim_new();
    io = sim_io(sim);
    io->ops->mkdir(io, "/d");
    sim_settle(sim);
    syncs = 0;
    return map_create(io, "/d/map.1", "/d", 1, BLOCKS, &map);
}

static int leave(void **state)
{
    map_free(map);
    sim_free(sim);
    return 0;
}

static int sync_data(void *context)
{
    syncs++;
    return context ? -EIO : 0;
}

static void reopen(void)
{
    sim_die(sim);
    map_free(map);
    map = NULL;
    sim_power_loss(sim, SIM_LOSE_ALL);
    assert_int_equal(map_open(io, "/d/map.1", 1, BLOCKS, &map), 0);
}

static void in_the_beginning_everything_is_missing(void **state)
{
    assert_int_equal(map->missing_blocks, BLOCKS);
    assert_int_equal(map_find(map, 0), 0);
    reopen();
    assert_int_equal(map->missing_blocks, BLOCKS);
}

static void a_block_is_missing_until_its_last_sub_block_is_here(void **state)
{
    map_clear(map, 0, 0x00ff);
    assert_int_equal(map_find(map, 0), 0);
    assert_int_equal(map->missing_blocks, BLOCKS);
    map_clear(map, 0, 0xff00);
    map_clear(map, 0, 0xff00);
    assert_int_equal(map_find(map, 0), 1);
    assert_int_equal(map->missing_blocks, BLOCKS - 1);
}

static void a_checkpoint_survives_power_loss(void **state)
{
    map_clear(map, 3, MISSING_ALL);
    map_clear(map, BLOCKS - 1, 0x0001);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 2);
    map_clear(map, 4, MISSING_ALL);
    reopen();
    assert_int_equal(map->missing[3], 0);
    assert_int_equal(map->missing[4], MISSING_ALL);
    assert_int_equal(map->missing[BLOCKS - 1], 0xfffe);
    assert_int_equal(map->missing_blocks, BLOCKS - 1);
}

static void data_is_synced_once_and_only_for_changes(void **state)
{
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 0);
    assert_int_equal(syncs, 0);
    map_clear(map, 1, 1);
    map_clear(map, BLOCKS - 1, 1);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 2);
    assert_int_equal(syncs, 1);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 0);
    assert_int_equal(syncs, 1);
}

static void a_failed_sync_records_nothing_and_forgets_nothing(void **state)
{
    map_clear(map, 1, MISSING_ALL);
    assert_int_equal(map_checkpoint(map, sync_data, map), -EIO);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 1);
    reopen();
    assert_int_equal(map->missing[1], 0);
}

static void no_sync_of_the_file_is_good_after_one_that_failed(void **state)
{
    map_clear(map, 1, MISSING_ALL);
    sim_set_fault(sim, SIM_EIO, 2); /* the page is written, its fdatasync fails */
    assert_int_equal(map_checkpoint(map, sync_data, NULL), -EIO);
    sim_set_fault(sim, SIM_NO_FAULT, 0);
    map_clear(map, 2, MISSING_ALL);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), -EIO);
    reopen();
    assert_int_equal(map->missing[2], MISSING_ALL);
}

static void a_map_of_another_epoch_says_nothing(void **state)
{
    map_clear(map, 1, MISSING_ALL);
    assert_int_equal(map_checkpoint(map, sync_data, NULL), 1);
    map_free(map);
    assert_int_equal(map_open(io, "/d/map.1", 2, BLOCKS, &map), 0);
    assert_int_equal(map->missing_blocks, BLOCKS);
}

/* A page that a killed engine wrote is read by the next one from the page cache.  Before that one
 * overwrites the other slot, it must be durable: a power loss could tear both. */
static void a_page_of_a_killed_engine_is_durable_before_the_next(void **state)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        if (seed)
            enter(state);
        sim_seed(sim, seed);
        map_clear(map, 0, MISSING_ALL);
        assert_int_equal(map_checkpoint(map, sync_data, NULL), 1);
        for (uint64_t block = 1; block < 3; block++) {
            map_clear(map, block, MISSING_ALL);
            map_clear(map, block + 1000, MISSING_ALL); /* in another sector of the page */
            sim_set_fault(sim, SIM_CRASH, 2); /* the page is written, the fdatasync does not come */
            assert_int_equal(map_checkpoint(map, sync_data, NULL), -EIO);
            map_free(map);
            map = NULL;
            if (block == 1)
                sim_kill(sim);
            else
                sim_power_loss(sim, SIM_LOSE_TORN);
            assert_int_equal(map_open(io, "/d/map.1", 1, BLOCKS, &map), 0);
        }
        assert_int_equal(map->missing[0], 0);
        if (seed < 19)
            leave(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_the_beginning_everything_is_missing),
        TEST(a_block_is_missing_until_its_last_sub_block_is_here),
        TEST(a_checkpoint_survives_power_loss),
        TEST(data_is_synced_once_and_only_for_changes),
        TEST(a_failed_sync_records_nothing_and_forgets_nothing),
        TEST(no_sync_of_the_file_is_good_after_one_that_failed),
        TEST(a_map_of_another_epoch_says_nothing),
        TEST(a_page_of_a_killed_engine_is_durable_before_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

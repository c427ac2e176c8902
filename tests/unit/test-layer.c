/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "engine/layer.h"
#include "tests/model/sim.h"

/* Three pages of states: a disk of 2 GiB, whose data file only has a size here. */
#define BLOCKS (2 * LAYER_PAGE_BLOCKS + 100)
#define SIZE ((BLOCKS - 1) * BLOCK_SIZE + 512)

static struct sim *sim;
static struct io *io;
static struct layer *layer;

static struct layer *make(const char *stem, uint64_t size)
{
    struct layer_params params = {.gen = 3, .disk_size = size, .snapshot = "point-3"};
    struct layer *l = NULL;

    assert_int_equal(layer_create(io, stem, &params, &l), 0);
    return l;
}

static int enter(void **state)
{
    sim = sim_new();
    sim_set_file_max(sim, UINT64_C(1) << 50);
    io = sim_io(sim);
    io->ops->mkdir(io, "/d");
    sim_settle(sim);
    layer = make("/d/L3", SIZE);
    return 0;
}

static int leave(void **state)
{
    layer_unref(layer);
    sim_free(sim);
    return 0;
}

static int reopen(void)
{
    layer_unref(layer);
    layer = NULL;
    return layer_open(io, "/d/L3", SIZE, &layer);
}

static void set(uint64_t block, enum block_state state)
{
    assert_int_equal(layer_set_state(layer, block, state), 0);
}

static void states_are_independent_of_their_neighbours(void **state)
{
    for (uint64_t b = 0; b < 64; b++)
        set(b, b % 4);
    for (uint64_t b = 0; b < 64; b++)
        assert_int_equal(layer_state(layer, b), b % 4);
    set(17, BLOCK_ZERO);
    assert_int_equal(layer_state(layer, 16), 0);
    assert_int_equal(layer_state(layer, 17), BLOCK_ZERO);
    assert_int_equal(layer_state(layer, 18), BLOCK_DATA);
}

static void find_meets_every_block_of_a_set_in_order(void **state)
{
    static const uint64_t blocks[] = {0, 3, 4, 1000, LAYER_PAGE_BLOCKS - 1, LAYER_PAGE_BLOCKS,
                                      BLOCKS - 1};
    uint64_t at = 0;

    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
        set(blocks[i], i % 2 ? BLOCK_DATA : BLOCK_ZERO);
    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
        at = layer_find(layer, at, LAYER_IN_SET);
        assert_int_equal(at, blocks[i]);
        at++;
    }
    assert_int_equal(layer_find(layer, at, LAYER_IN_SET), BLOCKS);
    assert_int_equal(layer_find(layer, 0, 1u << BLOCK_DATA), 3);
    assert_int_equal(layer_find(layer, 0, 1u << BLOCK_UNCHANGED), 1);
    assert_int_equal(layer_find(layer, 3, 1u << BLOCK_UNCHANGED), 5);
}

static void counts_add_up(void **state)
{
    uint64_t counts[4];

    set(5, BLOCK_PENDING);
    set(LAYER_PAGE_BLOCKS + 5, BLOCK_DATA);
    set(BLOCKS - 1, BLOCK_ZERO);
    layer_count(layer, counts);
    assert_int_equal(counts[BLOCK_PENDING], 1);
    assert_int_equal(counts[BLOCK_DATA], 1);
    assert_int_equal(counts[BLOCK_ZERO], 1);
    assert_int_equal(counts[BLOCK_UNCHANGED], BLOCKS - 3);
}

static void an_interrupted_layer_remembers_its_change_set_and_progress(void **state)
{
    set(5, BLOCK_PENDING);
    set(BLOCKS - 1, BLOCK_PENDING);
    assert_int_equal(layer_begin(layer, "/d"), 0);
    set(5, BLOCK_DATA);
    assert_int_equal(layer_checkpoint(layer), 0);
    set(BLOCKS - 1, BLOCK_DATA); /* after the checkpoint: forgotten */
    sim_die(sim);
    layer_unref(layer);
    sim_power_loss(sim, SIM_LOSE_ALL);
    assert_int_equal(layer_open(io, "/d/L3", SIZE, &layer), 0);
    assert_int_equal(layer->phase, LAYER_LOADING);
    assert_int_equal(layer->gen, 3);
    assert_string_equal(layer->snapshot, "point-3");
    assert_int_equal(layer_state(layer, 5), BLOCK_DATA);
    assert_int_equal(layer_state(layer, BLOCKS - 1), BLOCK_PENDING);
}

static void a_sealed_layer_survives_power_loss(void **state)
{
    set(5, BLOCK_DATA);
    assert_int_equal(layer_begin(layer, "/d"), 0);
    assert_int_equal(layer_seal(layer), 0);
    sim_die(sim);
    layer_unref(layer);
    sim_power_loss(sim, SIM_LOSE_ALL);
    assert_int_equal(layer_open(io, "/d/L3", SIZE, &layer), 0);
    assert_int_equal(layer->phase, LAYER_SEALED);
    assert_int_equal(layer_state(layer, 5), BLOCK_DATA);
}

static void a_layer_that_was_not_begun_cannot_be_opened(void **state)
{
    set(5, BLOCK_PENDING);
    assert_int_equal(reopen(), -EBADMSG);
}

static void a_sealed_layer_with_blocks_pending_is_damaged(void **state)
{
    set(5, BLOCK_PENDING);
    assert_int_equal(layer_seal(layer), 0);
    assert_int_equal(reopen(), -EBADMSG);
}

static void a_layer_of_another_size_is_damaged(void **state)
{
    assert_int_equal(layer_begin(layer, "/d"), 0);
    layer_unref(layer);
    layer = NULL;
    assert_int_equal(layer_open(io, "/d/L3", SIZE + 512, &layer), -EBADMSG);
}

static void unlinking_twice_is_fine(void **state)
{
    uint64_t size;

    assert_int_equal(layer_unlink(io, "/d/L3"), 0);
    assert_int_equal(layer_unlink(io, "/d/L3"), 0);
    assert_null(sim_file(sim, "/d/L3.data", &size));
    assert_null(sim_file(sim, "/d/L3.idx", &size));
    assert_null(sim_file(sim, "/d/L3.dig", &size));
}

static void a_renamed_layer_is_of_its_new_generation(void **state)
{
    set(1, BLOCK_ZERO);
    assert_int_equal(layer_rename(layer, "/d/L9", 9, "draft"), 0);
    assert_int_equal(layer_seal(layer), 0);
    layer_unref(layer);
    layer = NULL;
    assert_int_equal(layer_open(io, "/d/L3", SIZE, &layer), -ENOENT);
    assert_int_equal(layer_open(io, "/d/L9", SIZE, &layer), 0);
    assert_int_equal(layer->gen, 9);
    assert_string_equal(layer->snapshot, "draft");
}

static void the_last_reference_closes_the_files(void **state)
{
    unsigned before = sim_open_files(sim);
    struct layer *other = make("/d/L4", 512);

    layer_ref(other);
    layer_unref(other);
    assert_int_equal(sim_open_files(sim), before + 4);
    layer_unref(other);
    assert_int_equal(sim_open_files(sim), before);
}

/* As in test-map.c. */
static void a_page_of_a_killed_engine_is_durable_before_the_next(void **state)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        if (seed)
            enter(state);
        sim_seed(sim, seed);
        for (uint64_t block = 0; block < 3; block++) {
            set(block, BLOCK_PENDING);
            set(block + 10000, BLOCK_PENDING); /* in another sector of the page */
        }
        assert_int_equal(layer_begin(layer, "/d"), 0);
        for (uint64_t block = 1; block < 3; block++) {
            set(block, BLOCK_DATA);
            set(block + 10000, BLOCK_DATA);
            sim_set_fault(sim, SIM_CRASH, 4); /* data, digests, page, and then no fdatasync */
            assert_int_equal(layer_checkpoint(layer), -EIO);
            layer_unref(layer);
            layer = NULL;
            if (block == 1)
                sim_kill(sim);
            else
                sim_power_loss(sim, SIM_LOSE_TORN);
            assert_int_equal(layer_open(io, "/d/L3", SIZE, &layer), 0);
        }
        assert_int_equal(layer_state(layer, 0), BLOCK_PENDING);
        if (seed < 19)
            leave(state);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(states_are_independent_of_their_neighbours),
        TEST(find_meets_every_block_of_a_set_in_order),
        TEST(counts_add_up),
        TEST(an_interrupted_layer_remembers_its_change_set_and_progress),
        TEST(a_sealed_layer_survives_power_loss),
        TEST(a_layer_that_was_not_begun_cannot_be_opened),
        TEST(a_sealed_layer_with_blocks_pending_is_damaged),
        TEST(a_layer_of_another_size_is_damaged),
        TEST(unlinking_twice_is_fine),
        TEST(a_renamed_layer_is_of_its_new_generation),
        TEST(the_last_reference_closes_the_files),
        TEST(a_page_of_a_killed_engine_is_durable_before_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

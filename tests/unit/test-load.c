/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdlib.h>
#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"
#include "engine/load.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static struct load_result result;
static uint8_t *want[MEM_DISKS]; /* what the disks must hold in the end */

static int enter(void **state)
{
    f = fixture_new();
    for (unsigned d = 0; d < MEM_DISKS; d++)
        want[d] = mem_new(1, mem_sizes[d]);
    return 0;
}

static int leave(void **state)
{
    fixture_free(f);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        free(want[d]);
    return 0;
}

static struct disk *disk(unsigned d)
{
    return &f->engine->disks[d];
}

static void put(unsigned d, uint64_t offset, uint64_t length, int byte)
{
    _cleanup_free_ uint8_t *data = mem_new(1, length);

    memset(data, byte, length);
    memset(want[d] + offset, byte, length);
    assert_int_equal(load_pwrite(f->engine->load, disk(d), data, (uint32_t)length, offset), 0);
}

static void zero(unsigned d, uint64_t offset, uint64_t length)
{
    memset(want[d] + offset, 0, length);
    assert_int_equal(load_zero(f->engine->load, disk(d), length, offset, EXPORT_MAY_TRIM), 0);
}

static void assert_reads_back(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(load_pread(f->engine->load, disk(d), have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, want[d], mem_sizes[d]);
    }
}

/* The mirror holds `want`, and every digest that is known is right.  Returns how many are. */
static unsigned assert_mirror(void)
{
    struct view *v;
    unsigned known = 0;

    assert_int_equal(view_get(f->engine, NO_GENERATION, &v), 0);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(view_pread(v, disk(d), have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, want[d], mem_sizes[d]);
        for (uint64_t b = 0; b < disk(d)->blocks; b++) {
            uint8_t kept[DIGEST_SIZE], is[DIGEST_SIZE];

            digest_block(have + b * BLOCK_SIZE, disk_block_length(disk(d), b), is);
            assert_int_equal(view_digest(v, disk(d), b, kept), 0);
            if (!is_zero(kept, DIGEST_SIZE))
                assert_memory_equal(kept, is, DIGEST_SIZE);
            known += !is_zero(kept, DIGEST_SIZE);
        }
    }
    view_put(v);
    return known;
}

static void commit(void)
{
    assert_int_equal(load_commit(f->engine, 0, NULL, NULL, &result, NULL), 0);
}

/* A mirror of the source's first point, in `want`. */
static void mirror(void)
{
    int point;

    for (int i = 0; i < 30; i++)
        memsource_write(f->source, 20 + (uint64_t)i);
    point = fixture_sync(f, -1, NULL);
    assert_true(point >= 0);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        memcpy(want[d], fixture_bytes(f, point, d), mem_sizes[d]);
}

static void restart(bool power_lost)
{
    sim_die(f->sim);
    engine_close(steal_ptr(f->engine));
    if (power_lost)
        sim_power_loss(f->sim, SIM_LOSE_ALL);
    else
        sim_kill(f->sim);
    assert_int_equal(fixture_restart(f, NULL), 0);
}

/* ---- initial ---- */

static void what_was_never_written_reads_zero(void **state)
{
    uint8_t old[2 * BLOCK_SIZE];

    memset(old, 0xee, sizeof(old)); /* of whoever used the target before */
    assert_int_equal(io_write(sim_io(f->sim), disk(0)->target.buffered_fd, old, sizeof(old),
                              BLOCK_SIZE, false), 0);
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    put(0, 0, BLOCK_SIZE, 1);
    put(0, BLOCK_SIZE + 4096 * 3 + 100, 50, 2);      /* inside one sub-block */
    put(0, 3 * BLOCK_SIZE - 700, 1400, 3);           /* over the border of two blocks */
    put(0, mem_sizes[0] - 10, 10, 4);                /* the short last block */
    put(1, 4096, 8192, 5);
    zero(1, 8192, 100);
    zero(0, 0, 4096);
    assert_reads_back();
    commit();
    assert_int_equal(result.generation, 0);
    assert_string_equal(superfile_get(&f->engine->super).snapshot, "a");
    assert_int_equal(assert_mirror(), 6);
    assert_int_equal(f->engine->mode, MODE_MIRROR);
    restart(true);
    assert_mirror();
}

static void a_block_written_whole_has_its_digest_at_once(void **state)
{
    assert_int_equal(load_begin(f->engine, NULL, NULL), 0);
    for (uint64_t b = 0; b < disk(0)->blocks; b++)
        put(0, b * BLOCK_SIZE, disk_block_length(disk(0), b), (int)b + 1);
    commit();
    assert_int_equal(assert_mirror(), disk(0)->blocks);
    assert_int_equal(result.disks[0].written_bytes, mem_sizes[0]);
    assert_int_equal(result.disks[1].received_bytes, 0);
}

static void a_push_goes_on_where_it_was_flushed(void **state)
{
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    put(0, 0, 2 * BLOCK_SIZE, 1);
    put(1, 500, 500, 2);
    assert_int_equal(load_flush(f->engine->load, disk(0)), 0);
    assert_int_equal(load_flush(f->engine->load, disk(1)), 0);
    restart(true);
    assert_null(f->engine->load);
    assert_int_equal(load_ensure(f->engine, NULL), -EBUSY); /* a connection alone may not */
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    assert_true(f->engine->load->resumed);
    assert_reads_back();
    put(0, 3 * BLOCK_SIZE, BLOCK_SIZE, 3);
    commit();
    assert_int_equal(assert_mirror(), 4);
}

static void another_push_begins_anew(void **state)
{
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    put(0, 0, 2 * BLOCK_SIZE, 1);
    assert_int_equal(load_flush(f->engine->load, disk(0)), 0);
    restart(false);
    memset(want[0], 0, mem_sizes[0]);
    assert_int_equal(load_begin(f->engine, "b", NULL), 0);
    assert_false(f->engine->load->resumed);
    assert_reads_back();
    put(0, BLOCK_SIZE, 512, 7);
    commit();
    assert_mirror();
}

static void a_sync_does_not_take_up_a_push(void **state)
{
    int point;

    assert_int_equal(load_begin(f->engine, "p0", NULL), 0);
    put(0, 0, mem_sizes[0], 0x55);
    assert_int_equal(load_flush(f->engine->load, disk(0)), 0);
    restart(false);
    point = fixture_sync(f, -1, NULL);
    assert_int_equal(point, 0);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        memcpy(want[d], fixture_bytes(f, point, d), mem_sizes[d]);
    assert_mirror();
}

/* ---- delta ---- */

static void a_delta_holds_what_is_not_here_already(void **state)
{
    uint64_t counts[4];

    mirror();
    assert_int_equal(load_begin(f->engine, "b", NULL), 0);
    /* The whole of sda as it is, but for one byte. */
    want[0][2 * BLOCK_SIZE + 17] ^= 1;
    assert_int_equal(load_pwrite(f->engine->load, disk(0), want[0], (uint32_t)mem_sizes[0], 0), 0);
    assert_reads_back();
    commit();
    assert_int_equal(result.generation, 1);
    layer_count(disk(0)->layers[0], counts);
    assert_int_equal(counts[BLOCK_DATA], 1);
    assert_int_equal(counts[BLOCK_ZERO], 0);
    layer_count(disk(1)->layers[0], counts);
    assert_int_equal(counts[BLOCK_UNCHANGED], disk(1)->blocks);
    assert_int_equal(result.disks[0].same_bytes, mem_sizes[0] - BLOCK_SIZE);
    assert_mirror();
    fixture_fold(f);
    assert_mirror();
}

static void parts_of_blocks_are_put_over_what_is_here(void **state)
{
    mirror();
    assert_int_equal(load_begin(f->engine, NULL, NULL), 0);
    put(0, 100, 300, 9);
    put(0, BLOCK_SIZE - 5, 10, 8);
    zero(0, 3 * BLOCK_SIZE - 9, BLOCK_SIZE + 18);
    put(0, 3 * BLOCK_SIZE + 4, 4, 7);
    put(0, mem_sizes[0] - 600, 600, 6);
    zero(1, 0, mem_sizes[1]);
    assert_reads_back();
    commit();
    assert_mirror();
    fixture_fold(f);
    assert_mirror();
}

/* The same bytes again, in parts, are no change in the end. */
static void parts_that_change_nothing_are_no_change(void **state)
{
    uint64_t counts[4];

    mirror();
    assert_int_equal(load_begin(f->engine, NULL, NULL), 0);
    for (uint64_t at = 0; at < mem_sizes[0]; at += 512)
        assert_int_equal(load_pwrite(f->engine->load, disk(0), want[0] + at, 512, at), 0);
    commit();
    layer_count(disk(0)->layers[0], counts);
    assert_int_equal(counts[BLOCK_DATA] + counts[BLOCK_ZERO], 0);
    assert_mirror();
}

static void a_delta_goes_on_after_a_crash(void **state)
{
    mirror();
    assert_int_equal(load_begin(f->engine, "b", NULL), 0);
    put(0, 0, BLOCK_SIZE, 1);
    put(1, 0, BLOCK_SIZE, 2);
    assert_int_equal(load_flush(f->engine->load, disk(0)), 0);
    assert_int_equal(load_flush(f->engine->load, disk(1)), 0);
    /* Over what was flushed: after a power loss it is old or new, and its digest is not believed. */
    assert_int_equal(io_write(sim_io(f->sim), disk(1)->loading->read_fd, want[0], 4096, 0, true),
                     0);
    memcpy(want[1], want[0], 4096);
    restart(true);
    assert_int_equal(load_begin(f->engine, "b", NULL), 0);
    assert_true(f->engine->load->resumed);
    assert_reads_back();
    commit();
    assert_mirror();
}

static void an_abandoned_push_leaves_nothing(void **state)
{
    mirror();
    assert_int_equal(load_begin(f->engine, "b", NULL), 0);
    put(0, 0, BLOCK_SIZE, 1);
    assert_int_equal(load_abandon(f->engine, 0, NULL), 0);
    assert_null(disk(0)->loading);
    assert_int_equal(load_abandon(f->engine, 0, NULL), -ENOENT);
    assert_int_equal(load_commit(f->engine, 0, NULL, NULL, &result, NULL), -ENOENT);
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    assert_int_equal(load_begin(f->engine, "c", NULL), 0);
    restart(false);
    assert_int_equal(load_abandon(f->engine, 0, NULL), 0);
    assert_int_equal(load_ensure(f->engine, NULL), 0);
    assert_int_equal(load_abandon(f->engine, 0, NULL), 0);
}

/* ---- refusals ---- */

static void a_write_that_failed_is_not_committed(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    uint8_t data[BLOCK_SIZE] = {1};

    mirror();
    assert_int_equal(load_begin(f->engine, NULL, NULL), 0);
    memset(data, 3, sizeof(data));
    sim_set_fault(f->sim, SIM_ENOSPC, 1);
    assert_int_equal(load_pwrite(f->engine->load, disk(0), data, BLOCK_SIZE, BLOCK_SIZE), -ENOSPC);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(load_commit(f->engine, 0, NULL, NULL, &result, &e), -EIO);
    assert_non_null(strstr(error_text(e), "sda at 65536"));
    put(0, BLOCK_SIZE, BLOCK_SIZE, 3);
    commit();
    assert_mirror();
}

static void nothing_else_happens_meanwhile(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    struct export *x = NULL;

    mirror();
    assert_int_equal(engine_export_open(f->engine, "sda+load", &x, NULL), 0);
    assert_int_equal(engine_operation_begin(f->engine, "sync", 1u << MODE_MIRROR, &e), -EBUSY);
    assert_non_null(strstr(error_text(e), "commit or abandon"));
    assert_int_equal(load_commit(f->engine, 0, NULL, NULL, &result, NULL), -EBUSY);
    put(0, 0, 512, 1);
    export_close(x);
    commit();
    assert_mirror();
}

static void a_connection_that_writes_nothing_leaves_no_push(void **state)
{
    struct export *x = NULL, *y = NULL;

    assert_int_equal(engine_export_open(f->engine, "+load", &x, NULL), 0);
    assert_int_equal(engine_export_open(f->engine, "sdb+load", &y, NULL), 0);
    assert_int_equal(engine_export_open(f->engine, "sdc+load", &y, NULL), -ENOENT);
    export_close(x);
    assert_non_null(f->engine->load);
    export_close(y);
    assert_null(f->engine->load);
    assert_null(f->engine->operation);
}

static void the_same_point_is_not_pushed_twice(void **state)
{
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    assert_int_equal(load_begin(f->engine, "a", NULL), 0);
    assert_int_equal(load_begin(f->engine, "b", NULL), -EBUSY);
    commit();
    assert_int_equal(load_begin(f->engine, "a", NULL), -EEXIST);
    assert_int_equal(load_begin(f->engine, "", NULL), -EINVAL);
}

static void a_flush_that_failed_ends_it(void **state)
{
    mirror();
    assert_int_equal(load_begin(f->engine, NULL, NULL), 0);
    put(0, 0, BLOCK_SIZE, 1);
    sim_set_fault(f->sim, SIM_EIO, 1);
    assert_int_equal(load_flush(f->engine->load, disk(0)), -EIO);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(load_flush(f->engine->load, disk(0)), -EIO);
    assert_int_equal(load_commit(f->engine, 0, NULL, NULL, &result, NULL), -EIO);
    assert_int_equal(load_abandon(f->engine, 0, NULL), 0);
    assert_false(f->engine->failed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_never_written_reads_zero),
        TEST(a_block_written_whole_has_its_digest_at_once),
        TEST(a_push_goes_on_where_it_was_flushed),
        TEST(another_push_begins_anew),
        TEST(a_sync_does_not_take_up_a_push),
        TEST(a_delta_holds_what_is_not_here_already),
        TEST(parts_of_blocks_are_put_over_what_is_here),
        TEST(parts_that_change_nothing_are_no_change),
        TEST(a_delta_goes_on_after_a_crash),
        TEST(an_abandoned_push_leaves_nothing),
        TEST(a_write_that_failed_is_not_committed),
        TEST(nothing_else_happens_meanwhile),
        TEST(a_connection_that_writes_nothing_leaves_no_push),
        TEST(the_same_point_is_not_pushed_twice),
        TEST(a_flush_that_failed_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

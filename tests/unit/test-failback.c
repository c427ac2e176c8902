/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include "engine/failback.h"
#include "engine/flip.h"
#include "tests/model/fixture.h"
#include "tests/model/memdest.h"

static struct fixture *f;
static struct memdest *dest;
static struct failback failback;
static struct error *err;
static json_t *result;

static struct sync_source sources[2];
static struct failback_request request;

static void use_memory(void)
{
    f->engine->readers = &memdest_readers;
    f->engine->writers = &memdest_writers;
}

static int enter(void **state)
{
    int point;

    f = fixture_new();
    dest = memdest_new(7);
    use_memory();
    point = fixture_sync(f, -1, NULL);
    if (point < 0 || engine_flip(f->engine, &(struct flip_request){0}, NULL, NULL, NULL) < 0)
        return -1;
    for (unsigned d = 0; d < MEM_DISKS; d++)
        memdest_put(dest, d, fixture_bytes(f, point, d));
    request = (struct failback_request){.sources = sources, .source_count = 2};
    sources[0] = (struct sync_source){"sda", "dest:0", NULL};
    sources[1] = (struct sync_source){"sdb", "dest:1", NULL};
    return 0;
}

static int leave(void **state)
{
    json_decref(result);
    result = NULL;
    err = error_free(err);
    fixture_free(f);
    memdest_free(dest);
    return 0;
}

static int run(void)
{
    json_decref(result);
    result = NULL;
    err = error_free(err);
    return failback_run(&failback, f->engine, &request, NULL, NULL, &result, &err);
}

static int run_final(void)
{
    request.final = true;
    return run();
}

static struct owner *owner_of(unsigned disk)
{
    return f->engine->disks[disk].owner;
}

static void guest_write(unsigned disk, uint64_t offset, uint32_t length, int value)
{
    uint8_t bytes[BLOCK_SIZE];

    memset(bytes, value, sizeof(bytes));
    assert_int_equal(owner_pwrite(owner_of(disk), bytes, length, offset, 0), 0);
}

static void assert_same(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        uint8_t *here = malloc(mem_sizes[d]);

        assert_int_equal(owner_pread(owner_of(d), here, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(here, dest->durable[d], mem_sizes[d]);
        free(here);
    }
}

static void assert_told(const char *text)
{
    if (!err || !strstr(error_text(err), text))
        fail_msg("'%s' is not in '%s'", text, err ? error_text(err) : "no error");
}

static uint64_t sum(const char *name)
{
    const json_t *disks = json_object_get(result, "disks");
    uint64_t n = 0;

    for (size_t i = 0; i < json_array_size(disks); i++)
        n += (uint64_t)json_integer_value(json_object_get(json_array_get(disks, i), name));
    return n;
}

static void what_the_guest_wrote_goes_back_and_no_more(void **state)
{
    guest_write(0, 4096, 4096, 1);
    guest_write(0, mem_sizes[0] - 512, 512, 2);
    guest_write(1, 0, 65536, 0);
    assert_int_equal(run(), 0);
    assert_int_equal(f->engine->mode, MODE_FAILBACK);
    assert_int_equal(superfile_get(&f->engine->super).mode, MODE_FAILBACK);
    assert_int_equal(sum("sent_bytes"), 2 * 65536 + mem_sizes[0] % 65536);
    assert_int_equal(dest->zeroed_bytes, 65536);
    assert_same();
    assert_int_equal(run(), 0);
    assert_int_equal(sum("sent_bytes"), 0);
    guest_write(1, 512, 512, 9);
    assert_int_equal(run_final(), 0);
    assert_string_equal(json_string_value(json_object_get(result, "mode")), "returned");
    assert_same();
    assert_int_equal(dest->writers, 0);
}

static void after_the_return_every_verb_names_the_mode(void **state)
{
    struct export *x;

    assert_int_equal(run_final(), 0);
    request.final = false;
    assert_int_equal(run(), -EPERM);
    assert_told("'failback' does not fit mode returned");
    err = error_free(err);
    assert_int_equal(engine_detach(f->engine, 0, NULL, &err), -EPERM);
    assert_told("mode returned");
    err = error_free(err);
    assert_true(engine_export_open(f->engine, "sda", &x, &err) < 0);
    assert_told("returned");
    /* the final pass asked for again: its answer was lost */
    assert_int_equal(run_final(), 0);
    assert_true(json_is_true(json_object_get(result, "already")));
    assert_int_equal(fixture_restart(f, &err), 0);
    assert_int_equal(f->engine->mode, MODE_RETURNED);
}

/* The guest is there: nothing happens to the destination, and it may go on. */
static void the_final_pass_wants_the_guest_gone(void **state)
{
    struct export *x = NULL, *y = NULL;
    uint8_t bytes[512] = {5};

    assert_int_equal(engine_export_open(f->engine, "sda", &x, NULL), 0);
    assert_int_equal(export_pwrite(x, bytes, 512, 0, 0), 0);
    assert_int_equal(run_final(), -EBUSY);
    assert_told("1 connection still uses");
    assert_int_equal(export_pwrite(x, bytes, 512, 512, 0), 0);
    assert_int_equal(engine_export_open(f->engine, "sdb", &y, NULL), 0);
    export_close(y);
    export_close(x);
    assert_int_equal(run_final(), 0);
    assert_same();
}

static void a_changed_source_is_refused(void **state)
{
    dest->bytes[0][2 * BLOCK_SIZE + 9] ^= 1;
    guest_write(0, 0, 4096, 1);
    assert_int_equal(run(), -EPERM);
    assert_told("disk sda: the source changed since the flip (1 blocks");
    assert_told("offset 131072");
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_int_equal(dest->written_bytes, 0);
    /* where the guest wrote, too, the block is sent as a whole */
    guest_write(0, 2 * BLOCK_SIZE, 4096, 3);
    assert_int_equal(run_final(), 0);
    assert_same();
}

static void its_own_bitmap_counts_where_it_has_one(void **state)
{
    sources[0].bitmap = sources[1].bitmap = "changed";
    dest->changed[1] = true;
    assert_int_equal(run(), -EPERM);
    assert_told("disk sdb: the source changed since the flip (4096 bytes by its bitmap");
    dest->changed[1] = false;
    assert_int_equal(run(), 0);
    dest->changed[0] = true; /* what we sent */
    assert_int_equal(run_final(), 0);
}

static void a_bitmap_check_needs_a_bitmap(void **state)
{
    request.check = FAILBACK_CHECK_BITMAP;
    assert_int_equal(run(), -EINVAL);
    assert_told("needs the name of the bitmap");
    sources[0].bitmap = sources[1].bitmap = "none";
    assert_true(run() < 0);
    assert_told("does not offer the bitmap");
}

static void without_a_check_it_goes_where_it_is_told(void **state)
{
    dest->bytes[0][2 * BLOCK_SIZE + 9] ^= 1;
    request.check = FAILBACK_CHECK_NONE;
    assert_int_equal(run(), 0);
    assert_int_equal(f->engine->mode, MODE_FAILBACK);
}

/* Later passes look at a sample; the final one at everything when told to. */
static void another_destination_is_noticed(void **state)
{
    guest_write(0, 0, 4096, 1);
    assert_int_equal(run(), 0);
    dest->bytes[1][70000] ^= 1;
    assert_int_equal(run(), -EPERM);
    assert_told("disk sdb: the destination is not the one that earlier passes went to");
}

static void the_whole_comparison_in_the_end_finds_anything(void **state)
{
    request.check = FAILBACK_CHECK_DIGEST;
    guest_write(0, 0, 4096, 1);
    assert_int_equal(run_final(), 0);
    assert_same();
}

static void a_destination_that_lies_keeps_everything_dirty(void **state)
{
    request.check = FAILBACK_CHECK_NONE;
    guest_write(0, 0, 4096, 1);
    dest->lies = true;
    assert_int_equal(run_final(), -EIO);
    assert_told("does not hold what was sent");
    assert_int_equal(f->engine->mode, MODE_FAILBACK);
    assert_int_equal(owner_count_dirty(owner_of(0)), 1);
    dest->lies = false;
    assert_int_equal(run_final(), 0);
    assert_same();
}

static void each_operation_of_the_destination_may_fail(void **state)
{
    for (unsigned at = 1; at < 12; at++) {
        guest_write(0, 0, 4096, (int)at);
        guest_write(0, 3 * BLOCK_SIZE, 4096, (int)at);
        guest_write(1, 0, 512, (int)at);
        request.check = FAILBACK_CHECK_NONE;
        dest->fail_at = at;
        if (run() < 0)
            assert_told("told to fail");
        assert_int_equal(dest->writers, 0);
        dest->fail_at = 0;
        memdest_crash(dest);
        assert_int_equal(run(), 0);
        assert_same();
    }
}

static void a_cancel_forgets_nothing(void **state)
{
    guest_write(0, 0, 4096, 1);
    assert_int_equal(run(), 0);
    guest_write(0, 0, 4096, 2);
    f->engine->failed = true; /* the first look around ends it, as a cancel does */
    assert_int_equal(run(), -EIO);
    f->engine->failed = false;
    assert_int_equal(owner_count_dirty(owner_of(0)), 1);
    assert_int_equal(run(), 0);
    assert_same();
}

static void a_restart_goes_on(void **state)
{
    guest_write(0, 0, 4096, 1);
    assert_int_equal(run(), 0);
    guest_write(0, BLOCK_SIZE, 4096, 2);
    assert_int_equal(fixture_restart(f, &err), 0);
    use_memory();
    assert_int_equal(f->engine->mode, MODE_FAILBACK);
    assert_int_equal(owner_count_dirty(owner_of(0)), 1);
    assert_int_equal(run_final(), 0);
    assert_same();
}

static void destinations_are_looked_at_first(void **state)
{
    dest->read_only = true;
    assert_int_equal(run(), -EROFS);
    dest->read_only = false;
    sources[1].uri = "dest:0";
    assert_int_equal(run(), -EINVAL);
    assert_told("has 329216 bytes, the disk 135680");
    sources[1].uri = "dest:9";
    assert_int_equal(run(), -ECONNREFUSED);
    sources[1].uri = "dest:1";
    request.source_count = 1;
    assert_int_equal(run(), -EINVAL);
    assert_told("sdb");
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_int_equal(dest->writers, 0);
}

static void servers_that_cannot_zero_are_written(void **state)
{
    dest->no_zero = true;
    guest_write(1, 0, 65536, 0);
    assert_int_equal(run_final(), 0);
    assert_int_equal(dest->written_bytes, 65536);
    assert_same();
}

static void a_failed_root_does_not_return(void **state)
{
    sim_set_fault(f->sim, SIM_EIO, 1);
    request.check = FAILBACK_CHECK_NONE;
    assert_true(run_final() < 0);
    assert_int_not_equal(f->engine->mode, MODE_RETURNED);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_guest_wrote_goes_back_and_no_more),
        TEST(after_the_return_every_verb_names_the_mode),
        TEST(the_final_pass_wants_the_guest_gone),
        TEST(a_changed_source_is_refused),
        TEST(its_own_bitmap_counts_where_it_has_one),
        TEST(a_bitmap_check_needs_a_bitmap),
        TEST(without_a_check_it_goes_where_it_is_told),
        TEST(another_destination_is_noticed),
        TEST(the_whole_comparison_in_the_end_finds_anything),
        TEST(a_destination_that_lies_keeps_everything_dirty),
        TEST(each_operation_of_the_destination_may_fail),
        TEST(a_cancel_forgets_nothing),
        TEST(a_restart_goes_on),
        TEST(destinations_are_looked_at_first),
        TEST(servers_that_cannot_zero_are_written),
        TEST(a_failed_root_does_not_return),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

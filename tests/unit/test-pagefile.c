/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/pagefile.h"
#include "tests/model/sim.h"

#define KIND 0x4242

static struct sim *sim;
static struct io *io;
static int fd;
static struct pagefile pf;

static int enter(void **state)
{
    sim = sim_new();
    io = sim_io(sim);
    fd = io->ops->open(io, "/pages", IO_CREATE);
    io->ops->truncate(io, fd, pagefile_bytes(3));
    return pagefile_init(&pf, io, fd, KIND, 7, 1, 2);
}

static int leave(void **state)
{
    pagefile_done(&pf);
    sim_free(sim);
    return 0;
}

static void write_value(uint32_t index, int value)
{
    uint8_t payload[PAGE_PAYLOAD];

    memset(payload, value, sizeof(payload));
    assert_int_equal(pagefile_write(&pf, index, payload), 0);
}

/* The value of a page as a fresh reader sees it, or what pagefile_read() says. */
static int read_value(uint32_t index, uint64_t epoch)
{
    uint8_t payload[PAGE_PAYLOAD];
    struct pagefile fresh;
    int r;

    assert_int_equal(pagefile_init(&fresh, io, fd, KIND, epoch, 1, 2), 0);
    r = pagefile_read(&fresh, index, payload);
    pagefile_done(&fresh);
    return r == 1 ? payload[PAGE_PAYLOAD - 1] : r;
}

/* Flips a bit of slot `slot` of page `index`. */
static void damage(uint32_t index, unsigned slot)
{
    uint64_t at = ((1 + (uint64_t)index) * 2 + slot) * META_PAGE + 1000;
    uint8_t byte;

    assert_int_equal(io_read(io, fd, &byte, 1, at), 0);
    byte ^= 4;
    assert_int_equal(io_write(io, fd, &byte, 1, at, false), 0);
}

static void a_page_never_written_is_none(void **state)
{
    assert_int_equal(read_value(0, 7), 0);
}

static void the_newest_page_wins(void **state)
{
    for (int value = 1; value < 6; value++) {
        write_value(0, value);
        write_value(1, 100 + value);
        assert_int_equal(read_value(0, 7), value);
        assert_int_equal(read_value(1, 7), 100 + value);
    }
}

static void a_damaged_newest_page_leaves_the_one_before(void **state)
{
    write_value(0, 1);
    write_value(0, 2);
    damage(0, 0); /* sequence number 2 is even */
    assert_int_equal(read_value(0, 7), 1);
}

static void a_torn_first_write_is_no_page(void **state)
{
    write_value(0, 1);
    damage(0, 1);
    assert_int_equal(read_value(0, 7), 0);
}

static void two_damaged_pages_are_refused(void **state)
{
    write_value(0, 1);
    write_value(0, 2);
    damage(0, 0);
    damage(0, 1);
    assert_int_equal(read_value(0, 7), -EBADMSG);
}

static void pages_of_another_epoch_do_not_count(void **state)
{
    write_value(0, 1);
    assert_int_equal(read_value(0, 8), 0);
}

static void a_page_at_another_place_does_not_count(void **state)
{
    uint8_t slot[META_PAGE];

    write_value(0, 1);
    assert_int_equal(io_read(io, fd, slot, META_PAGE, 3 * META_PAGE), 0);
    assert_int_equal(io_write(io, fd, slot, META_PAGE, 5 * META_PAGE, false), 0);
    assert_int_equal(read_value(1, 7), 0);
}

static void a_failed_write_is_repeated_in_the_same_slot(void **state)
{
    uint8_t payload[PAGE_PAYLOAD] = {9};

    write_value(0, 1);
    sim_set_fault(sim, SIM_EIO, 1);
    assert_int_equal(pagefile_write(&pf, 0, payload), -EIO);
    sim_set_fault(sim, SIM_NO_FAULT, 0);
    write_value(0, 2);
    assert_int_equal(read_value(0, 7), 2);
    damage(0, 0);
    assert_int_equal(read_value(0, 7), 1);
}

/* A store at rest: whatever one slot suffers, nothing older is taken for what was written last. */
static void a_settled_page_is_in_both_slots(void **state)
{
    for (int writes = 1; writes < 4; writes++) {
        write_value(0, writes);
        assert_int_equal(pagefile_settle(&pf), 0);
        for (unsigned slot = 0; slot < 2; slot++) {
            damage(0, slot);
            assert_int_equal(read_value(0, 7), writes);
            damage(0, slot); /* and back */
        }
    }
    assert_int_equal(read_value(1, 7), 0);
}

/* What a reader finds settled is not written again. */
static void settling_is_done_once(void **state)
{
    uint8_t before[META_PAGE], after[META_PAGE], payload[PAGE_PAYLOAD];

    write_value(0, 1);
    assert_int_equal(pagefile_settle(&pf), 0);
    assert_int_equal(io_read(io, fd, before, META_PAGE, 2 * META_PAGE), 0);
    assert_int_equal(pagefile_read(&pf, 0, payload), 1);
    assert_int_equal(pagefile_settle(&pf), 0);
    assert_int_equal(io_read(io, fd, after, META_PAGE, 2 * META_PAGE), 0);
    assert_memory_equal(before, after, META_PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_page_never_written_is_none, enter, leave),
        cmocka_unit_test_setup_teardown(the_newest_page_wins, enter, leave),
        cmocka_unit_test_setup_teardown(a_damaged_newest_page_leaves_the_one_before, enter, leave),
        cmocka_unit_test_setup_teardown(a_torn_first_write_is_no_page, enter, leave),
        cmocka_unit_test_setup_teardown(two_damaged_pages_are_refused, enter, leave),
        cmocka_unit_test_setup_teardown(pages_of_another_epoch_do_not_count, enter, leave),
        cmocka_unit_test_setup_teardown(a_page_at_another_place_does_not_count, enter, leave),
        cmocka_unit_test_setup_teardown(a_settled_page_is_in_both_slots, enter, leave),
        cmocka_unit_test_setup_teardown(settling_is_done_once, enter, leave),
        cmocka_unit_test_setup_teardown(a_failed_write_is_repeated_in_the_same_slot, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "engine/crc32c.h"
#include "engine/super.h"
#include "tests/model/sim.h"

static struct super sample(void)
{
    struct super s = {.seq = 8, .mode = MODE_MIRROR, .clean = 1, .cur_gen = 5, .disk_count = 2};

    memset(s.vm_uuid, 0xab, 16);
    strcpy(s.snapshot, "point-5");
    s.keep = 3;
    s.when_full = WHEN_FULL_WAIT;
    s.space_budget = UINT64_C(5) << 40;
    for (int i = 0; i < 2; i++) {
        s.disks[i] = (struct super_disk){.size = 1 << 20, .base_gen = 3, .folding = 4,
                                         .layer_count = 2, .layers = {4, 5}};
        memset(s.disks[i].target_id, i, 16);
    }
    return s;
}

static int decode(const uint8_t slot[META_PAGE])
{
    struct super s;
    uint32_t version;

    return super_decode(slot, &s, &version);
}

static void what_is_encoded_is_decoded(void **state)
{
    struct super in = sample(), out;
    uint8_t slot[META_PAGE], again[META_PAGE];
    uint32_t version;

    super_encode(&in, slot);
    assert_int_equal(super_decode(slot, &out, &version), 0);
    assert_int_equal(version, STORE_FORMAT);
    assert_string_equal(out.snapshot, "point-5");
    assert_int_equal(out.keep, 3);
    assert_int_equal(out.when_full, WHEN_FULL_WAIT);
    assert_int_equal(out.space_budget, UINT64_C(5) << 40);
    assert_int_equal(out.disks[1].layers[1], 5);
    super_encode(&out, again);
    assert_memory_equal(slot, again, META_PAGE);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct super s = sample();
    uint8_t slot[META_PAGE];

    super_encode(&s, slot);
    for (unsigned bit = 0; bit < META_PAGE * 8; bit += 7) {
        slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(decode(slot), -EBADMSG);
        slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(decode(slot), 0);
}

/* A checksum protects from accidents; these would pass it. */
static void assert_refused(const struct super *s)
{
    uint8_t slot[META_PAGE];

    super_encode(s, slot);
    assert_int_equal(decode(slot), -EBADMSG);
}

#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        struct super s = sample();                                                                 \
                                                                                                   \
        s.field = value;                                                                           \
        assert_refused(&s);                                                                        \
    } while (0)

static void a_slot_that_makes_no_sense_is_refused(void **state)
{
    REFUSED(mode, 0);
    REFUSED(mode, _MODE_MAX);
    REFUSED(mode, MODE_INIT);
    REFUSED(clean, 2);
    REFUSED(keep, KEEP_MAX + 1);
    REFUSED(when_full, _WHEN_FULL_MAX);
    REFUSED(flags, 0x80);
    REFUSED(cur_gen, NO_GENERATION);
    REFUSED(cur_gen, 4);
    REFUSED(disks[0].size, 0);
    REFUSED(disks[0].size, 513);
    REFUSED(disks[0].flags, 0x80);
    REFUSED(disks[1].layers[1], 4);
    REFUSED(disks[1].layers[0], 3);
    REFUSED(disks[1].folding, 5);
    REFUSED(disks[1].base_gen, 6);
    REFUSED(disks[1].layer_count, LAYERS_MAX + 1);
}

static void a_newer_format_is_told_apart(void **state)
{
    struct super s = sample();
    uint8_t slot[META_PAGE];

    super_encode(&s, slot);
    put_u32(slot + 16, STORE_FORMAT + 1);
    put_u32(slot + 4, 0);
    put_u32(slot + 4, crc32c(0, slot, META_PAGE));
    assert_int_equal(decode(slot), -EPROTO);
}

/* ---- the file ---- */

static struct sim *sim;
static struct io *io;
static int fd;
static struct superfile sf;

static int enter(void **state)
{
    struct super s = sample();
    uint8_t slots[2 * META_PAGE] = {0};

    sim = sim_new();
    io = sim_io(sim);
    fd = io->ops->open(io, "/super", IO_CREATE);
    super_encode(&s, slots); /* sequence number 8: slot 0 */
    io_write(io, fd, slots, sizeof(slots), 0, true);
    sim_settle(sim);
    return superfile_load(&sf, io, fd, "super", NULL);
}

static int leave(void **state)
{
    sim_free(sim);
    return 0;
}

static int next_generation(struct super *s, void *context)
{
    s->cur_gen++;
    return 0;
}

static int give_up(struct super *s, void *context)
{
    s->cur_gen = 99;
    return -EBUSY;
}

static uint64_t loaded_generation(void)
{
    struct superfile fresh;

    return superfile_load(&fresh, io, fd, "super", NULL) == 0 ? fresh.current.cur_gen : 0;
}

static void the_newest_update_wins(void **state)
{
    for (uint64_t gen = 6; gen < 11; gen++) {
        assert_int_equal(superfile_update(&sf, next_generation, NULL), 0);
        assert_int_equal(loaded_generation(), gen);
    }
}

static void damage_to_either_slot_loses_nothing(void **state)
{
    static const uint64_t places[] = {50, META_PAGE + 50};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(superfile_update(&sf, next_generation, NULL), 0);
        assert_int_equal(io_write(io, fd, "damage", 6, places[i], true), 0);
        assert_int_equal(loaded_generation(), 6 + i);
    }
}

/* The first slot is the commit; a crash while the second is written takes nothing back. */
static void a_crash_between_the_slots_keeps_the_commit(void **state)
{
    sim_set_fault(sim, SIM_CRASH, 2);
    assert_int_equal(superfile_update(&sf, next_generation, NULL), -EIO);
    sim_power_loss(sim, SIM_LOSE_TORN);
    fd = io->ops->open(io, "/super", 0);
    assert_int_equal(loaded_generation(), 6);
}

static void two_damaged_slots_are_refused_with_advice(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    struct superfile fresh;

    assert_int_equal(io_write(io, fd, "damage", 6, 50, true), 0);
    assert_int_equal(superfile_load(&fresh, io, fd, "the-file", &e), -EBADMSG);
    assert_non_null(strstr(error_text(e), "the-file"));
    assert_non_null(strstr(error_text(e), "both"));
}

static void giving_up_changes_nothing(void **state)
{
    assert_int_equal(superfile_update(&sf, give_up, NULL), -EBUSY);
    assert_int_equal(superfile_get(&sf).cur_gen, 5);
    assert_int_equal(loaded_generation(), 5);
    assert_int_equal(superfile_update(&sf, next_generation, NULL), 0);
}

static void after_a_failed_write_nothing_is_written_any_more(void **state)
{
    sim_set_fault(sim, SIM_EIO, 1);
    assert_int_equal(superfile_update(&sf, next_generation, NULL), -EIO);
    sim_set_fault(sim, SIM_NO_FAULT, 0);
    assert_int_equal(superfile_update(&sf, next_generation, NULL), -EIO);
}

static void a_commit_survives_power_loss(void **state)
{
    assert_int_equal(superfile_update(&sf, next_generation, NULL), 0);
    sim_power_loss(sim, SIM_LOSE_ALL);
    fd = io->ops->open(io, "/super", 0);
    assert_int_equal(loaded_generation(), 6);
}

static void modes_have_names(void **state)
{
    assert_string_equal(store_mode_name(MODE_MIRROR), "mirror");
    assert_string_equal(store_mode_name(_MODE_MAX), "unknown");
    assert_string_equal(store_mode_name(0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(a_slot_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_newer_format_is_told_apart),
        cmocka_unit_test(modes_have_names),
        cmocka_unit_test_setup_teardown(the_newest_update_wins, enter, leave),
        cmocka_unit_test_setup_teardown(damage_to_either_slot_loses_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(a_crash_between_the_slots_keeps_the_commit, enter, leave),
        cmocka_unit_test_setup_teardown(two_damaged_slots_are_refused_with_advice, enter, leave),
        cmocka_unit_test_setup_teardown(giving_up_changes_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(after_a_failed_write_nothing_is_written_any_more, enter,
                                        leave),
        cmocka_unit_test_setup_teardown(a_commit_survives_power_loss, enter, leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

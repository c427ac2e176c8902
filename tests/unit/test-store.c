/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include "base/str.h"
#include "engine/store.h"
#include "tests/model/sim.h"

#define GOOD                                                                                       \
    "{\"format\": 1, \"uuid\": \"00112233445566778899aabbccddeeff\", \"name\": \"vm\", "           \
    "\"disks\": [{\"name\": \"sda\", \"target\": \"/t/a\", \"size\": 1024}]}"

static struct sim *sim;
static struct io *io;

static int enter(void **state)
{
    sim = sim_new();
    io = sim_io(sim);
    io->ops->mkdir(io, "/s");
    io->ops->mkdir(io, "/t");
    sim_settle(sim);
    return 0;
}

static int leave(void **state)
{
    sim_free(sim);
    return 0;
}

static int parse(const char *text, struct error **err)
{
    struct store_vm vm = {0};
    int r = store_vm_parse(text, strlen(text), "vm.json", &vm, err);

    if (r == 0)
        store_vm_done(&vm);
    return r;
}

static void a_good_description_is_understood(void **state)
{
    struct store_vm vm = {0};

    assert_int_equal(store_vm_parse(GOOD, strlen(GOOD), "vm.json", &vm, NULL), 0);
    assert_string_equal(vm.name, "vm");
    assert_int_equal(vm.disk_count, 1);
    assert_string_equal(vm.disks[0].target, "/t/a");
    assert_int_equal(vm.uuid[15], 0xff);
    store_vm_done(&vm);
}

/* Replaces `old` by `new` in the good one. */
static void assert_refused(const char *old, const char *new, int code)
{
    _cleanup_error_ struct error *e = NULL;
    const char *at = strstr(GOOD, old);
    _cleanup_free_ char *text = NULL;

    assert_non_null(at);
    text = str_format("%.*s%s%s", (int)(at - GOOD), GOOD, new, at + strlen(old));
    assert_int_equal(parse(text, &e), -code);
    assert_non_null(strstr(error_text(e), "vm.json"));
}

static void a_bad_description_is_refused_with_the_file_named(void **state)
{
    assert_refused("\"format\": 1", "\"format\": 2", EPROTO);
    assert_refused("{", "", EBADMSG);
    assert_refused("00112233", "zz112233", EBADMSG);
    assert_refused("\"name\": \"vm\"", "\"name\": 5", EBADMSG);
    assert_refused("\"sda\"", "\"../sda\"", EBADMSG);
    assert_refused("\"/t/a\"", "\"t/a\"", EBADMSG);
    assert_refused("1024", "1023", EBADMSG);
    assert_refused("1024", "-1024", EBADMSG);
    assert_refused("1024", "1125899906842625024", EBADMSG);
    assert_refused("[{", "[], \"x\": [{", EBADMSG);
    assert_refused("1024}", "1024}, {\"name\": \"sda\", \"target\": \"/t/b\", \"size\": 512}",
                   EBADMSG);
}

static void disk_names_are_safe_as_file_names(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "-a", "a b", "a\n",
                                      "abcdefghijklmnopqrstuvwxyz0123456"};
    static const char *const good[] = {"sda", "a.b-c_d", "0", "abcdefghijklmnopqrstuvwxyz01234"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(store_check_disk_name(bad[i], NULL), -EINVAL);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(store_check_disk_name(good[i], NULL), 0);
}

static int create(uint64_t size, struct error **err)
{
    struct store_vm vm = {.name = str_dup("vm"), .disk_count = 1};
    int r;

    snprintf(vm.disks[0].name, sizeof(vm.disks[0].name), "sda");
    vm.disks[0].target = str_dup("/t/a");
    vm.disks[0].size = size;
    r = store_create(io, "/s/vm", &vm, err);
    store_vm_done(&vm);
    return r;
}

static void count(const char *path, void *context)
{
    ++*(unsigned *)context;
}

static unsigned paths(void)
{
    unsigned n = 0;

    sim_each(sim, count, &n);
    return n;
}

static void a_new_store_survives_power_loss(void **state)
{
    struct store_vm vm = {0};
    uint64_t size = 0;

    assert_int_equal(create(1024, NULL), 0);
    sim_power_loss(sim, SIM_LOSE_ALL);
    assert_int_equal(store_vm_read(io, "/s/vm", &vm, NULL), 0);
    assert_int_equal(vm.disks[0].size, 1024);
    store_vm_done(&vm);
    assert_non_null(sim_file(sim, "/s/vm/super", &size));
    assert_int_equal(size, 2 * META_PAGE);
    sim_file(sim, "/t/a", &size);
    assert_int_equal(size, 1024);
}

static void an_existing_store_is_not_touched(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    struct store_vm vm = {0};

    assert_int_equal(create(1024, NULL), 0);
    assert_int_equal(create(1024, &e), -EEXIST);
    assert_int_equal(store_vm_read(io, "/s/vm", &vm, NULL), 0);
    store_vm_done(&vm);
}

/* Its superblock may be lost and its layers precious, or it was never finished: not ours to tell. */
static void what_is_left_of_a_store_is_not_touched(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    struct store_vm vm = {0};
    unsigned before;

    assert_int_equal(create(1024, NULL), 0);
    assert_int_equal(io->ops->unlink(io, "/s/vm/super"), 0);
    before = paths();
    assert_int_equal(create(1024, &e), -EEXIST);
    assert_non_null(strstr(error_text(e), "/s/vm"));
    assert_int_equal(paths(), before);
    assert_int_equal(store_vm_read(io, "/s/vm", &vm, NULL), 0);
    store_vm_done(&vm);
}

static void an_existing_target_gives_its_size(void **state)
{
    static const char bytes[2048];
    struct store_vm vm = {0};

    sim_put(sim, "/t/a", bytes, sizeof(bytes));
    assert_int_equal(create(0, NULL), 0);
    assert_int_equal(store_vm_read(io, "/s/vm", &vm, NULL), 0);
    assert_int_equal(vm.disks[0].size, 2048);
    store_vm_done(&vm);
}

static void a_target_that_is_too_small_is_refused(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    uint64_t size = 0;

    sim_put(sim, "/t/a", "12345678", 8);
    assert_int_equal(create(1024, &e), -EFBIG);
    assert_non_null(strstr(error_text(e), "/t/a"));
    assert_non_null(sim_file(sim, "/t/a", &size)); /* it is not ours to remove */
    assert_int_equal(size, 8);
}

static void odd_sizes_and_missing_ones_are_refused(void **state)
{
    assert_int_equal(create(0, NULL), -ENOENT);
    assert_int_equal(create(513, NULL), -EINVAL);
    sim_put(sim, "/t/a", "12345678", 8);
    assert_int_equal(create(0, NULL), -EINVAL);
}

static void a_failed_create_leaves_nothing_behind(void **state)
{
    unsigned before = paths();

    for (unsigned at = 1;; at++) {
        int r;

        sim_seed(sim, at);
        sim_set_fault(sim, at % 2 ? SIM_EIO : SIM_ENOSPC, at);
        r = create(1024, NULL);
        if (!sim_fault_hit(sim))
            break;
        sim_set_fault(sim, SIM_NO_FAULT, 0);
        assert_true(r < 0);
        if (paths() != before)
            fail_msg("a fault at call %u leaves %u files", at, paths() - before);
        assert_int_equal(sim_open_files(sim), 0);
    }
    sim_set_fault(sim, SIM_NO_FAULT, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_description_is_understood),
        TEST(a_bad_description_is_refused_with_the_file_named),
        TEST(disk_names_are_safe_as_file_names),
        TEST(a_new_store_survives_power_loss),
        TEST(an_existing_store_is_not_touched),
        TEST(what_is_left_of_a_store_is_not_touched),
        TEST(an_existing_target_gives_its_size),
        TEST(a_target_that_is_too_small_is_refused),
        TEST(odd_sizes_and_missing_ones_are_refused),
        TEST(a_failed_create_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

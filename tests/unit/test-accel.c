/* SPDX-License-Identifier: Apache-2.0 */
/* The choice between KVM and emulation, with a stand-in for QEMU in PATH. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/accel.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"

static char directory[] = "slipway-accel-XXXXXX";

static void pretend(const char *script)
{
    _cleanup_free_ char *path = str_format("%s/qemu-system-x86_64", directory);
    _cleanup_free_ char *text = str_format("#!/bin/sh\n%s\n", script);

    assert_int_equal(fdio_replace_file(path, text, strlen(text), 0755), 0);
}

static void believes_a_kernel_that_panics(void **state)
{
    pretend("echo 'Kernel panic - not syncing: VFS: Unable to mount root fs'");
    assert_int_equal(accel_probe("/kernel", 5 * NS_PER_S), 1);
}

static void doubts_silence_and_failure(void **state)
{
    pretend("echo 'Linux version 6.1'; exec sleep 60");
    assert_int_equal(accel_probe("/kernel", 300 * NS_PER_MS), 0);
    pretend("echo 'failed to initialize kvm' >&2; exit 1");
    assert_int_equal(accel_probe("/kernel", 5 * NS_PER_S), -EIO);
}

static void the_user_decides(void **state)
{
    const char *name;

    setenv("SLIPWAY_ACCEL", "kvm", 1);
    assert_int_equal(accel_choose(&name), 0);
    assert_string_equal(name, "kvm");
    setenv("SLIPWAY_ACCEL", "tcg", 1);
    assert_int_equal(accel_choose(&name), 0);
    assert_string_equal(name, "tcg");
    setenv("SLIPWAY_ACCEL", "xen", 1);
    assert_int_equal(accel_choose(&name), -EINVAL);
    assert_string_equal(name, "tcg");
    unsetenv("SLIPWAY_ACCEL");
}

static void answers_are_kept_for_one_boot(void **state)
{
    _cleanup_free_ char *path = str_format("%s/cache", directory);

    assert_null(accel_cache_read(path, "boot-1"));
    assert_int_equal(accel_cache_write(path, "boot-1", "kvm"), 0);
    assert_string_equal(accel_cache_read(path, "boot-1"), "kvm");
    assert_null(accel_cache_read(path, "boot-2"));
    assert_null(accel_cache_read(path, "boot"));
    assert_int_equal(fdio_replace_file(path, "boot-1 rot", 10, 0644), 0);
    assert_null(accel_cache_read(path, "boot-1"));
}

static int set_up(void **state)
{
    const char *base = getenv("TMPDIR");
    _cleanup_free_ char *path = NULL;

    if (base && chdir(base) < 0)
        return -1;
    if (!mkdtemp(directory))
        return -1;
    path = str_format("%s:%s", directory, getenv("PATH"));
    return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
    return fdio_remove_tree(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_a_kernel_that_panics),
        cmocka_unit_test(doubts_silence_and_failure),
        cmocka_unit_test(the_user_decides),
        cmocka_unit_test(answers_are_kept_for_one_boot),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"

static void keeps_code_and_sentence(void **state)
{
    _cleanup_error_ struct error *e = NULL;

    assert_int_equal(error_set(&e, ENOENT, "no disk '%s'", "sda"), -ENOENT);
    assert_int_equal(error_code(e), ENOENT);
    assert_string_equal(error_text(e), "no disk 'sda'");
}

static void the_first_error_stays(void **state)
{
    _cleanup_error_ struct error *e = NULL;

    error_set(&e, EIO, "the cause");
    assert_int_equal(error_set(&e, EPERM, "what followed"), -EPERM);
    assert_string_equal(error_text(e), "the cause");
    assert_int_equal(error_code(e), EIO);
}

static void nobody_needs_to_listen(void **state)
{
    assert_int_equal(error_set(NULL, EINVAL, "x"), -EINVAL);
    assert_int_equal(error_set_errno(NULL, EIO, "x"), -EIO);
    assert_string_equal(error_text(NULL), "no error");
    assert_int_equal(error_code(NULL), 0);
    assert_null(error_free(NULL));
}

static void errno_text_is_appended_and_a_prefix_put_before(void **state)
{
    _cleanup_error_ struct error *e = NULL;

    error_set_errno(&e, ENOSPC, "cannot write %s", "L1.data");
    assert_int_equal(error_prefix(&e, "disk %s", "sda"), -ENOSPC);
    assert_string_equal(error_text(e),
                        "disk sda: cannot write L1.data: No space left on device");
}

static void moving_leaves_one_owner(void **state)
{
    _cleanup_error_ struct error *to = NULL;
    struct error *from = NULL, *other = NULL;

    error_set(&from, EBUSY, "busy");
    assert_int_equal(error_move(&to, &from), -EBUSY);
    assert_null(from);
    assert_string_equal(error_text(to), "busy");
    error_set(&other, EIO, "late");
    assert_int_equal(error_move(&to, &other), -EIO);
    assert_null(other);
    assert_string_equal(error_text(to), "busy");
}

static void exit_codes_tell_kinds_apart(void **state)
{
    assert_int_equal(error_exit_code(EINVAL), EXIT_CODE_USAGE);
    assert_int_equal(error_exit_code(ENOENT), EXIT_CODE_NOT_FOUND);
    assert_int_equal(error_exit_code(EEXIST), EXIT_CODE_EXISTS);
    assert_int_equal(error_exit_code(EPERM), EXIT_CODE_STATE);
    assert_int_equal(error_exit_code(EBUSY), EXIT_CODE_BUSY);
    assert_int_equal(error_exit_code(ENOSPC), EXIT_CODE_SPACE);
    assert_int_equal(error_exit_code(ECONNREFUSED), EXIT_CODE_SOURCE);
    assert_int_equal(error_exit_code(EBADMSG), EXIT_CODE_DAMAGED);
    assert_int_equal(error_exit_code(ECANCELED), EXIT_CODE_CANCELLED);
    assert_int_equal(error_exit_code(ENOTTY), EXIT_CODE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_code_and_sentence),
        cmocka_unit_test(the_first_error_stays),
        cmocka_unit_test(nobody_needs_to_listen),
        cmocka_unit_test(errno_text_is_appended_and_a_prefix_put_before),
        cmocka_unit_test(moving_leaves_one_owner),
        cmocka_unit_test(exit_codes_tell_kinds_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

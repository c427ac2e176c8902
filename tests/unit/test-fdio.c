/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include "base/fdio.h"
#include "base/str.h"

static char folder[] = "slipway-fdio-XXXXXX";

static int enter(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
    return fdio_remove_tree(folder);
}

static void a_replaced_file_is_read_back(void **state)
{
    _cleanup_free_ char *path = str_format("%s/file", folder);
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    struct stat st;

    assert_int_equal(fdio_replace_file(path, "first", 5, 0600), 0);
    assert_int_equal(fdio_replace_file(path, "second", 6, 0640), 0);
    assert_int_equal(fdio_read_file(path, 100, &text, &length), 0);
    assert_int_equal(length, 6);
    assert_string_equal(text, "second");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    _cleanup_free_ char *path = str_format("%s/large", folder);
    _cleanup_free_ char *text = NULL;

    assert_int_equal(fdio_replace_file(path, "12345678", 8, 0600), 0);
    assert_int_equal(fdio_read_file(path, 7, &text, NULL), -EFBIG);
    assert_null(text);
    assert_int_equal(fdio_read_file(path, 8, &text, NULL), 0);
}

static void what_is_not_there_is_enoent(void **state)
{
    _cleanup_free_ char *path = str_format("%s/none/file", folder);
    char *text;

    assert_int_equal(fdio_read_file(path, 10, &text, NULL), -ENOENT);
    assert_int_equal(fdio_replace_file(path, "x", 1, 0600), -ENOENT);
    assert_int_equal(fdio_remove_tree(path), 0);
}

static void folders_are_made_on_the_way(void **state)
{
    _cleanup_free_ char *path = str_format("%s/a/b/c", folder);
    struct stat st;

    assert_int_equal(fdio_make_dirs(path, 0700), 0);
    assert_int_equal(fdio_make_dirs(path, 0700), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void a_removed_tree_spares_what_links_point_to(void **state)
{
    _cleanup_free_ char *tree = str_format("%s/tree", folder);
    _cleanup_free_ char *link = str_format("%s/tree/link", folder);
    _cleanup_free_ char *spared = str_format("%s/spared", folder);
    _cleanup_free_ char *inside = str_format("%s/spared/file", folder);

    assert_int_equal(fdio_make_dirs(tree, 0700), 0);
    assert_int_equal(fdio_make_dirs(spared, 0700), 0);
    assert_int_equal(fdio_replace_file(inside, "x", 1, 0600), 0);
    assert_int_equal(symlink("../spared", link), 0);
    assert_int_equal(fdio_remove_tree(tree), 0);
    assert_int_equal(access(tree, F_OK), -1);
    assert_int_equal(access(inside, F_OK), 0);
}

static void reading_all_ends_at_the_end(void **state)
{
    char data[16];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fdio_write_all(fds[1], "abc", 3), 0);
    assert_int_equal(fdio_write_all(fds[1], "def", 3), 0);
    close(fds[1]);
    assert_int_equal(fdio_read_all(fds[0], data, sizeof(data)), 6);
    assert_memory_equal(data, "abcdef", 6);
    assert_int_equal(fdio_set_nonblock(fds[0], true), 0);
    assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    close(fds[0]);
    assert_int_equal(fdio_read_all(-1, data, 1), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replaced_file_is_read_back),
        cmocka_unit_test(a_file_that_is_too_large_is_refused),
        cmocka_unit_test(what_is_not_there_is_enoent),
        cmocka_unit_test(folders_are_made_on_the_way),
        cmocka_unit_test(a_removed_tree_spares_what_links_point_to),
        cmocka_unit_test(reading_all_ends_at_the_end),
    };

    return cmocka_run_group_tests(tests, enter, leave);
}

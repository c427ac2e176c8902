/* SPDX-License-Identifier: Apache-2.0 */
/* Keys come, go and are rotated, also when that was interrupted; secrets stay readable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/seal.h"
#include "orchestrator/secrets.h"

static char folder[64], given[80];
static struct secrets *s;

static void reopen(const char *credentials)
{
    struct error *err = NULL;

    s = secrets_close(s);
    if (secrets_open(folder, credentials, &s, &err) < 0)
        fail_msg("%s", error_text(err));
}

static int set_up(void **state)
{
    strcpy(folder, "/tmp/test-secrets-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(given, sizeof(given), "%s/given", folder);
    assert_int_equal(mkdir(given, 0700), 0);
    s = NULL;
    reopen(NULL);
    return 0;
}

static int tear_down(void **state)
{
    s = secrets_close(s);
    return fdio_remove_tree(folder);
}

static char *at(const char *name)
{
    return str_format("%s/%s", folder, name);
}

static bool exists(const char *name)
{
    _cleanup_free_ char *path = at(name);

    return access(path, F_OK) == 0;
}

static void write_file(const char *name, const void *data, size_t length)
{
    _cleanup_free_ char *path = at(name);

    assert_int_equal(fdio_replace_file(path, data, length, 0600), 0);
}

static void move(const char *from, const char *to)
{
    _cleanup_free_ char *a = at(from), *b = at(to);

    assert_int_equal(rename(a, b), 0);
}

static void write_key(const char *name, int byte)
{
    char bytes[SEAL_KEY_BYTES];

    memset(bytes, byte, sizeof(bytes));
    write_file(name, bytes, sizeof(bytes));
}

static int get(const char *name, const char *value)
{
    struct error *err = NULL;
    char *got = NULL;
    int r = secrets_get(s, name, &got, &err);

    assert_int_equal(-r, error_code(err));
    if (r == 0)
        assert_string_equal(got, value);
    else
        assert_non_null(strstr(error_text(err), name));
    error_free(err);
    seal_text_free(got);
    return r;
}

static void put(const char *name, const char *value)
{
    assert_int_equal(secrets_put(s, name, value, NULL), 0);
}

static void secrets_come_and_go(void **state)
{
    struct stat st;
    _cleanup_free_ char *key = at("key"), *sealed = at("a.sealed");

    assert_false(exists("key"));
    assert_int_equal(get("a", ""), -ENOENT);
    put("a", "one");
    put("b", "two");
    put("a", "three");
    reopen(NULL);
    assert_int_equal(get("a", "three"), 0);
    assert_int_equal(get("b", "two"), 0);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, SEAL_KEY_BYTES);
    assert_int_equal(stat(sealed, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(secrets_remove(s, "a", NULL), 0);
    assert_int_equal(secrets_remove(s, "a", NULL), 0);
    assert_int_equal(get("a", ""), -ENOENT);
    move("b.sealed", "a.sealed");
    assert_int_equal(get("a", ""), -EBADMSG);
}

static void a_key_that_is_gone_is_named(void **state)
{
    put("a", "one");
    write_key("key", 7);
    reopen(NULL);
    assert_int_equal(get("a", ""), -EKEYREJECTED);
    put("b", "two");
    assert_int_equal(get("b", "two"), 0);
}

static void a_wrong_key_file_is_refused(void **state)
{
    struct secrets *none = NULL;
    _cleanup_free_ char *key = at("key");
    struct error *err = NULL;

    write_file("key", "short", 5);
    assert_int_equal(secrets_open(folder, NULL, &none, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), key));
    err = error_free(err);
    write_key("key", 1);
    chmod(key, 0640);
    assert_int_equal(secrets_open(folder, NULL, &none, &err), -EINVAL);
    error_free(err);
    assert_null(none);
}

static void plain_ones_are_taken_over(void **state)
{
    write_file("a", "one", 3);
    assert_int_equal(secrets_take_plain(s, "a", NULL), 0);
    assert_int_equal(secrets_take_plain(s, "a", NULL), 0);
    assert_int_equal(secrets_take_plain(s, "none", NULL), 0);
    assert_false(exists("a"));
    assert_int_equal(get("a", "one"), 0);
    write_file("a", "one", 3); /* interrupted before it was gone */
    assert_int_equal(secrets_take_plain(s, "a", NULL), 0);
    assert_false(exists("a"));
    assert_int_equal(secrets_take_plain(s, "key", NULL), 0);
    assert_true(exists("key"));
}

static void rotation_changes_key_and_seals(void **state)
{
    _cleanup_free_ char *path = at("key"), *before = NULL, *after = NULL;
    size_t count = 9;

    assert_int_equal(secrets_rotate(s, &count, NULL), 0);
    assert_int_equal(count, 0);
    put("a", "one");
    put("b", "two");
    assert_int_equal(fdio_read_file(path, 100, &before, NULL), 0);
    assert_int_equal(secrets_rotate(s, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(fdio_read_file(path, 100, &after, NULL), 0);
    assert_memory_not_equal(before, after, SEAL_KEY_BYTES);
    assert_false(exists("key.next"));
    assert_int_equal(get("a", "one"), 0);
    reopen(NULL);
    assert_int_equal(get("a", "one"), 0);
    assert_int_equal(get("b", "two"), 0);
    write_file("key", before, SEAL_KEY_BYTES); /* the old one opens nothing any more */
    reopen(NULL);
    assert_int_equal(get("a", ""), -EKEYREJECTED);
}

/* Some are of the old key and some of the new one; the new one is not in its place yet. */
static void an_interrupted_rotation_ends_at_the_next_start(void **state)
{
    write_key("key", 1);
    reopen(NULL);
    put("a", "one");
    put("b", "two");
    write_key("key.next", 2);
    reopen(NULL);
    assert_false(exists("key.next"));
    move("b.sealed", "kept");
    write_key("key", 1); /* as if a was still of the old one */
    reopen(NULL);
    put("a", "one");
    move("kept", "b.sealed");
    write_key("key.next", 2);
    reopen(NULL);
    assert_int_equal(get("a", "one"), 0);
    assert_int_equal(get("b", "two"), 0);
    assert_false(exists("key.next"));
    write_key("key.next", 3); /* nothing is of it yet */
    reopen(NULL);
    assert_int_equal(get("b", "two"), 0);
}

static void a_secret_that_cannot_be_read_keeps_its_key(void **state)
{
    _cleanup_free_ char *sealed = at("a.sealed"), *data = NULL;
    struct error *err = NULL;
    size_t length, count;

    put("a", "one");
    put("b", "two");
    assert_int_equal(fdio_read_file(sealed, SEAL_BYTES_MAX, &data, &length), 0);
    data[length - 1] ^= 1;
    write_file("a.sealed", data, length);
    assert_int_equal(secrets_rotate(s, &count, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), "a.sealed"));
    error_free(err);
    assert_false(exists("key.next"));
    write_key("key.next", 5);
    reopen(NULL);
    assert_true(exists("key.next") && exists("key"));
    assert_int_equal(get("b", "two"), 0);
    data[length - 1] ^= 1;
    write_file("a.sealed", data, length);
    reopen(NULL);
    assert_int_equal(get("a", "one"), 0);
    assert_false(exists("key.next"));
}

static void a_credential_counts_more_than_the_file(void **state)
{
    struct error *err = NULL;
    size_t count;

    put("a", "one");
    write_key("given/slipway-key", 1);
    reopen(given);
    assert_false(exists("key"));
    assert_int_equal(get("a", "one"), 0);
    assert_int_equal(secrets_rotate(s, &count, &err), -EPERM);
    assert_non_null(strstr(error_text(err), "slipway-key-old"));
    error_free(err);
    write_key("given/slipway-key", 2);
    reopen(given);
    assert_int_equal(get("a", ""), -EKEYREJECTED);
    write_key("given/slipway-key-old", 1);
    reopen(given);
    assert_int_equal(get("a", "one"), 0);
    move("given/slipway-key-old", "gone");
    reopen(given);
    assert_int_equal(get("a", "one"), 0);
    reopen(NULL);
    assert_int_equal(get("a", ""), -EKEYREJECTED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(secrets_come_and_go),
        TEST(a_key_that_is_gone_is_named),
        TEST(a_wrong_key_file_is_refused),
        TEST(plain_ones_are_taken_over),
        TEST(rotation_changes_key_and_seals),
        TEST(an_interrupted_rotation_ends_at_the_next_start),
        TEST(a_secret_that_cannot_be_read_keeps_its_key),
        TEST(a_credential_counts_more_than_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

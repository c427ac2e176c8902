/* SPDX-License-Identifier: Apache-2.0 */
/* Registry hives: values in and out, nothing touched where nothing differs, damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "minihive.h"
#include "morph-tree.h"
#include "morph/utf16.h"

#define SERVICE "ControlSet001\\Services\\viostor"

static struct hive *reopened(struct hive *hive)
{
    _cleanup_free_ char *data = NULL;
    struct hive *again = NULL;
    size_t length;

    assert_int_equal(hive_commit(hive, &data, &length, NULL), 0);
    assert_int_equal(hive_open("SYSTEM", data, length, &again, NULL), 0);
    return again;
}

static void test_values_survive_the_file(void **state)
{
    _cleanup_hive_ struct hive *hive = minihive_open("SYSTEM"), *again = NULL;
    char *text, **texts;
    uint32_t number = 0;

    assert_false(hive_is_changed(hive));
    assert_int_equal(hive_set_number(hive, SERVICE, "Start", 0xdeadbeef, NULL), 1);
    assert_int_equal(hive_set_text(hive, SERVICE, "Group", HIVE_TEXT, "SCSI miniport", NULL), 1);
    assert_int_equal(hive_set_text(hive, SERVICE, "Äö", HIVE_EXPAND, "ü€𝄞", NULL), 1);
    assert_int_equal(hive_set_text(hive, SERVICE, "List", HIVE_TEXTS, "one", NULL), 1);
    assert_int_equal(hive_set(hive, SERVICE, "Two", HIVE_TEXTS, "a\0\0\0b\0c\0\0\0\0\0", 12, NULL),
                     1);
    assert_int_equal(hive_set(hive, SERVICE, "", HIVE_BINARY, "\1\2\3", 3, NULL), 1);
    assert_true(hive_is_changed(hive));
    again = reopened(hive);
    assert_false(hive_is_changed(again));
    assert_false(hive_is_unfinished(again));
    assert_true(hive_has_key(again, "controlset001\\SERVICES\\VioStor"));
    assert_true(hive_number(again, SERVICE, "START", &number));
    assert_int_equal(number, 0xdeadbeef);
    text = hive_text(again, SERVICE, "group");
    assert_string_equal(text, "SCSI miniport");
    free(text);
    text = hive_text(again, SERVICE, "Äö");
    assert_string_equal(text, "ü€𝄞");
    free(text);
    texts = hive_texts(again, SERVICE, "Two");
    assert_string_equal(texts[0], "a");
    assert_string_equal(texts[1], "bc");
    assert_null(texts[2]);
    tree_names_free(texts);
    texts = hive_texts(again, SERVICE, "Group");
    assert_string_equal(texts[0], "SCSI miniport");
    tree_names_free(texts);
    texts = hive_list(again, "ControlSet001");
    assert_string_equal(texts[0], "Services");
    assert_null(texts[1]);
    tree_names_free(texts);
}

static void test_what_is_so_already_changes_nothing(void **state)
{
    _cleanup_hive_ struct hive *hive = minihive_open("SYSTEM"), *again = NULL;

    hive_set_number(hive, SERVICE, "Start", 0, NULL);
    hive_set_text(hive, SERVICE, "ImagePath", HIVE_EXPAND, "x", NULL);
    again = reopened(hive);
    assert_int_equal(hive_set_number(again, SERVICE, "start", 0, NULL), 0);
    assert_int_equal(hive_set_text(again, SERVICE, "ImagePath", HIVE_EXPAND, "x", NULL), 0);
    assert_int_equal(hive_make_key(again, SERVICE, NULL), 0);
    assert_false(hive_is_changed(again));
    assert_int_equal(hive_set_text(again, SERVICE, "ImagePath", HIVE_TEXT, "x", NULL), 1);
    assert_true(hive_is_changed(again));
}

static void test_what_is_not_there(void **state)
{
    _cleanup_hive_ struct hive *hive = minihive_open("SYSTEM");
    char **texts = hive_list(hive, "No\\Such");
    uint32_t number;

    assert_null(texts[0]);
    tree_names_free(texts);
    texts = hive_texts(hive, "No", "Value");
    assert_null(texts[0]);
    tree_names_free(texts);
    assert_null(hive_text(hive, "", "Value"));
    assert_false(hive_number(hive, "No", "Value", &number));
    assert_false(hive_has_key(hive, "\\"));
    assert_false(hive_has_key(hive, "a\\\\b"));
    assert_true(hive_set_number(hive, "a\\\\b", "x", 1, NULL) < 0);
    hive_set_text(hive, "K", "Text", HIVE_TEXT, "1", NULL);
    assert_false(hive_number(hive, "K", "Text", &number));
}

static void test_damage_is_refused(void **state)
{
    unsigned char bytes[MINIHIVE_SIZE];
    struct error *err = NULL;
    struct hive *hive = NULL;

    minihive_make(bytes);
    assert_int_equal(hive_open("SYSTEM", bytes, 4096, &hive, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), "SYSTEM"));
    err = error_free(err);
    bytes[48] ^= 1; /* the checksum no longer fits */
    assert_int_equal(hive_open("SYSTEM", bytes, sizeof(bytes), &hive, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), "damaged"));
    err = error_free(err);
    minihive_make(bytes);
    bytes[42] ^= 1; /* 64 KiB more than there is, and a checksum that fits */
    bytes[510] ^= 1;
    assert_int_equal(hive_open("SYSTEM", bytes, sizeof(bytes), &hive, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), "shorter"));
    err = error_free(err);
    minihive_make(bytes);
    memcpy(bytes + 4096, "nibh", 4);
    assert_int_equal(hive_open("SYSTEM", bytes, sizeof(bytes), &hive, NULL), -EBADMSG);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(hive_open("SYSTEM", bytes, sizeof(bytes), &hive, NULL), -EBADMSG);
    assert_null(hive);
}

static void test_unfinished_hive(void **state)
{
    unsigned char bytes[MINIHIVE_SIZE];
    struct hive *hive = NULL, *again;

    minihive_make(bytes);
    bytes[4] ^= 3;
    bytes[508] ^= 3;
    assert_int_equal(hive_open("SYSTEM", bytes, sizeof(bytes), &hive, NULL), 0);
    assert_true(hive_is_unfinished(hive));
    again = reopened(hive);
    assert_false(hive_is_unfinished(again)); /* so that Windows does not replay its logs */
    hive_free(again);
    hive_free(hive);
}

static void read_all(struct hive *hive, const char *path, unsigned depth)
{
    char **names = hive_list(hive, path);

    for (size_t i = 0; names[i] && i < 20 && depth < 4; i++) {
        _cleanup_free_ char *below = str_format("%s%s%s", path, *path ? "\\" : "", names[i]);

        read_all(hive, below, depth + 1);
    }
    tree_names_free(names);
    free(hive_text(hive, path, "Group"));
    tree_names_free(hive_texts(hive, path, "Two"));
}

static void parse(const char *bytes, size_t length)
{
    struct hive *hive = NULL;

    if (hive_open("SYSTEM", bytes, length, &hive, NULL) < 0)
        return;
    read_all(hive, "", 0);
    hive_set_number(hive, SERVICE, "Start", 7, NULL);
    hive_free(hive);
}

static void test_random_damage(void **state)
{
    _cleanup_hive_ struct hive *hive = minihive_open("SYSTEM");
    _cleanup_free_ char *data = NULL;
    size_t length;

    hive_set_number(hive, SERVICE, "Start", 0, NULL);
    hive_set_text(hive, SERVICE, "Group", HIVE_TEXT, "SCSI miniport", NULL);
    hive_set(hive, SERVICE, "Two", HIVE_TEXTS, "a\0\0\0b\0c\0\0\0\0\0", 12, NULL);
    assert_int_equal(hive_commit(hive, &data, &length, NULL), 0);
    mutate(data, length, 10000, parse);
}

static void test_utf16(void **state)
{
    _cleanup_buffer_ struct buffer out = {0};
    char *text = utf16_decode("a\0\x3d\xd8\0\0", 5); /* half a pair, half a unit */

    assert_string_equal(text, "a\xef\xbf\xbd\xef\xbf\xbd");
    free(text);
    text = utf16_decode("\x34\xd8\x1e\xdd", 4);
    assert_string_equal(text, "𝄞");
    free(text);
    utf16_encode(&out, "\xff\xc3");
    assert_int_equal(out.length, 4);
    assert_memory_equal(out.data, "\xfd\xff\xfd\xff", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_survive_the_file),
        cmocka_unit_test(test_what_is_so_already_changes_nothing),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_unfinished_hive),
        cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_utf16),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include "base/cleanup.h"
#include "base/str.h"

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0}, {"123", 123}, {"16K", 16384}, {"2M", 2 << 20},
                {"3G", UINT64_C(3) << 30}, {"1T", UINT64_C(1) << 40}, {"4KiB", 4096},
                {"18446744073709551615", UINT64_MAX}};
    uint64_t bytes;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(str_to_bytes(good[i].text, &bytes), 0);
        assert_true(bytes == good[i].bytes);
    }
}

static void what_is_no_size_is_refused(void **state)
{
    static const char *const bad[] = {"", "K", "-1", "+1", " 1", "1 ", "1KBB", "1.5G", "0x10",
                                      "12Q"};
    uint64_t bytes = 7;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_true(str_to_bytes(bad[i], &bytes) < 0);
    assert_int_equal(str_to_bytes("99999999999999999999", &bytes), -ERANGE);
    assert_int_equal(str_to_bytes("99999999T", &bytes), -ERANGE);
    assert_int_equal(bytes, 7);
}

static void bytes_are_told_to_people(void **state)
{
    char buf[32];

    assert_string_equal(str_from_bytes(1, buf, sizeof(buf)), "1 B");
    assert_string_equal(str_from_bytes(UINT64_C(3) << 29, buf, sizeof(buf)), "1.5 GiB");
}

static void replacing_frees_the_old(void **state)
{
    char *p = str_dup("old");

    str_replace(&p, "new");
    assert_string_equal(p, "new");
    str_replace(&p, NULL);
    assert_null(p);
    assert_null(str_dup(NULL));
}

static void prefixes_and_formats(void **state)
{
    _cleanup_free_ char *text = str_format("%s-%d", "a", 5);

    assert_string_equal(text, "a-5");
    assert_true(str_starts("qemu+unix://", "qemu"));
    assert_false(str_starts("qem", "qemu"));
    assert_true(str_starts("x", ""));
}

static void utf8_stays_and_the_rest_does_not(void **state)
{
    static const struct {
        const char *text, *made;
    } cases[] = {
        {"", ""}, {"plain", "plain"}, {"\u00fc\u20ac\U0001f600", "\u00fc\u20ac\U0001f600"},
        {"a\xff\xfe", "a??"}, {"a\xc3", "a?"}, {"\xc3(", "?("}, {"\xe2\x82", "??"},
        {"\x80z", "?z"}, {"\xc0\xaf", "??"}, {"\xc1\xbf", "??"}, {"\xe0\x9f\xbf", "???"},
        {"\xed\xa0\x80", "???"}, {"\xed\x9f\xbf", "\xed\x9f\xbf"},
        {"\xf0\x8f\xbf\xbf", "????"}, {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xf4\x90\x80\x80", "????"}, {"\xf5\x80\x80\x80", "????"}, {"\xf0\x9f\x98", "???"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_free_ char *text = str_dup(cases[i].text);

        assert_ptr_equal(str_make_utf8(text), text);
        assert_string_equal(text, cases[i].made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),          cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(bytes_are_told_to_people), cmocka_unit_test(replacing_frees_the_old),
        cmocka_unit_test(prefixes_and_formats),
        cmocka_unit_test(utf8_stays_and_the_rest_does_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A seal opens with its key and its name, and not when a single bit was changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "orchestrator/seal.h"

static struct seal_key key, other;

static int set_up(void **state)
{
    uint8_t bytes[SEAL_KEY_BYTES];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(seal_key_init(&key, bytes, NULL), 0);
    assert_int_equal(seal_key_make(&other, NULL), 0);
    assert_memory_not_equal(key.id, other.id, SEAL_ID_BYTES);
    return 0;
}

static uint8_t *make(const char *name, const char *text, size_t *ret_length)
{
    uint8_t *data = NULL;

    assert_int_equal(seal_close(&key, name, text, strlen(text), &data, ret_length, NULL), 0);
    assert_int_equal(*ret_length, SEAL_HEAD_BYTES + strlen(text));
    return data;
}

/* 0 and the same text, or the error; a sentence comes with every error. */
static int opens(const struct seal_key *with, const char *name, const uint8_t *data, size_t length,
                 const char *text)
{
    struct error *err = NULL;
    char *got = NULL;
    int r = seal_open(with, name, data, length, &got, &err);

    assert_int_equal(-r, error_code(err));
    assert_true((r == 0) == (got != NULL));
    if (r == 0)
        assert_string_equal(got, text);
    seal_text_free(got);
    error_free(err);
    return r;
}

static void what_was_closed_opens(void **state)
{
    static char longest[SEAL_TEXT_MAX + 2];
    const char *texts[] = {"", "x", "open sesame", longest};

    memset(longest, 'a', SEAL_TEXT_MAX);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t length;
        uint8_t *data = make("n", texts[i], &length);

        assert_int_equal(opens(&key, "n", data, length, texts[i]), 0);
        free(data);
    }
    longest[SEAL_TEXT_MAX] = 'a';
    assert_int_equal(seal_close(&key, "n", longest, SEAL_TEXT_MAX + 1, NULL, NULL, NULL), -E2BIG);
}

static void another_key_or_name_does_not(void **state)
{
    size_t length;
    uint8_t *data = make("web", "open sesame", &length);

    assert_int_equal(opens(&other, "web", data, length, ""), -EKEYREJECTED);
    memcpy(other.id, key.id, SEAL_ID_BYTES);
    assert_int_equal(opens(&other, "web", data, length, ""), -EBADMSG);
    assert_int_equal(opens(&key, "we", data, length, ""), -EBADMSG);
    assert_int_equal(opens(&key, "webb", data, length, ""), -EBADMSG);
    free(data);
}

static void each_bit_counts(void **state)
{
    size_t length;
    uint8_t *data = make("web", "open sesame", &length);

    for (size_t bit = 0; bit < length * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(opens(&key, "web", data, length, "") < 0);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t shorter = 0; shorter < length; shorter++)
        assert_int_equal(opens(&key, "web", data, shorter, ""), -EBADMSG);
    assert_int_equal(opens(&key, "web", data, length, "open sesame"), 0);
    data[4] = 2;
    assert_int_equal(opens(&key, "web", data, length, ""), -EPROTO);
    free(data);
}

static void no_two_are_alike(void **state)
{
    size_t length;
    uint8_t *a = make("web", "open sesame", &length), *b = make("web", "open sesame", &length);

    assert_memory_not_equal(a + 16, b + 16, 12);
    assert_memory_not_equal(a + SEAL_HEAD_BYTES, b + SEAL_HEAD_BYTES, length - SEAL_HEAD_BYTES);
    free(a);
    free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_closed_opens),
        cmocka_unit_test(another_key_or_name_does_not),
        cmocka_unit_test(each_bit_counts),
        cmocka_unit_test(no_two_are_alike),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}

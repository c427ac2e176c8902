/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/crc32c.h"

/* RFC 3720, appendix B.4. */
static void agrees_with_the_standard(void **state)
{
    uint8_t data[32];

    memset(data, 0, sizeof(data));
    assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, data, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void parts_give_the_same_as_the_whole(void **state)
{
    uint8_t data[100];

    for (int i = 0; i < 100; i++)
        data[i] = (uint8_t)(i * 37);
    for (size_t cut = 0; cut <= sizeof(data); cut++)
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut),
                         crc32c(0, data, sizeof(data)));
}

static void tables_give_the_same_as_the_instruction(void **state)
{
    uint8_t data[4096];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * i * 7 + i / 256);
    for (size_t length = 0; length < 64; length++)
        assert_int_equal(crc32c_by_tables(3, data + length, length),
                         crc32c(3, data + length, length));
    assert_int_equal(crc32c_by_tables(0, data, 4096), crc32c(0, data, 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_standard),
        cmocka_unit_test(parts_give_the_same_as_the_whole),
        cmocka_unit_test(tables_give_the_same_as_the_instruction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

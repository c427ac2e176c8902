/* SPDX-License-Identifier: Apache-2.0 */
/* What a guest's /proc/net/tcp says about a port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "orchestrator/node/listening.h"

static const char tcp[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    "   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
    "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2\n"
    "   2: 0A00020F:0050 0A000202:D2F0 01 00000000:00000000 02:000A 00000000     0        0 3\n";
static const char tcp6[] =
    "  sl  local_address                         remote_address                        st\n"
    "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0\n"
    "   1: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 0:0\n";

static void a_port_is_open_when_somebody_listens_who_can_be_reached(void **state)
{
    assert_true(listening_on(tcp, 22));
    assert_false(listening_on(tcp, 80));   /* a connection, nobody listens */
    assert_false(listening_on(tcp, 3306)); /* on the loopback only */
    assert_false(listening_on(tcp, 23));
    assert_true(listening_on(tcp6, 443));
    assert_false(listening_on(tcp6, 631));
}

static void nonsense_says_nothing(void **state)
{
    assert_false(listening_on("", 22));
    assert_false(listening_on("\n\n 1: :\n", 0));
    assert_false(listening_on(" 1: 00000000000000000000000000000000000000000000000000:0016 0:0 0A",
                              22));
}

static void base64_is_decoded_as_far_as_it_goes(void **state)
{
    static const struct {
        const char *encoded, *text;
    } cases[] = {{"", ""},         {"Zg==", "f"},        {"Zm8=", "fo"}, {"Zm9v", "foo"},
                 {"Zm9vYg", "foob"}, {"Zm9v*Zm9v", "foo"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = listening_decode(cases[i].encoded);

        assert_string_equal(text, cases[i].text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_open_when_somebody_listens_who_can_be_reached),
        cmocka_unit_test(nonsense_says_nothing),
        cmocka_unit_test(base64_is_decoded_as_far_as_it_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

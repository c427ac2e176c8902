/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "orchestrator/tlsroles.h"

static struct tlsroles *parse(const char *text)
{
    struct tlsroles *roles = NULL;

    assert_int_equal(tlsroles_parse(text, "roles", &roles, NULL), 0);
    return roles;
}

/* The place, and whether the role is to write. */
static int find(const struct tlsroles *roles, const char *name, enum access_role role)
{
    enum access_role found = ACCESS_NONE;
    int place = tlsroles_find(roles, name, &found);

    assert_int_equal(found, place < 0 ? ACCESS_NONE : role);
    return place;
}

static void names_have_the_role_of_their_line(void **state)
{
    struct tlsroles *roles = parse("# who\nalice write\n\n  bob\tread # he looks\r\nalice read");

    assert_int_equal(find(roles, "alice", ACCESS_WRITE), 0);
    assert_int_equal(find(roles, "bob", ACCESS_READ), 1);
    assert_int_equal(find(roles, "Bob", ACCESS_NONE), -1);
    assert_int_equal(find(roles, "ali", ACCESS_NONE), -1);
    assert_int_equal(find(roles, "", ACCESS_NONE), -1);
    tlsroles_free(roles);
}

static void nothing_lets_nobody_in(void **state)
{
    static const char *const texts[] = {"", "\n\n", "#alice write", " # \n\t\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tlsroles *roles = parse(texts[i]);

        assert_int_equal(find(roles, "alice", ACCESS_NONE), -1);
        tlsroles_free(roles);
    }
}

static void wrong_lines_are_named(void **state)
{
    static const char *const texts[] = {"a read\nalice\n", "a read\nalice admin", "#\nalice Write",
                                        "\nalice write read", "\nalice #write"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct tlsroles *roles = NULL;
        struct error *err = NULL;

        assert_int_equal(tlsroles_parse(texts[i], "roles", &roles, &err), -EINVAL);
        assert_null(roles);
        assert_non_null(strstr(error_text(err), "roles, line 2"));
        assert_non_null(strstr(error_text(err), "alice"));
        error_free(err);
    }
    assert_int_equal(tlsroles_load("/nowhere/roles", NULL, NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_the_role_of_their_line),
        cmocka_unit_test(nothing_lets_nobody_in),
        cmocka_unit_test(wrong_lines_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

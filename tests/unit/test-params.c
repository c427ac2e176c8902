/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"

static void defaults_are_filled_in(void **state)
{
    _cleanup_json_ json_t *body = json_loads("{\"source\":\"s\",\"vm\":\"web 1\"}", 0, NULL);
    _cleanup_json_ json_t *params = NULL;

    assert_int_equal(params_complete(body, "/pool", &params, NULL), 0);
    assert_string_equal(field_string(params, "name", ""), "web-1");
    assert_string_equal(field_string(params, "pool", ""), "/pool");
    assert_string_equal(field_string(params, "shutdown_policy", ""), "fail");
    assert_string_equal(field_string(params, "on_failure", ""), "restart");
    assert_true(field_bool(params, "morph", false));
    assert_int_equal(field_integer(params, "boot_timeout_s", 0), 600);
    assert_null(json_object_get(body, "pool")); /* the request itself stays as it was */
}

static void what_was_asked_for_wins(void **state)
{
    _cleanup_json_ json_t *body = json_loads(
        "{\"source\":\"s\",\"vm\":\"v\",\"name\":\"n\",\"morph\":false,\"pool\":\"/p\","
        "\"networks\":{\"a\":\"b\"}}", 0, NULL);
    _cleanup_json_ json_t *params = NULL;

    assert_int_equal(params_complete(body, "/pool", &params, NULL), 0);
    assert_string_equal(field_string(params, "name", ""), "n");
    assert_string_equal(field_string(params, "pool", ""), "/p");
    assert_false(field_bool(params, "morph", true));
    assert_string_equal(field_string(json_object_get(params, "networks"), "a", ""), "b");
}

static void refuses(const char *body_text, const char *word)
{
    _cleanup_json_ json_t *body = json_loads(body_text, 0, NULL);
    _cleanup_error_ struct error *err = NULL;
    json_t *params = NULL;

    assert_non_null(body);
    assert_int_equal(params_complete(body, "/pool", &params, &err), -EINVAL);
    assert_null(params);
    if (!strstr(error_text(err), word))
        fail_msg("'%s' is missing in: %s", word, error_text(err));
}

#define GOOD "{\"source\":\"s\",\"vm\":\"v\""

static void wrong_fields_are_named(void **state)
{
    refuses("[]", "object");
    refuses("{}", "'source'");
    refuses("{\"source\":\"s\"}", "'vm'");
    refuses(GOOD ",\"colour\":1}", "'colour'");
    refuses(GOOD ",\"colour\":1}", "boot_timeout_s");
    refuses(GOOD ",\"name\":7}", "'name'");
    refuses(GOOD ",\"name\":\"\"}", "1 to 40");
    refuses(GOOD ",\"name\":\"a b\"}", "'a b'");
    refuses(GOOD ",\"name\":\".hidden\"}", "'.hidden'");
    refuses(GOOD ",\"name\":\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddx\"}", "40");
    refuses(GOOD ",\"pool\":\"p\"}", "absolute");
    refuses(GOOD ",\"accel\":\"warp\"}", "auto, kvm, tcg");
    refuses(GOOD ",\"connections\":17}", "16");
    refuses(GOOD ",\"shutdown_timeout_s\":-1}", "shutdown_timeout_s");
    refuses(GOOD ",\"networks\":{\"a\":1}}", "'a'");
    refuses(GOOD ",\"networks\":{\"a\":\"\"}}", "'a'");
    refuses("{\"source\":\"s\",\"vm\":\"\"}", "vm");
}

static void networks_are_mapped_or_keep_their_name(void **state)
{
    _cleanup_json_ json_t *description = json_loads(
        "{\"nics\":[{\"network\":\"VM Network\"},{\"network\":\"default\"},{}]}", 0, NULL);
    _cleanup_json_ json_t *params = json_loads("{\"networks\":{\"VM Network\":\"lan\"}}", 0, NULL);
    _cleanup_json_ json_t *wrong = json_loads(
        "{\"vm\":\"v\",\"networks\":{\"x\":\"lan\"}}", 0, NULL);
    _cleanup_json_ json_t *networks = NULL, *none = NULL;
    _cleanup_error_ struct error *err = NULL;

    assert_int_equal(params_networks(params, description, &networks, NULL), 0);
    assert_int_equal(json_object_size(networks), 2);
    assert_string_equal(field_string(networks, "VM Network", ""), "lan");
    assert_string_equal(field_string(networks, "default", ""), "default");
    assert_int_equal(params_networks(wrong, description, &none, &err), -EINVAL);
    assert_non_null(strstr(error_text(err), "VM Network, default"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(what_was_asked_for_wins),
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(networks_are_mapped_or_keep_their_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

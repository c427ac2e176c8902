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
    refuses(GOOD ",\"sync_interval\":\"often\"}", "sync_interval");
    refuses(GOOD ",\"cutover\":\"tomorrow\"}", "manual, auto, or a time");
    refuses(GOOD ",\"replicate\":\"tomorrow\"}", "now, later, or a time");
    refuses(GOOD ",\"windows\":[\"at night\"]}", "at night");
    refuses(GOOD ",\"after\":[\"a b\"]}", "'a b'");
    refuses(GOOD ",\"rehearse_check\":\"port:99999\"}", "port:NUMBER");
    refuses(GOOD ",\"ssh_key\":\"key\"}", "absolute");
    refuses(GOOD ",\"storage\":{\"vda\":\"here\"}}", "vda");
    refuses(GOOD ",\"failback\":true,\"commit_window_s\":0}", "commit_window_s");
}

static void the_vm_is_never_smaller_unless_forced(void **state)
{
    _cleanup_json_ json_t *vm = json_loads(
        "{\"vcpus\":4,\"memory_bytes\":1024,\"disks\":[{\"name\":\"vda\"}],\"secure_boot\":true}",
        0, NULL);
    static const struct {
        const char *params, *word;
    } cases[] = {
        {"{\"vcpus\":3}", "less than the 4"},
        {"{\"memory_bytes\":1000}", "set force"},
        {"{\"vcpus\":3,\"memory_bytes\":1000,\"force\":true}", NULL},
        {"{\"vcpus\":8,\"memory_bytes\":4096}", NULL},
        {"{\"machine\":\"pc\"}", "Secure Boot"},
        {"{\"machine\":\"q35\"}", NULL},
        {"{\"storage\":{\"vdb\":\"/x\"}}", "'vdb'"},
        {"{\"storage\":{\"vda\":\"/x\"}}", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_json_ json_t *params = json_loads(cases[i].params, 0, NULL);
        _cleanup_error_ struct error *err = NULL;
        int r = params_check_vm(params, vm, &err);

        assert_int_equal(r, cases[i].word ? -EINVAL : 0);
        if (cases[i].word && !strstr(error_text(err), cases[i].word))
            fail_msg("'%s' is missing in: %s", cases[i].word, error_text(err));
    }
}

static void only_what_is_late_can_be_changed(void **state)
{
    _cleanup_json_ json_t *body = json_loads(GOOD "}", 0, NULL), *params = NULL;
    _cleanup_json_ json_t *late = json_loads("{\"priority\":90}", 0, NULL), *changed = NULL;
    _cleanup_json_ json_t *early = json_loads("{\"pool\":\"/x\"}", 0, NULL);
    _cleanup_json_ json_t *wrong = json_loads("{\"priority\":900}", 0, NULL);

    assert_int_equal(params_complete(body, "/pool", &params, NULL), 0);
    assert_int_equal(params_change(params, late, &changed, NULL), 0);
    assert_int_equal(field_integer(changed, "priority", 0), 90);
    assert_int_equal(field_integer(params, "priority", 0), 50); /* the old ones stay as they were */
    assert_int_equal(params_change(params, early, &changed, NULL), -EPERM);
    assert_int_equal(params_change(params, wrong, &changed, NULL), -EINVAL);
}

static void options_of_the_morph_come_from_fields(void **state)
{
    _cleanup_json_ json_t *params = json_loads(
        "{\"dhcp\":true,\"ssh_key\":\"/k\",\"keep_credentials\":false,"
        "\"morph_options\":[\"--key=/l\"]}", 0, NULL);
    _cleanup_json_ json_t *options = params_morph_options(params);
    _cleanup_json_ json_t *expected = json_loads(
        "[\"--dhcp\",\"--ssh-key=root=/k\",\"--drop-credentials\",\"--key=/l\"]", 0, NULL);

    assert_true(json_equal(options, expected));
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
        cmocka_unit_test(the_vm_is_never_smaller_unless_forced),
        cmocka_unit_test(only_what_is_late_can_be_changed),
        cmocka_unit_test(options_of_the_morph_come_from_fields),
        cmocka_unit_test(networks_are_mapped_or_keep_their_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a check before a migration finds, from descriptions and facts alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "orchestrator/calendar.h"
#include "orchestrator/check.h"
#include "orchestrator/fields.h"

#define VM                                                                                         \
    "\"name\":\"v\",\"uuid\":\"ABC-1\",\"arch\":\"x86_64\",\"memory_bytes\":1073741824,"           \
    "\"vcpus\":2,\"os_hint\":\"debian\",\"nics\":[],"                                             \
    "\"disks\":[{\"name\":\"vda\",\"size_bytes\":1,\"cbt\":true,\"format\":\"qcow2\"}]"
#define NODE "\"archs\":{\"x86_64\":{\"uefi\":true,\"kvm\":true}},\"networks\":{},\"vms\":{}"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    if (!value)
        fail_msg("not JSON: %s", text);
    return value;
}

/* "reason CHECK" or "note CHECK" of each finding, divided by spaces and commas. */
static char *summary(const struct findings *findings)
{
    char *text = str_dup("");
    json_t *finding;
    size_t i;

    json_array_foreach(findings->reasons, i, finding) {
        char *more = str_format("%sreason %s,", text, field_string(finding, "check", "?"));

        free(text);
        text = more;
    }
    json_array_foreach(findings->warnings, i, finding) {
        char *more = str_format("%snote %s,", text, field_string(finding, "check", "?"));

        free(text);
        text = more;
    }
    return text;
}

static void finds(const char *params_text, const char *vm_text, const char *node_text,
                  const char *source_text, const char *expected)
{
    _cleanup_json_ json_t *params = parse(params_text), *vm = parse(vm_text);
    _cleanup_json_ json_t *node = parse(node_text), *source = parse(source_text);
    _cleanup_free_ char *found = NULL;
    struct findings findings;

    findings_init(&findings);
    check_source_vm(vm, &findings);
    check_placement(params, vm, node, source, &findings);
    check_identity(params, vm, node, &findings);
    found = summary(&findings);
    if (strcmp(found, expected) != 0)
        fail_msg("'%s' instead of '%s' for %s", found, expected, vm_text);
    findings_done(&findings);
}

static void a_good_vm_has_nothing(void **state)
{
    finds("{\"name\":\"v\"}", "{" VM "}", "{" NODE "}", "{}", "");
}

static void facts_that_nobody_knows_are_no_reason(void **state)
{
    finds("{\"name\":\"v\"}", "{" VM "}", "{\"archs\":{\"x86_64\":{\"uefi\":true}}}", "{}", "");
    finds("{\"name\":\"v\"}", "{" VM "}", "{" NODE ",\"qemu\":\"7.2\"}", "{}", "");
}

static void versions_are_numbers_not_texts(void **state)
{
    static const struct {
        const char *node, *source;
        bool older;
    } cases[] = {{"9.2.0", "10.0.0", true}, {"10.0.0", "9.2.0", false}, {"7.2", "7.2.0", false},
                 {"7.2.0", "7.2", false},   {"7.2.9", "7.2.15", true},  {"8.0", "8.0", false},
                 {"x", "8.0", false},       {"8.0", "x", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_free_ char *node = str_format("{" NODE ",\"qemu\":\"%s\"}", cases[i].node);
        _cleanup_free_ char *source = str_format("{\"qemu\":\"%s\"}", cases[i].source);

        finds("{\"name\":\"v\"}", "{" VM "}", node, source,
              cases[i].older ? "note versions," : "");
    }
}

static void a_uuid_is_the_same_in_capitals(void **state)
{
    static const char taken[] =
        "{\"archs\":{\"x86_64\":{}},\"networks\":{},\"vms\":{\"w\":\"abc-1\",\"x\":null}}";

    finds("{\"name\":\"v\"}", "{" VM "}", taken, "{}", "reason uuid,");
    finds("{\"name\":\"v\",\"uuid\":\"other\"}", "{" VM "}", taken, "{}", "");
    finds("{\"name\":\"x\",\"uuid\":\"other\"}", "{" VM "}", taken, "{}", "reason name,");
}

static void what_is_chosen_counts_not_what_the_source_has(void **state)
{
    static const char small[] = "{" NODE ",\"memory_bytes\":2147483648,\"vcpus\":4,"
                                "\"memory_free_bytes\":1500000000}";

    finds("{\"name\":\"v\"}", "{" VM "}", small, "{}", "");
    finds("{\"name\":\"v\",\"memory_bytes\":3221225472}", "{" VM "}", small, "{}",
          "reason memory,");
    finds("{\"name\":\"v\",\"memory_bytes\":2000000000}", "{" VM "}", small, "{}", "note memory,");
    finds("{\"name\":\"v\",\"vcpus\":5}", "{" VM "}", small, "{}", "note cpu,");
    finds("{\"name\":\"v\",\"vcpus\":1}", "{" VM "}", small, "{}", "reason params,");
}

static void schedule(const char *params_text, const char *now, const char *expected)
{
    _cleanup_json_ json_t *params = parse(params_text);
    _cleanup_free_ char *found = NULL;
    struct findings findings;
    int64_t wall_ns = 0;

    assert_int_equal(calendar_time_parse(now, &wall_ns, NULL), 0);
    findings_init(&findings);
    check_schedule(params, wall_ns, &findings);
    found = summary(&findings);
    assert_string_equal(found, expected);
    findings_done(&findings);
}

static void times_are_held_against_clock_and_windows(void **state)
{
#define AT "\"cutover\":\"2026-12-05T12:00:00Z\"" /* a Saturday */
    schedule("{}", "2026-12-01T00:00:00Z", "");
    schedule("{\"cutover\":\"auto\"}", "2026-12-01T00:00:00Z", "");
    schedule("{" AT "}", "2026-12-01T00:00:00Z", "");
    schedule("{" AT "}", "2026-12-06T00:00:00Z", "note schedule,");
    schedule("{" AT ",\"windows\":[\"sat 11:00-13:00 UTC\"]}", "2026-12-01T00:00:00Z", "");
    schedule("{" AT ",\"windows\":[\"sun 11:00-13:00 UTC\"]}", "2026-12-01T00:00:00Z",
             "note schedule,");
}

static void a_name_that_is_no_text_does_no_harm(void **state)
{
    struct findings findings;

    findings_init(&findings);
    finding_reason(&findings, "name", "%s", "\xff\xfe");
    assert_int_equal(json_array_size(findings.reasons), 1);
    assert_non_null(field_string(json_array_get(findings.reasons, 0), "message", NULL));
    findings_done(&findings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_vm_has_nothing),
        cmocka_unit_test(facts_that_nobody_knows_are_no_reason),
        cmocka_unit_test(versions_are_numbers_not_texts),
        cmocka_unit_test(a_uuid_is_the_same_in_capitals),
        cmocka_unit_test(what_is_chosen_counts_not_what_the_source_has),
        cmocka_unit_test(times_are_held_against_clock_and_windows),
        cmocka_unit_test(a_name_that_is_no_text_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

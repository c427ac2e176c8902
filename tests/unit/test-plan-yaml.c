/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-yaml.h"

static struct yaml_node *parse(const char *text, int expected)
{
    struct yaml_node *tree = NULL;
    struct problems problems;

    problems_init(&problems);
    if (plan_yaml_parse(text, strlen(text), &tree, &problems) != expected) {
        char *why = problems_text(&problems, "text");

        fail_msg("'%.80s': %s", text, why);
    }
    assert_int_equal(problems_count(&problems) > 0, expected < 0);
    problems_done(&problems);
    return tree;
}

static void becomes(const char *yaml, const char *json)
{
    struct yaml_node *tree = parse(yaml, 0);
    _cleanup_json_ json_t *expected = json_loads(json, JSON_DECODE_ANY, NULL);

    assert_non_null(expected);
    if (!json_equal(tree->value, expected))
        fail_msg("'%s' became %s", yaml, json_dumps(tree->value, JSON_ENCODE_ANY));
    plan_yaml_free(tree);
}

/* The problems must hold this. */
static void refused(const char *yaml, const char *words)
{
    _cleanup_free_ char *text = NULL;
    struct yaml_node *tree = NULL;
    struct problems problems;

    problems_init(&problems);
    assert_int_equal(plan_yaml_parse(yaml, strlen(yaml), &tree, &problems), -EINVAL);
    assert_null(tree);
    text = problems_text(&problems, "f");
    if (!strstr(text, words))
        fail_msg("'%s' is missing in: %s", words, text);
    problems_done(&problems);
}

static void scalars_are_those_of_the_core_schema(void **state)
{
    becomes("", "null");
    becomes("a: ~", "{\"a\":null}");
    becomes("[true, True, FALSE, yes, no, on]", "[true,true,false,\"yes\",\"no\",\"on\"]");
    becomes("[1, -1, +7, 0o17, 0x1F, 010]", "[1,-1,7,15,31,10]");
    becomes("[1.5, -.5, 3., 1e3]", "[1.5,-0.5,3.0,1000.0]");
    becomes("[1_000, 0b1, 1.2.3, 12:30, .inf, 8G]",
            "[\"1_000\",\"0b1\",\"1.2.3\",\"12:30\",\".inf\",\"8G\"]");
    becomes("['1', \"true\", '']", "[\"1\",\"true\",\"\"]");
    becomes("a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}");
    becomes("1: a\nnull: b", "{\"1\":\"a\",\"null\":\"b\"}");
    becomes("- {a: 1, b: [2]}\n- x", "[{\"a\":1,\"b\":[2]},\"x\"]");
}

static void places_are_those_of_the_text(void **state)
{
    struct yaml_node *tree = parse("# plan\na: 1\nb:\n  - x\n  -  {c: ä, d: 2}\n", 0);
    struct yaml_node *list = plan_yaml_child(tree, "b"), *d;

    assert_int_equal(plan_yaml_child(tree, "a")->key.line, 2);
    assert_int_equal(plan_yaml_child(tree, "a")->at.column, 4);
    assert_int_equal(list->children->at.line, 4);
    d = plan_yaml_child(list->last, "d");
    assert_int_equal(d->key.line, 5);
    assert_int_equal(d->key.column, 13); /* characters, not bytes */
    assert_int_equal(plan_yaml_place(d).column, 13);
    assert_int_equal(plan_yaml_place(list->children).column, 5);
    plan_yaml_free(tree);
}

static void aliases_are_what_they_name(void **state)
{
    becomes("a: &x {b: [1, 2]}\nc: *x\nd: &y 5\ne: *y",
            "{\"a\":{\"b\":[1,2]},\"c\":{\"b\":[1,2]},\"d\":5,\"e\":5}");
    refused("a: *x", "f:1:4: there is no anchor &x before this");
    refused("a: &x [*x]", "stands inside of what it names");
    refused("&x a: *x", "stands inside of what it names");
}

static void what_json_has_not_is_refused(void **state)
{
    refused("a: !!str 1", "tags");
    refused("a: !x {b: 1}", "tags");
    refused("? [a]\n: b", "plain name");
    refused("--- a\n--- b", "second document");
    refused("a: \"x\\0y\"", "NUL");
    refused("\"x\\0y\": 1", "NUL");
    refused("a: 99999999999999999999", "too large");
    refused("a: 1e999", "too large");
    refused("a: {b", "not YAML");
    refused("a: 1\n b: 2", "f:2:");
    refused("a:\t- 1\n\tb", "not YAML");
    refused("\xff\xfe\xff", "not YAML");
    refused("a: \xc3(", "not YAML");
}

static void doubles_are_all_named(void **state)
{
    static const char text[] = "a: 1\nb: {c: 1, c: 2}\na: 3\n";

    refused(text, "f:2:11: c: stands here twice, the first time in line 2");
    refused(text, "f:3:1: a: stands here twice, the first time in line 1");
    refused("a: 1\na: &x {b: 1}\nc: *x\n", "f:2:1: a: stands here twice");
}

static void bombs_do_not_go_off(void **state)
{
    static const char bomb[] =
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
        "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
        "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    _cleanup_free_ char *deep = mem_new(2001, 1), *large = mem_new(YAML_BYTES_MAX + 2, 1);

    refused(bomb, "more than 200000 values");
    memset(deep, '[', 2000);
    refused(deep, "nested more than 16 deep");
    refused("a: &a [[[[[[[[x]]]]]]]]\nb: &b [[[[*a]]]]\nc: [[[[*b]]]]", "nested more than 16 deep");
    memset(large, 'x', YAML_BYTES_MAX + 1);
    refused(large, "at most 1048576");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_those_of_the_core_schema),
        cmocka_unit_test(places_are_those_of_the_text),
        cmocka_unit_test(aliases_are_what_they_name),
        cmocka_unit_test(what_json_has_not_is_refused),
        cmocka_unit_test(doubles_are_all_named),
        cmocka_unit_test(bombs_do_not_go_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

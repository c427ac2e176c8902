/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans: each plan/NAME.yaml is expanded against plan/inventory.json, what comes out is
 * plan/NAME.expected.  With UPDATE_GOLDEN=1 the expectations are written anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <string.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/plan-schema.h"
#include "orchestrator/plan.h"

static const char *folder;

static json_t *inventory_load(void)
{
    _cleanup_free_ char *path = str_format("%s/inventory.json", folder);
    json_t *inventory = json_load_file(path, 0, NULL);

    assert_non_null(inventory);
    return inventory;
}

static char *expand(const struct plan *plan, const char *file, struct problems *problems)
{
    _cleanup_json_ json_t *inventory = inventory_load(), *migrations = NULL;
    _cleanup_json_ json_t *known = json_pack("{s:b}", "elsewhere", 1);
    struct problems warnings;
    char *text, *bodies, *all;

    problems_init(&warnings);
    plan_expand(plan, inventory, known, &migrations, problems, &warnings);
    text = problems_text(&warnings, file);
    bodies = migrations ? json_dumps(migrations, JSON_INDENT(1) | JSON_SORT_KEYS) : str_dup("");
    problems_done(&warnings);
    all = str_format("%s\n--\n%s\n", text, bodies);
    free(text);
    free(bodies);
    return all;
}

static char *outcome(const char *file, const char *text, size_t length)
{
    _cleanup_(plan_freep) struct plan *plan = NULL;
    _cleanup_free_ char *rest = NULL, *problems_are = NULL;
    struct problems problems;
    int r;

    problems_init(&problems);
    r = plan_parse(text, length, &plan, &problems);
    assert_int_equal(r, problems_count(&problems) ? -EINVAL : 0);
    rest = r == 0 ? expand(plan, file, &problems) : str_dup("");
    problems_sort(&problems);
    problems_are = problems_text(&problems, file);
    problems_done(&problems);
    return str_format("%s\n--\n%s", problems_are, rest);
}

static void check_file(const char *file)
{
    _cleanup_free_ char *path = str_format("%s/%s", folder, file), *text = NULL, *expected = NULL;
    _cleanup_free_ char *golden = str_format("%.*s.expected", (int)(strlen(path) - 5), path);
    _cleanup_free_ char *got = NULL;
    size_t length;

    assert_int_equal(fdio_read_file(path, YAML_BYTES_MAX, &text, &length), 0);
    got = outcome(file, text, length);
    if (getenv("UPDATE_GOLDEN"))
        assert_int_equal(fdio_replace_file(golden, got, strlen(got), 0644), 0);
    assert_int_equal(fdio_read_file(golden, YAML_BYTES_MAX, &expected, NULL), 0);
    assert_string_equal(got, expected);
}

static void plans_become_what_is_expected(void **state)
{
    struct dirent *e;
    DIR *dir = opendir(folder);
    unsigned count = 0;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        size_t length = strlen(e->d_name);

        if (length < 5 || strcmp(e->d_name + length - 5, ".yaml") != 0)
            continue;
        check_file(e->d_name);
        count++;
    }
    closedir(dir);
    assert_true(count > 5);
}

/* What is not in the list yet has to be described: attributes it does not tell may fit. */
static void only_what_may_be_selected_is_described(void **state)
{
    static const char text[] = "plan: p\nsource: s\nvms:\n- where: {os: 'deb*', vcpus: '<= 2'}\n"
                               "- name: c\nexcept: d\n";
    _cleanup_json_ json_t *list = json_loads(
        "[{\"name\":\"a\",\"vcpus\":2},{\"name\":\"b\",\"vcpus\":3},{\"name\":\"c\",\"vcpus\":9},"
        "{\"name\":\"d\",\"vcpus\":1}]", 0, NULL);
    _cleanup_json_ json_t *wanted = NULL, *expected = json_pack("[s,s]", "a", "c");
    _cleanup_(plan_freep) struct plan *plan = NULL;
    struct problems problems;

    problems_init(&problems);
    assert_int_equal(plan_parse(text, strlen(text), &plan, &problems), 0);
    wanted = plan_wanted(plan, list);
    assert_true(json_equal(wanted, expected));
    problems_done(&problems);
}

static void each_field_says_what_is_allowed(void **state)
{
    _cleanup_json_ json_t *schema = schema_json();
    json_t *properties = json_object_get(schema, "properties");

    assert_non_null(json_object_get(properties, "vms"));
    assert_non_null(schema_find(&plan_schema_migration, "cutover"));
    assert_null(schema_find(&plan_schema_migration, "vms"));
    for (const struct schema_field *f = plan_schema_migration.tables[0]; f->name; f++) {
        _cleanup_free_ char *allowed = schema_allowed(f);

        assert_true(strlen(allowed) > 3);
        assert_null(strchr(allowed, '%'));
    }
}

/* In the list "manual, auto". */
static bool has_choice(const char *choices, const char *word)
{
    const char *at = strstr(choices, word);

    return at && (at == choices || at[-1] == ' ') &&
           (at[strlen(word)] == ',' || at[strlen(word)] == '\0');
}

/* What plans say of a field and what the API takes may not differ. */
static void fields_are_those_of_a_migration(void **state)
{
    static const char *const own[] = {"source", "vm", "name", "plan"};

    for (const struct param *p = migration_params; p->name; p++) {
        const struct schema_field *f = schema_find(&plan_schema_migration, p->name);
        bool is_own = false;

        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
            is_own = is_own || strcmp(own[i], p->name) == 0;
        if (is_own != !f)
            fail_msg("%s is a field of %s only", p->name, f ? "plans" : "migrations");
        if (!f)
            continue;
        if (f->fixed == p->late)
            fail_msg("%s: may it be changed later?", p->name);
        if (p->min != p->max && (f->min != p->min || f->max != p->max))
            fail_msg("%s: another range", p->name);
        if ((f->kind == SCHEMA_CHOICE) != (p->choices != NULL))
            fail_msg("%s: choices or not?", p->name);
        for (size_t i = 0; p->choices && p->choices[i]; i++)
            if (!has_choice(f->choices, p->choices[i]))
                fail_msg("%s: %s is no choice in plans", p->name, p->choices[i]);
    }
    for (const struct schema_field *f = plan_schema_migration.tables[0]; f->name; f++)
        if (strcmp(f->name, "target_name") != 0 && !param_find(f->name))
            fail_msg("%s is no field of a migration", f->name);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_become_what_is_expected),
        cmocka_unit_test(only_what_may_be_selected_is_described),
        cmocka_unit_test(each_field_says_what_is_allowed),
        cmocka_unit_test(fields_are_those_of_a_migration),
    };

    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

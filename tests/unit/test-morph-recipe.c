/* SPDX-License-Identifier: Apache-2.0 */
/* What a rehearsal recorded is done again when the plan is the same, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/recipe.h"
#include "morph/sha256.h"

#define INITRAMFS "/boot/initramfs-6.img"
#define MADE "as the guest's program made it"

static struct fake_tree guest;
static struct plan plan;
static char *folder;

/* fstab is written, a program makes the initramfs; `before` is what it was. */
static void make_plan(const char *fstab, const char *before)
{
    struct edit *e;

    plan_done(&plan);
    e = plan_edit(&plan, EDIT_WRITE, "fstab", "/etc/fstab", str_dup(fstab), strlen(fstab),
                  str_dup("w"), str_dup("y"));
    sha256_hex(fstab, strlen(fstab), NULL, 0, e->after);
    e = plan_edit(&plan, EDIT_RUN, "initramfs", INITRAMFS, str_dup("dracut"), 7, str_dup("w"),
                  str_dup("y"));
    sha256_hex(before, strlen(before), NULL, 0, e->before);
}

static int enter(void **state)
{
    struct tree tree;

    guest = (struct fake_tree){0};
    folder = str_dup("recipe-XXXXXX");
    assert_non_null(mkdtemp(folder));
    fake_text(&guest, INITRAMFS, MADE);
    tree = fake_tree(&guest);
    make_plan("UUID=1 / ext4\n", "old");
    sha256_hex(MADE, strlen(MADE), NULL, 0, plan.edits[1].after);
    assert_int_equal(recipe_record(folder, &plan, &tree, NULL), 0);
    make_plan("UUID=1 / ext4\n", "old");
    return 0;
}

static int leave(void **state)
{
    plan_done(&plan);
    fake_done(&guest);
    fdio_remove_tree(folder);
    free(folder);
    return 0;
}

static const char *last_note(void)
{
    assert_true(plan.note_count > 0);
    return plan.notes[plan.note_count - 1].text;
}

static void the_same_plan_runs_no_program(void **state)
{
    assert_true(recipe_replay(folder, &plan));
    assert_int_equal(plan.edits[1].kind, EDIT_WRITE);
    assert_int_equal(plan.edits[1].length, strlen(MADE));
    assert_memory_equal(plan.edits[1].data, MADE, strlen(MADE));
    assert_string_not_equal(plan.edits[1].after, "");
    assert_int_equal(plan.note_count, 0);
}

static void assert_full_way(const char *named)
{
    assert_false(recipe_replay(folder, &plan));
    assert_int_equal(plan.edits[1].kind, EDIT_RUN);
    assert_non_null(strstr(last_note(), named));
}

static void another_plan_goes_the_full_way(void **state)
{
    make_plan("UUID=2 / ext4\n", "old");
    assert_full_way("/etc/fstab");
    make_plan("UUID=1 / ext4\n", "newer");
    assert_full_way(INITRAMFS);
    make_plan("UUID=1 / ext4\n", "old");
    plan.edit_count--;
    assert_false(recipe_replay(folder, &plan));
    plan.edit_count++;
    assert_non_null(strstr(last_note(), "less"));
    plan_edit(&plan, EDIT_LINK, "agents", "/etc/x", str_dup("/dev/null"), 9, NULL, NULL);
    assert_full_way("/etc/x");
}

static void replace(const char *name, const char *text)
{
    _cleanup_free_ char *path = str_format("%s/%s", folder, name);

    assert_int_equal(fdio_replace_file(path, text, strlen(text), 0600), 0);
}

/* The plan is the rehearsed one, but the program has to run. */
static void what_was_made_must_be_whole(void **state)
{
    replace("made-1", "something else");
    assert_true(recipe_replay(folder, &plan));
    assert_int_equal(plan.edits[1].kind, EDIT_RUN);
    assert_true(plan.notes[plan.note_count - 1].warning);
}

static void damaged_recipes_are_not_used(void **state)
{
    static const char *const damaged[] = {"", "{", "[]", "{\"format\": 2, \"edits\": []}",
                                          "{\"format\": 1}",
                                          "{\"format\": 1, \"edits\": [1, 2]}",
                                          "{\"format\": 1, \"edits\": [{\"path\": 1}, null]}"};

    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        replace("recipe.json", damaged[i]);
        assert_full_way(i < 5 ? "recipe.json" : "/etc/fstab");
    }
    fdio_remove_tree(folder);
    assert_full_way("there is no recipe");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_plan_runs_no_program),
        TEST(another_plan_goes_the_full_way),
        TEST(what_was_made_must_be_whole),
        TEST(damaged_recipes_are_not_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

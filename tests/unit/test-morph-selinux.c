/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux contexts of what a plan makes, and policies that a guest has broken on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/filecontexts.h"
#include "morph/selinux.h"

#define FILES "/etc/selinux/targeted/contexts/files/file_contexts"
#define UNIT_T "system_u:object_r:systemd_unit_file_t:s0"

static const char contexts[] =
    "# a comment\n"
    "/.*  system_u:object_r:default_t:s0\n"
    "/etc(/.*)?\tsystem_u:object_r:etc_t:s0\n"
    "/etc/rc\\.d/init\\.d/.*  --  system_u:object_r:initrc_exec_t:s0-s0:c0.c1023\n"
    "/etc/systemd/sys[t]em(/.*)?   system_u:object_r:systemd_unit_file_t:s0\n"
    "/var(/.*)?  system_u:object_r:var_t:s0\n"
    "/var/lib/none(/.*)?  <<none>>\n";

static struct fake_tree guest;
static struct facts facts;

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    facts = (struct facts){.tree = fake_tree(&guest), .family = FAMILY_REDHAT};
    fake_text(&guest, "/etc/selinux/config",
              "# SELINUX=disabled\nSELINUX=Enforcing \nSELINUXTYPE=targeted\n");
    fake_text(&guest, FILES, contexts);
    fake_text(&guest, FILES ".homedirs", "/srv/h/[^/]+/.+ unconfined_u:object_r:user_home_t:s0\n");
    fake_text(&guest, FILES ".subs_dist", "/etc/init.d /etc/rc.d/init.d\n/x\n");
    fake_text(&guest, FILES ".bin", "must not be read");
    fake_text(&guest, "/var/old", "");
    return 0;
}

static int tear_down(void **state)
{
    fake_done(&guest);
    return 0;
}

static char *label(const char *path, enum tree_kind kind)
{
    _cleanup_selinux_ struct selinux *s = NULL;

    assert_int_equal(selinux_open(&facts.tree, &s, NULL), 1);
    return s ? selinux_label(s, path, kind) : str_dup("(no policy)");
}

static void check_label(const char *path, enum tree_kind kind, const char *wanted)
{
    _cleanup_free_ char *found = label(path, kind);

    assert_string_equal(found ? found : "(none)", wanted);
}

static void test_labels(void **state)
{
    check_label("/etc/systemd/system/x.service", TREE_LINK, UNIT_T);
    check_label("/etc/systemd/system", TREE_DIR, UNIT_T);
    check_label("/etc/rc.d/init.d/x", TREE_FILE, "system_u:object_r:initrc_exec_t:s0-s0:c0.c1023");
    check_label("/etc/init.d/x", TREE_FILE, "system_u:object_r:initrc_exec_t:s0-s0:c0.c1023");
    check_label("/etc/rc.d/init.d/x", TREE_DIR, "system_u:object_r:etc_t:s0");
    check_label("/srv/h/anna/x", TREE_FILE, "unconfined_u:object_r:user_home_t:s0");
    check_label("/opt", TREE_DIR, "system_u:object_r:default_t:s0");
    check_label("/var/lib/none/x", TREE_FILE, "(none)");
}

static void test_local_rules_win(void **state)
{
    fake_text(&guest, FILES ".local",
              "/etc/systemd/system/x\\.service system_u:object_r:my_t:s0\n");
    check_label("/etc/systemd/system/x.service", TREE_FILE, "system_u:object_r:my_t:s0");
}

static void test_when_it_is_off(void **state)
{
    static const char *const off[] = {"SELINUX=disabled\nSELINUXTYPE=targeted\n", "", "SELINUX\n",
                                      "SELINUX=enforcing\nSELINUXTYPE=../../tmp\n"};

    for (size_t i = 0; i < sizeof(off) / sizeof(*off); i++) {
        struct selinux *s = NULL;

        fake_text(&guest, "/etc/selinux/config", off[i]);
        assert_int_equal(selinux_open(&facts.tree, &s, NULL), 0);
        assert_null(s);
    }
}

/* A file, a link in a directory that is missing, and one that exists. */
static void add_edits(struct plan *plan)
{
    plan_edit(plan, EDIT_WRITE, "t", "/etc/systemd/system/x.service", str_dup("x"), 1, NULL, NULL);
    plan_edit(plan, EDIT_LINK, "t", "/etc/systemd/system/a.wants/x.service", str_dup("y"), 1, NULL,
              NULL);
    plan_edit(plan, EDIT_WRITE, "t", "/var/old", str_dup("x"), 1, NULL, NULL);
    plan_edit(plan, EDIT_REMOVE, "t", "/var/gone", NULL, 0, NULL, NULL);
}

static void test_plan(void **state)
{
    struct plan plan = {0};

    add_edits(&plan);
    assert_int_equal(change_linux_selinux.apply(&facts, &plan, NULL), 0);
    assert_int_equal(plan.edit_count, 7);
    assert_string_equal(plan.edits[0].path, "/etc/systemd");
    assert_int_equal(plan.edits[0].kind, EDIT_DIRECTORY);
    assert_string_equal(plan.edits[0].label, "system_u:object_r:etc_t:s0");
    assert_string_equal(plan.edits[1].path, "/etc/systemd/system");
    assert_string_equal(plan.edits[2].label, UNIT_T);
    assert_string_equal(plan.edits[3].path, "/etc/systemd/system/a.wants");
    assert_string_equal(plan.edits[3].label, UNIT_T);
    assert_string_equal(plan.edits[4].label, UNIT_T);
    assert_string_equal(plan.edits[5].path, "/var/old");
    assert_null(plan.edits[5].label);
    plan_done(&plan);
}

static void test_empty_plan_stays_empty(void **state)
{
    struct plan plan = {0};

    fake_text(&guest, FILES, "");
    assert_int_equal(change_linux_selinux.apply(&facts, &plan, NULL), 0);
    assert_int_equal(plan.edit_count, 0);
    plan_done(&plan);
}

static void test_policy_of_no_use(void **state)
{
    static const char *const broken[] = {"", "nonsense\n", "/etc/.* system_u:object_r:etc_t:s0\n",
                                         "/etc/(.* system_u:object_r:etc_t:s0\n"};

    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
        struct plan plan = {0};

        fake_text(&guest, FILES, broken[i]);
        fake_text(&guest, FILES ".homedirs", "");
        plan_edit(&plan, EDIT_WRITE, "t", "/var/new", str_dup("x"), 1, NULL, NULL);
        assert_int_equal(change_linux_selinux.apply(&facts, &plan, NULL), 0);
        assert_int_equal(plan.edit_count, 2);
        assert_string_equal(plan.edits[1].path, "/.autorelabel");
        assert_true(plan.notes[plan.note_count - 1].warning);
        fake_apply(&guest, &plan);
        plan_done(&plan);
        fake_done(&guest);
        set_up(NULL);
    }
}

static void test_lines_that_no_policy_has(void **state)
{
    static const char *const bad[] = {"/(a+)+(?=x) u:o:t:s0",
                                      "/(.)\\1 u:o:t:s0",
                                      "/a{1000} u:o:t:s0",
                                      "relative u:o:t:s0",
                                      "/a -x u:o:t:s0",
                                      "/a u:o",
                                      "/a u:o:t;x:s0",
                                      "/a -- u:o:t:s0 more",
                                      "/a\033 u:o:t:s0",
                                      "/(*LIMIT) u:o:t",
                                      "/a\\",
                                      "/x\\ u:o:t:s0"};
    _cleanup_buffer_ struct buffer out = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (filecontexts_filter(bad[i], &out) != 0)
            fail_msg("taken for a line of a policy: %s", bad[i]);
    assert_int_equal(filecontexts_filter(contexts, &out), 6);
    assert_int_equal(filecontexts_filter("/etc/passwd[-\\+]? -- u:o:t:s0\n", &out), 1);
}

static void parse(const char *text, size_t length)
{
    _cleanup_free_ char *copy = mem_new(length + 1, 1), *policy = NULL;
    _cleanup_buffer_ struct buffer out = {0};

    memcpy(copy, text, length);
    filecontexts_filter(copy, &out);
    filecontexts_filter_subs(copy, &out);
    policy = selinux_policy(copy);
}

/* What the filter lets through goes to libselinux. */
static void parse_all(const char *text, size_t length)
{
    _cleanup_free_ char *found = NULL;

    if (memchr(text, '\0', length))
        return;
    fake_put(&guest, FILES, text, length);
    fake_put(&guest, FILES ".subs_dist", text, length);
    found = label("/etc/systemd/system/x", TREE_FILE);
}

static void test_broken_policies(void **state)
{
    static const char config[] = "SELINUX=enforcing\nSELINUXTYPE=targeted\n";

    mutate(contexts, strlen(contexts), 20000, parse);
    mutate(config, strlen(config), 20000, parse);
    mutate(contexts, strlen(contexts), 200, parse_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_local_rules_win, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_when_it_is_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_plan_stays_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_policy_of_no_use, set_up, tear_down),
        cmocka_unit_test(test_lines_that_no_policy_has),
        cmocka_unit_test_setup_teardown(test_broken_policies, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/journal.h"

struct fixture {
    char dir[64];
    struct journal *journal;
};

static int set_up(void **state)
{
    struct fixture *f = mem_new(1, sizeof(*f));

    strcpy(f->dir, "/tmp/test-journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(journal_open(f->dir, &f->journal, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    journal_close(f->journal);
    fdio_remove_tree(f->dir);
    free(f);
    return 0;
}

/* As after a restart. */
static void reopen(struct fixture *f)
{
    _cleanup_error_ struct error *err = NULL;

    f->journal = journal_close(f->journal);
    if (journal_open(f->dir, &f->journal, &err) < 0)
        fail_msg("%s", error_text(err));
}

static json_t *row(const char *name, const char *state)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:n, s:{s:i}, s:{s:[]}, s:{}, s:i, s:s?, s:I}", "name",
                     name, "source", "src", "vm", "v", "state", state, "failed_state", "params",
                     "x", 1, "description", "disks", "facts", "error_code", 5, "error", NULL,
                     "created_ns", (json_int_t)77);
}

static void put(struct fixture *f, const char *name, const char *from, const char *state)
{
    _cleanup_json_ json_t *r = row(name, state), *event = json_pack("{s:s}", "event", "state");
    int64_t seq = 0;

    assert_int_equal(journal_put_migration(f->journal, r, from, event, &seq, NULL), 0);
    assert_true(seq > 0);
}

static void a_migration_survives_with_its_transitions(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *rows = NULL, *transitions = NULL, *events = NULL;

    put(f, "web", NULL, "created");
    put(f, "web", "created", "preparing");
    put(f, "web", "preparing", "preparing"); /* a fact only: no transition */
    reopen(f);
    assert_int_equal(journal_list_migrations(f->journal, &rows, NULL), 0);
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(field_string(json_array_get(rows, 0), "state", ""), "preparing");
    assert_true(json_is_object(json_object_get(json_array_get(rows, 0), "description")));
    assert_int_equal(journal_list_transitions(f->journal, "web", &transitions, NULL), 0);
    assert_int_equal(json_array_size(transitions), 2);
    assert_true(field_integer(json_array_get(transitions, 1), "mono_ns", 0) >=
                field_integer(json_array_get(transitions, 0), "mono_ns", 0));
    assert_int_equal(journal_list_events(f->journal, "web", 1, 100, &events, NULL), 0);
    assert_int_equal(json_array_size(events), 2);
}

static void a_name_is_taken_once(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *r = row("web", "created"), *transitions = NULL;
    _cleanup_error_ struct error *err = NULL;

    put(f, "web", NULL, "created");
    assert_int_equal(journal_put_migration(f->journal, r, NULL, NULL, NULL, &err), -EEXIST);
    assert_int_equal(journal_list_transitions(f->journal, "web", &transitions, NULL), 0);
    assert_int_equal(json_array_size(transitions), 1); /* the whole of it was taken back */
    assert_int_equal(journal_add_source(f->journal, "s", "u", false, NULL), 0);
    assert_int_equal(journal_add_source(f->journal, "s", "u", false, NULL), -EEXIST);
}

static void a_pass_goes_through_its_life(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *open = NULL, *private = json_pack("{s:i}", "k", 1), *none = NULL;
    _cleanup_json_ json_t *result = json_pack("[{s:i}]", "bytes", 9), *all = NULL;
    int64_t id;

    put(f, "web", NULL, "created");
    assert_int_equal(journal_begin_pass(f->journal, "web", "initial", NULL, &id, NULL), 0);
    reopen(f);
    assert_int_equal(journal_open_pass(f->journal, "web", &open, NULL), 0);
    assert_true(json_is_null(json_object_get(open, "snapshot")));
    json_decref(steal_ptr(open));
    assert_int_equal(journal_set_pass_snapshot(f->journal, id, "p1", private, NULL, NULL), 0);
    reopen(f);
    assert_int_equal(journal_open_pass(f->journal, "web", &open, NULL), 0);
    assert_string_equal(field_string(open, "snapshot", ""), "p1");
    assert_int_equal(field_integer(json_object_get(open, "private"), "k", 0), 1);
    assert_int_equal(journal_commit_pass(f->journal, id, 3, result, 1.5, NULL), 0);
    assert_int_equal(journal_end_pass(f->journal, id, NULL), 0);
    assert_int_equal(journal_open_pass(f->journal, "web", &none, NULL), 0);
    assert_null(none);
    assert_int_equal(journal_list_passes(f->journal, "web", &all, NULL), 0);
    assert_int_equal(field_integer(json_array_get(all, 0), "generation", 0), 3);
}

static void leftovers_are_listed_newest_first(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *thing = json_pack("{s:s}", "kind", "x"), *one = NULL, *all = NULL;
    int64_t a, b;

    assert_int_equal(journal_add_leftover(f->journal, "s", "web", 1, thing, &a, NULL), 0);
    assert_int_equal(journal_add_leftover(f->journal, "s", "web", 2, thing, &b, NULL), 0);
    reopen(f);
    assert_int_equal(journal_list_leftovers(f->journal, "web", 1, &one, NULL), 0);
    assert_int_equal(json_array_size(one), 1);
    assert_int_equal(journal_list_leftovers(f->journal, "web", -1, &all, NULL), 0);
    assert_int_equal(field_integer(json_array_get(all, 0), "id", 0), b);
    assert_int_equal(journal_remove_leftover(f->journal, a, NULL), 0);
    assert_int_equal(journal_remove_leftover(f->journal, a, NULL), 0);
}

static void removing_a_migration_takes_all_of_it(void **state)
{
    struct fixture *f = *state;
    _cleanup_json_ json_t *passes = NULL, *transitions = NULL, *events = NULL;
    _cleanup_json_ json_t *event = NULL;
    int64_t id, seq = 0, oldest = 0, newest = 0;

    put(f, "web", NULL, "created");
    put(f, "other", NULL, "created");
    assert_int_equal(journal_begin_pass(f->journal, "web", "initial", NULL, &id, NULL), 0);
    event = json_pack("{s:s}", "event", "removed");
    assert_int_equal(journal_remove_migration(f->journal, "web", event, &seq, NULL), 0);
    assert_int_equal(journal_list_passes(f->journal, "web", &passes, NULL), 0);
    assert_int_equal(json_array_size(passes), 0);
    assert_int_equal(journal_list_transitions(f->journal, "web", &transitions, NULL), 0);
    assert_int_equal(json_array_size(transitions), 0);
    assert_int_equal(journal_list_events(f->journal, NULL, 0, 100, &events, NULL), 0);
    assert_int_equal(json_array_size(events), 2); /* of somebody else, and that it was removed */
    assert_int_equal(field_integer(json_array_get(events, 1), "seq", 0), seq);
    assert_int_equal(journal_newest_event(f->journal, &oldest, &newest, NULL), 0);
    assert_int_equal(newest, seq);
    assert_int_equal(oldest, 1);
}

static void the_file_is_for_its_owner_only(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = str_format("%s/journal.db", f->dir);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void garbage_is_called_damaged(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *path = str_format("%s/journal.db", f->dir);
    _cleanup_error_ struct error *err = NULL;
    char garbage[8192];

    f->journal = journal_close(f->journal);
    memset(garbage, 'g', sizeof(garbage));
    assert_int_equal(fdio_replace_file(path, garbage, sizeof(garbage), 0600), 0);
    assert_int_equal(journal_open(f->dir, &f->journal, &err), -EBADMSG);
    assert_non_null(strstr(error_text(err), ".backup"));
    assert_null(f->journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_migration_survives_with_its_transitions, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_taken_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pass_goes_through_its_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(leftovers_are_listed_newest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removing_a_migration_takes_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_is_for_its_owner_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(garbage_is_called_damaged, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

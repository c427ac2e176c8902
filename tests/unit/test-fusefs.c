/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/clock.h"
#include "fusefs/node.h"
#include "fusefs/options.h"
#include "fusefs/vmstate.h"

/* ---- what an engine says ---- */

static const char mirror[] =
    "{\"running\": true, \"mode\": \"mirror\", \"generation\": 7, \"snapshot\": \"monday\","
    " \"disks\": [{\"name\": \"sda\", \"size_bytes\": 512},"
    " {\"name\": \"sdb\", \"size_bytes\": 0}],"
    " \"retained\": [5, 7], \"drafts\": [{\"name\": \"trial\"}]}";

static void a_mirror_is_understood(void **state)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;

    assert_int_equal(vm_state_parse(mirror, &s, NULL), 0);
    assert_true(s->running && s->mirror && !s->owner);
    assert_int_equal(s->generation, 7);
    assert_int_equal(s->disk_count, 2);
    assert_int_equal(vm_state_disk(s, "sda")->size, 512);
    assert_null(vm_state_disk(s, "sdc"));
    assert_true(vm_state_retains(s, 5) && !vm_state_retains(s, 6));
    assert_true(vm_state_has_draft(s, "trial") && !vm_state_has_draft(s, "other"));
    assert_non_null(strstr(s->text, "monday"));
}

static void a_store_before_its_first_generation_has_no_disk(void **state)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;

    assert_int_equal(vm_state_parse("{\"running\": true, \"mode\": \"init\", \"generation\": null,"
                                    " \"disks\": [{\"name\": \"sda\", \"size_bytes\": 1}]}",
                                    &s, NULL), 0);
    assert_false(s->mirror || s->owner);
}

static void nonsense_is_refused(void **state)
{
    static const char *const answers[] = {
        "", "[]", "7", "{\"disks\": [7]}", "{\"disks\": [{\"name\": \"a\"}]}",
        "{\"disks\": [{\"name\": \"../x\", \"size_bytes\": 1}]}",
        "{\"disks\": [{\"name\": \"\", \"size_bytes\": 1}]}",
        "{\"disks\": [{\"name\": \"..\", \"size_bytes\": 1}]}",
        "{\"disks\": [{\"name\": \"a\", \"size_bytes\": -1}]}",
        "{\"retained\": [\"x\"]}", "{\"retained\": [-1]}", "{\"drafts\": [{\"name\": \"a/b\"}]}",
        "{\"drafts\": [\"a\"]}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct vm_state *s = NULL;

        assert_int_equal(vm_state_parse(answers[i], &s, &err), -EIO);
        assert_non_null(strstr(error_text(err), "version"));
        assert_null(s);
    }
}

static void a_cut_answer_does_no_harm(void **state)
{
    for (size_t length = 0; length < strlen(mirror); length++) {
        struct vm_state *s = NULL;
        char *cut = strndup(mirror, length);

        assert_int_equal(vm_state_parse(cut, &s, NULL), -EIO);
        free(cut);
    }
}

/* ---- inodes ---- */

static void one_inode_per_disk_and_generation(void **state)
{
    struct nodes *t = nodes_new();
    struct node *a = nodes_get(t, NODE_DISK, "vm", NULL, false, 3, "sda", 512);
    struct node *b = nodes_get(t, NODE_DISK, "vm", NULL, false, 3, "sda", 512);
    struct node *c = nodes_get(t, NODE_DISK, "vm", NULL, false, 4, "sda", 512);
    struct node *d = nodes_get(t, NODE_DISK, "vm", NULL, true, 0, "sda", 512);

    assert_ptr_equal(a, b);
    assert_int_equal(a->lookups, 2);
    assert_true(a->number != c->number && c->number != d->number && a->number != d->number);
    nodes_free(t);
}

static void a_node_stays_while_it_is_open_or_known(void **state)
{
    struct nodes *t = nodes_new();
    struct node *n = nodes_get(t, NODE_DISK, "vm", NULL, false, 3, "sda", 512);
    uint64_t number = n->number;

    nodes_opened(t, n);
    nodes_forget(t, n, 1);
    n = nodes_get(t, NODE_DISK, "vm", NULL, false, 3, "sda", 512);
    assert_int_equal(n->number, number);
    nodes_closed(t, n);
    assert_int_equal(n->lookups, 1);
    nodes_forget(t, n, 7); /* more than it had: nothing worse happens */
    n = nodes_get(t, NODE_DISK, "vm", NULL, false, 3, "sda", 512);
    assert_true(n->number != number);
    nodes_free(t);
}

/* ---- options ---- */

static int parse(struct fs_options *o, unsigned count, ...)
{
    char *argv[8] = {(char *)(uintptr_t)"slipwayfs"};
    va_list words;

    va_start(words, count);
    for (unsigned i = 0; i < count; i++)
        argv[1 + i] = va_arg(words, char *);
    va_end(words);
    return fs_options_parse((int)count + 1, argv, o, NULL);
}

static void options_are_taken_both_ways(void **state)
{
    struct fs_options o;

    assert_int_equal(parse(&o, 1, "/mnt"), 0);
    assert_string_equal(o.stores, "/var/lib/slipway/stores");
    assert_int_equal(o.wait_ns, 60 * NS_PER_S);
    fs_options_done(&o);
    assert_int_equal(parse(&o, 4, "/s", "/mnt", "-o", "rw,noatime,wait=2.5,allow_other"), 0);
    assert_string_equal(o.stores, "/s");
    assert_string_equal(o.mount_options, "noatime");
    assert_int_equal(o.wait_ns, 2500 * NS_PER_MS);
    assert_true(o.allow_other);
    fs_options_done(&o);
    assert_int_equal(parse(&o, 3, "--state", "/x", "/mnt"), 0);
    assert_string_equal(o.stores, "/x/stores");
    fs_options_done(&o);
    assert_int_equal(parse(&o, 0), -EINVAL);
    assert_int_equal(parse(&o, 3, "a", "b", "c"), -EINVAL);
    assert_int_equal(parse(&o, 3, "--wait", "-1", "/mnt"), -EINVAL);
    assert_int_equal(parse(&o, 3, "--wait", "nan", "/mnt"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mirror_is_understood),
        cmocka_unit_test(a_store_before_its_first_generation_has_no_disk),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_cut_answer_does_no_harm),
        cmocka_unit_test(one_inode_per_disk_and_generation),
        cmocka_unit_test(a_node_stays_while_it_is_open_or_known),
        cmocka_unit_test(options_are_taken_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

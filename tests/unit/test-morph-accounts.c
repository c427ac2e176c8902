/* SPDX-License-Identifier: Apache-2.0 */
/* Users and keys: what is taken for a key, whose it becomes, which passwords are locked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/account.h"
#include "morph/change.h"
#include "morph/mounts.h"
#include "morph/sshkey.h"

#define BLOB1 "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define BLOB2 "AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
#define KEY1 "ssh-ed25519 " BLOB1 " anna@desk"
#define KEY2 "ssh-ed25519 " BLOB2
#define HOME "/srv/anna"
#define KEYS HOME "/.ssh/authorized_keys"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
                             "broken\n"
                             "anna:x:1000:1001:Anna:" HOME "/:/bin/bash\n"
                             "evil:x:1002:1002::/tmp/../etc:/bin/sh\n"
                             "big:x:4294967296:1::/srv:/bin/sh";

static struct fake_tree guest;
static struct facts facts;
static struct request request;
static struct hostfile files[2];

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    request = (struct request){.ssh_keys = {.items = files, .count = 1}};
    files[0] = (struct hostfile){.name = (char *)"anna", .data = (char *)KEY1 "\r\n"};
    files[1] = (struct hostfile){.name = (char *)"anna", .data = (char *)"# more\n" KEY2};
    facts = (struct facts){.tree = fake_tree(&guest), .family = FAMILY_DEBIAN, .request = &request};
    fake_text(&guest, "/etc/passwd", passwd);
    fake_text(&guest, "/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n");
    fake_text(&guest, HOME "/.profile", "");
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    return 0;
}

static int make(struct plan *plan, struct error **err)
{
    *plan = (struct plan){0};
    return change_linux_accounts.apply(&facts, plan, err);
}

/* Applies; returns how many edits it was. */
static size_t change(void)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan;
    size_t count;

    if (make(&plan, &err) < 0)
        fail_msg("%s", error_text(err));
    fake_apply(&guest, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

static void refused(const char *sentence)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan;

    assert_true(make(&plan, &err) < 0);
    assert_non_null(strstr(error_text(err), sentence));
    plan_done(&plan);
}

static void test_key_check(void **state)
{
    static const char *const bad[] = {"",
                                      "\n# nothing\n",
                                      "ssh-ed25519\n",
                                      "ssh-ed25519 AAAA\n",
                                      "ssh-rsa " BLOB1 "\n",
                                      "ssh-ed25519 " BLOB1 "\nrubbish\n",
                                      "ssh-unknown " BLOB1 "\n",
                                      "ssh-ed25519 %%%%\n",
                                      "-----BEGIN OPENSSH PRIVATE KEY-----\n",
                                      "ssh-ed25519 " BLOB1 " \033[2J\n"};
    static const char good[] = "# mine\n\n" KEY1 "\r\n"
                               "from=\"10.0.0.0/8, x\",command=\"echo \\\" ssh-rsa\" " KEY2;

    assert_int_equal(sshkey_check(good, strlen(good), NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        _cleanup_error_ struct error *err = NULL;

        if (sshkey_check(bad[i], strlen(bad[i]), &err) == 0)
            fail_msg("taken for a key: %s", bad[i]);
        assert_non_null(err);
    }
}

static void test_same_key(void **state)
{
    const char *cursor = KEY1;
    struct sshkey key;

    assert_true(sshkey_next(&cursor, &key));
    assert_false(sshkey_next(&cursor, &key));
    assert_true(sshkey_is_in("x\ncommand=\"a b\" ssh-ed25519 " BLOB1 " other name\n", &key));
    assert_false(sshkey_is_in("# " KEY1 "\n" KEY2 "\n", &key));
}

static void test_accounts(void **state)
{
    struct account account;

    assert_true(account_find(passwd, "anna", &account));
    assert_int_equal(account.uid, 1000);
    assert_int_equal(account.gid, 1001);
    assert_string_equal(account.home, HOME);
    free(account.home);
    assert_true(account_find(passwd, "root", &account));
    assert_string_equal(account.home, "/root");
    free(account.home);
    assert_false(account_find(passwd, "ann", &account));
    assert_false(account_find(passwd, "broken", &account));
    assert_false(account_find(passwd, "evil", &account));
    assert_false(account_find(passwd, "big", &account));
    assert_true(account_name_is_valid("Anna-2.x_y"));
    assert_false(account_name_is_valid("-x"));
    assert_false(account_name_is_valid("a/b"));
    assert_false(account_name_is_valid(""));
}

static void test_key_for_a_user(void **state)
{
    struct plan plan;

    request.ssh_keys.count = 2;
    assert_int_equal(make(&plan, NULL), 0);
    assert_int_equal(plan.edit_count, 2);
    assert_int_equal(plan.edits[0].kind, EDIT_DIRECTORY);
    assert_int_equal(plan.edits[0].mode, 0700);
    assert_int_equal(plan.edits[1].mode, 0600);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(plan.edits[i].uid, 1000);
        assert_int_equal(plan.edits[i].gid, 1001);
    }
    fake_apply(&guest, &plan);
    plan_done(&plan);
    assert_string_equal(fake_find(&guest, KEYS)->data, KEY1 "\n" KEY2 "\n");
    assert_int_equal(change(), 0);
}

static void test_key_is_appended_once(void **state)
{
    fake_text(&guest, KEYS, "# mine\n" KEY2);
    assert_int_equal(change(), 1);
    assert_string_equal(fake_find(&guest, KEYS)->data, "# mine\n" KEY2 "\n" KEY1 "\n");
    assert_int_equal(change(), 0);
}

static void test_links_of_the_user_are_refused(void **state)
{
    fake_link(&guest, KEYS, "/etc/cron.d/x");
    refused("no regular file");
    fake_done(&guest);
    set_up(NULL);
    fake_link(&guest, HOME "/.ssh", "/etc/cron.d");
    refused("no directory");
}

/* What has to be mounted for the home; "x" stands for an error. */
static char *above(const char *fstab)
{
    struct volume_list volumes = {.disks = 2};
    struct mount_list mounts = {.count = 0};
    _cleanup_buffer_ struct buffer out = {0};

    for (int disk = 0; disk < 2; disk++) {
        _cleanup_free_ char *device = str_format("/dev/sd%c1", 'a' + disk);
        struct volume *v = volume_add(&volumes, device, disk, 1);

        str_replace(&v->type, "ext4");
        str_replace(&v->uuid, device);
    }
    fake_text(&guest, "/etc/fstab", fstab);
    buffer_add_text(&out, "");
    if (mounts_add_above(&facts.tree, &volumes, HOME, &mounts, NULL) < 0)
        buffer_add_text(&out, "x");
    for (size_t i = 0; i < mounts.count; i++)
        buffer_printf(&out, "%s=%s ", mounts.items[i].directory, mounts.items[i].volume->device);
    mount_list_done(&mounts);
    volume_list_done(&volumes);
    return buffer_steal(&out);
}

static void test_filesystems_of_homes(void **state)
{
    static const struct {
        const char *fstab, *mounts;
    } cases[] = {
        {"/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /srv/ann ext4 defaults 0 1\n", ""},
        {"/dev/sdb1 " HOME " ext4 x 0 0\n/dev/sda1 /srv/ ext4 x 0 0\n",
         "/srv=/dev/sda1 " HOME "=/dev/sdb1 "},
        {"nas:/x /srv nfs defaults 0 0\n", ""},
        {"/dev/sdc1 /srv ext4 nofail 0 0\n", ""},
        {"/dev/sdc1 /srv ext4 defaults 0 0\n", "x"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        _cleanup_free_ char *found = above(cases[i].fstab);

        assert_string_equal(found, cases[i].mounts);
    }
}

static void test_homes_that_are_not_there(void **state)
{
    fake_text(&guest, "/etc/fstab", "nas:/x /srv/ nfs defaults 0 1\n");
    refused("on no disk of the VM");
    facts_mounted(&facts, "/srv");
    assert_int_equal(change(), 2);
    fake_text(&guest, "/etc/fstab", "");
    files[0].name = (char *)"root";
    refused("is not in the guest");
    files[0].name = (char *)"nobody";
    refused("no user 'nobody'");
}

static void test_passwords_are_locked(void **state)
{
    request.ssh_keys.count = 0;
    request.drop_credentials = true;
    fake_text(&guest, "/etc/shadow",
              "root:$6$x$y:1:0:99999:7:::\ndaemon:*:1::::::\nopen::1::::::\nlocked:!$6$z:1::::::\n"
              "+::::::::\nrubbish\nlast:$y$a");
    assert_int_equal(change(), 1);
    assert_string_equal(fake_find(&guest, "/etc/shadow")->data,
                        "root:!$6$x$y:1:0:99999:7:::\ndaemon:*:1::::::\nopen:!:1::::::\n"
                        "locked:!$6$z:1::::::\n+::::::::\nrubbish\nlast:!$y$a");
    assert_int_equal(change(), 0);
}

static void parse(const char *text, size_t length)
{
    _cleanup_free_ char *copy = mem_new(length + 1, 1);
    _cleanup_buffer_ struct buffer out = {0}, users = {0};
    struct account account;
    struct sshkey key;
    const char *cursor = copy;

    memcpy(copy, text, length);
    sshkey_check(copy, length, NULL);
    while (sshkey_next(&cursor, &key))
        sshkey_is_in(copy, &key);
    if (account_find(copy, "anna", &account))
        free(account.home);
    shadow_lock(copy, &out, &users);
}

static void test_broken_files(void **state)
{
    static const char keys[] = "from=\"a b\" " KEY1 "\n# x\n" KEY2 "\n";

    mutate(keys, strlen(keys), 20000, parse);
    mutate(passwd, strlen(passwd), 20000, parse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_check),
        cmocka_unit_test(test_same_key),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test_setup_teardown(test_key_for_a_user, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_is_appended_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_of_the_user_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_filesystems_of_homes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_homes_that_are_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passwords_are_locked, set_up, tear_down),
        cmocka_unit_test(test_broken_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

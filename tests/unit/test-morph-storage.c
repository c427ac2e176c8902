/* SPDX-License-Identifier: Apache-2.0 */
/* Storage layouts: which filesystem is the root, what else is mounted, which key opens what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/keys.h"
#include "morph/mounts.h"
#include "morph/plan.h"
#include "morph/roots.h"

static struct fake_tree guest;
static struct tree tree;
static struct volume_list volumes;

static struct volume *add(const char *device, int disk, int partition, const char *type,
                          const char *uuid)
{
    struct volume *v = volume_add(&volumes, device, disk, partition);

    str_replace(&v->type, type);
    str_replace(&v->uuid, uuid);
    return v;
}

/* Two disks: an EFI system partition, an encrypted volume with a volume group inside, and btrfs. */
static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    tree = fake_tree(&guest);
    volumes = (struct volume_list){.disks = 2};
    add("/dev/sda1", 0, 1, "vfat", "AAAA-1111")->esp = true;
    add("/dev/sda2", 0, 2, "ext4", "b-2");
    add("/dev/sda3", 0, 3, "crypto_LUKS", "c-3");
    str_replace(&add("/dev/mapper/luks-c-3", -1, 0, "LVM2_member", "d-4")->inside, "/dev/sda3");
    add("/dev/vg0/root", -1, 0, "xfs", "e-5");
    str_replace(&add("/dev/sdb1", 1, 1, "btrfs", "f-6")->label, "data");
    return 0;
}

static int tear_down(void **state)
{
    fake_done(&guest);
    volume_list_done(&volumes);
    return 0;
}

/* "/boot=/dev/sda2 /usr=/dev/vg0/usr:subvol=@usr", or the sentence; static. */
static const char *mounts(const char *fstab)
{
    static char text[1024];
    _cleanup_error_ struct error *err = NULL;
    struct mount_list list;
    size_t n = 0;

    fake_text(&guest, "/etc/fstab", fstab);
    text[0] = '\0';
    if (mounts_of_fstab(&tree, &volumes, &list, &err) < 0) {
        snprintf(text, sizeof(text), "%s", error_text(err));
        return text;
    }
    for (size_t i = 0; i < list.count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s%s%s", i ? " " : "",
                              list.items[i].directory, list.items[i].volume->device,
                              *list.items[i].options ? ":" : "", list.items[i].options);
    mount_list_done(&list);
    return text;
}

static void test_mounts(void **state)
{
    assert_string_equal(mounts("/dev/vg0/root / xfs defaults 0 0\n"
                               "UUID=AAAA-1111 /boot/efi vfat umask=0077 0 1\n"
                               "/dev/sda2 /boot/ ext4 defaults 0 2\n"
                               "/dev/sdb1 /var btrfs noatime,subvol=@var,ssd 0 0\n"
                               "/dev/sdb1 /root btrfs subvolid=257 0 0\n"
                               "/dev/sdb1 /home btrfs subvol=@home 0 0\n"),
                        "/var=/dev/sdb1:subvol=@var /root=/dev/sdb1:subvolid=257 /boot=/dev/sda2 "
                        "/boot/efi=/dev/sda1");
    assert_string_equal(mounts("LABEL=data /usr btrfs defaults 0 0\n"
                               "PARTUUID=0-1 /boot ext4 nofail 0 0\nUUID=AAAA-1111 /efi vfat\n"),
                        "/usr=/dev/sdb1 /efi=/dev/sda1");
    assert_string_equal(mounts("tmpfs /var tmpfs size=1g 0 0\nserver:/usr /usr nfs ro 0 0\n"
                               "/srv/boot /boot none bind 0 0\nrpool/root /root zfs defaults 0 0\n"
                               "//nas/x /boot/efi cifs ro 0 0\n"),
                        "");
    assert_non_null(strstr(mounts("/dev/sdb7 /usr ext4 defaults 0 0\n"), "'/dev/sdb7' on /usr"));
    assert_non_null(strstr(mounts("UUID=c-3 /var ext4 defaults 0 0\n"), "no --key opens"));
    assert_string_equal(mounts("# nothing\n"), "");
}

/* Without a word in fstab systemd finds the EFI system partition by itself. */
static void test_automatic_esp(void **state)
{
    fake_text(&guest, "/boot/", "");
    assert_string_equal(mounts(""), "/boot=/dev/sda1");
    assert_string_equal(mounts("UUID=b-2 /boot ext4 defaults 0 0\n"), "/boot=/dev/sda2");
    fake_text(&guest, "/efi/", "");
    assert_string_equal(mounts(""), "/efi=/dev/sda1");
    assert_string_equal(mounts("UUID=AAAA-1111 /boot vfat defaults 0 0\n"), "/boot=/dev/sda1");
    fake_text(&guest, "/efi/something", "");
    assert_string_equal(mounts(""), ""); /* nobody mounts over files */
}

static void test_opened_names(void **state)
{
    struct error *err = NULL;

    assert_non_null(strstr(mounts("/dev/mapper/crypt_usr /usr ext4 defaults 0 0\n"), "no --key"));
    fake_text(&guest, "/etc/crypttab",
              "# name source\nother UUID=zz none\ncrypt_usr /dev/sda3 -\n");
    assert_int_equal(mounts_name_opened(&tree, &volumes, &err), 0);
    assert_string_equal(mounts("/dev/mapper/crypt_usr /usr ext4 defaults 0 0\n"),
                        "/usr=/dev/mapper/luks-c-3");
    assert_string_equal(volume_find(&volumes, "/dev/sda3")->device, "/dev/sda3");
}

/* ── roots ────────────────────────────────────────────────────────────────────────────────── */

static void put_root(const char *at, const char *pretty, const char *fstab)
{
    _cleanup_free_ char *release = str_format("%s/etc/os-release", at);
    _cleanup_free_ char *table = str_format("%s/etc/fstab", at);
    _cleanup_free_ char *text = str_format("ID=debian\nPRETTY_NAME=\"%s\"\n", pretty);

    fake_text(&guest, release, text);
    fake_text(&guest, table, fstab);
}

static struct subvolume subvolumes[] = {
    {5, (char *)""},
    {256, (char *)"@"},
    {257, (char *)"@home"},
    {258, (char *)"@snapshots/1/snapshot"},
    {259, (char *)"@/.snapshots/7/snapshot"},
    {260, (char *)"arch"},
};

/* "ID PRETTY, …"; static. */
static const char *found(unsigned long long default_id)
{
    static char text[512];
    struct root_list list = {0};
    size_t n = 0;

    text[0] = '\0';
    assert_int_equal(root_list_look_btrfs(&list, &tree, &volumes.items[5], subvolumes,
                                          ARRAY_SIZE(subvolumes), default_id, NULL),
                     0);
    for (size_t i = 0; i < list.count; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%llu %s", i ? ", " : "",
                              list.items[i].subvolume, list.items[i].pretty);
    root_list_done(&list);
    return text;
}

static void test_btrfs(void **state)
{
    assert_string_equal(found(5), "");
    /* Snapshots, before the subvolume itself comes, and one below it. */
    put_root("/@snapshots/1/snapshot", "old", "/dev/sda1 / btrfs subvol=@ 0 0\n");
    assert_string_equal(found(5), "");
    put_root("/@", "Debian", "/dev/sda1 / btrfs defaults,subvol=/@ 0 0\n");
    put_root("/@/.snapshots/7/snapshot", "older", "/dev/sda1 / btrfs subvol=@ 0 0\n");
    assert_string_equal(found(5), "256 Debian");
    /* Another system beside it is another choice. */
    put_root("/arch", "Arch", "UUID=f-6 / btrfs subvolid=260 0 0\n");
    assert_string_equal(found(5), "256 Debian, 260 Arch");
    /* A default subvolume is what boots, although it is a snapshot (openSUSE). */
    assert_string_equal(found(259), "259 older");
    assert_string_equal(found(257), "256 Debian, 260 Arch");
}

static void test_btrfs_without_fstab_names(void **state)
{
    put_root("/@snapshots/1/snapshot", "old", "UUID=f-6 / btrfs defaults 0 0\n");
    assert_string_equal(found(5), "");
    put_root("/arch", "Arch", "UUID=f-6 / btrfs defaults 0 0\n");
    assert_string_equal(found(5), "260 Arch");
    put_root("", "top", "UUID=f-6 / btrfs subvol=/ 0 0\n");
    assert_string_equal(found(5), "5 top");
}

static const char *choose(struct root_list *list, const char *wanted, const char *complaint,
                          size_t keys)
{
    static char text[1024];
    _cleanup_error_ struct error *err = NULL;
    const struct root *root;

    if (root_choose(list, &volumes, wanted, complaint, keys, &root, &err) == 0)
        return root->volume->device;
    snprintf(text, sizeof(text), "%s", error_text(err));
    return text;
}

static void test_choice(void **state)
{
    struct root_list list = {0};

    assert_non_null(strstr(choose(&list, NULL, NULL, 0), "which hold /dev/sda1 (vfat), /dev/sda2"));
    assert_string_equal(choose(&list, "/dev/sda2", NULL, 0),
                        "/dev/sda2 is not the root filesystem of a guest");
    assert_non_null(strstr(choose(&list, NULL, "/dev/sda2 (ext4) cannot be mounted: bad", 0),
                           "found: /dev/sda2 (ext4) cannot be mounted: bad"));
    put_root("", "Debian 12", "");
    assert_int_equal(root_list_look(&list, &tree, &volumes.items[1], 0, NULL, NULL), 0);
    assert_string_equal(choose(&list, NULL, "unimportant", 0), "/dev/sda2");
    assert_int_equal(root_list_look(&list, &tree, &volumes.items[5], 256, "@", NULL), 0);
    assert_string_equal(choose(&list, NULL, NULL, 0),
                        "the disks hold 2 operating systems; choose one with --root: "
                        "/dev/sda2 (Debian 12), /dev/sdb1[@] (Debian 12)");
    root_list_done(&list);
}

static void test_closed(void **state)
{
    struct root_list list = {0};

    assert_string_equal(
        choose(&list, NULL, NULL, 0),
        "no Linux root filesystem and no Windows was found on the disks, which hold "
        "/dev/sda1 (vfat), /dev/sda2 (ext4), /dev/sda3 (crypto_LUKS), "
        "/dev/mapper/luks-c-3 (LVM2_member), /dev/vg0/root (xfs), "
        "/dev/sdb1 (btrfs); give all disks of the VM");
    str_replace(&volumes.items[3].inside, "");
    assert_string_equal(choose(&list, "/dev/sda2", NULL, 0),
                        "/dev/sda2 is not the root filesystem of a guest");
    assert_non_null(strstr(choose(&list, "/dev/sda3", NULL, 0), "give its key with --key FILE"));
    assert_non_null(strstr(choose(&list, NULL, NULL, 0), "give its key with --key FILE"));
    assert_non_null(strstr(choose(&list, NULL, NULL, 2), "no --key that was given opens"));
}

static const char *wanted(const char *text)
{
    static char answer[512];
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *subvolume = NULL;
    const struct volume *volume;

    if (root_wanted(&volumes, text, &volume, &subvolume, &err) < 0)
        snprintf(answer, sizeof(answer), "%s", error_text(err));
    else
        snprintf(answer, sizeof(answer), "%s %s", volume->device, subvolume ? subvolume : "-");
    return answer;
}

static void test_wanted(void **state)
{
    assert_string_equal(wanted("/dev/sda2"), "/dev/sda2 -");
    assert_string_equal(wanted("/dev/vda2"), "/dev/sda2 -");
    assert_string_equal(wanted("UUID=e-5"), "/dev/vg0/root -");
    assert_string_equal(wanted("/dev/mapper/vg0-root"), "/dev/vg0/root -");
    assert_string_equal(wanted("LABEL=data[/@arch]"), "/dev/sdb1 @arch");
    assert_string_equal(wanted("/dev/sdb1[@]"), "/dev/sdb1 @");
    assert_string_equal(wanted("/dev/sda3"), "/dev/mapper/luks-c-3 -"); /* what is inside */
    assert_non_null(strstr(wanted("/dev/sdc1"), "is on none of the disks, which hold /dev/sda1"));
    volumes.disks = 1;
    assert_non_null(strstr(wanted("/dev/sdc1"), "none of the disks")); /* not the first disk */
}

/* ── keys ─────────────────────────────────────────────────────────────────────────────────── */

static const char *split(const char *text)
{
    static char answer[256];
    struct key key;

    if (key_parse(text, &key) < 0)
        return "wrong";
    snprintf(answer, sizeof(answer), "%s %s", key.device ? key.device : "-", key.file);
    free(key.device);
    free(key.file);
    return answer;
}

static void test_key_words(void **state)
{
    assert_string_equal(split("/etc/keys/a=b"), "- /etc/keys/a=b");
    assert_string_equal(split("key"), "- key");
    assert_string_equal(split("/dev/sda3=key=1"), "/dev/sda3 key=1");
    assert_string_equal(split("UUID=c-3=/k"), "UUID=c-3 /k");
    assert_string_equal(split("LABEL=x=/k"), "LABEL=x /k");
    assert_string_equal(split("/dev/sda3"), "wrong"); /* no disk is a key */
    assert_string_equal(split("/dev/sda3="), "wrong");
    assert_string_equal(split("UUID=c-3"), "wrong");
    assert_string_equal(split("UUID==x"), "wrong");
    assert_string_equal(split(""), "wrong");
}

static void test_key_files(void **state)
{
    char path[] = "/tmp/slipway-key-XXXXXX";
    int fd = mkstemp(path);
    _cleanup_free_ char *word = str_format("/dev/sda3=%s", path);
    char *words[] = {word, path};
    _cleanup_error_ struct error *err = NULL;
    struct key_list keys;

    assert_true(fd >= 0);
    assert_true(keys_read(words, 1, &keys, &err) < 0);
    assert_non_null(strstr(error_text(err), "cannot be used"));
    err = error_free(err);
    assert_int_equal(write(fd, "a\0b\n", 4), 4);
    assert_int_equal(keys_read(words, 2, &keys, &err), 0);
    assert_int_equal(keys.items[0].length, 4);
    assert_memory_equal(keys.items[0].data, "a\0b\n", 5);
    assert_true(key_fits(&keys.items[0], &volumes, &volumes.items[2]));
    assert_false(key_fits(&keys.items[0], &volumes, &volumes.items[1]));
    assert_true(key_fits(&keys.items[1], &volumes, &volumes.items[1]));
    key_list_done(&keys);
    assert_int_equal(ftruncate(fd, (off_t)KEY_MAX + 1), 0);
    assert_true(keys_read(words, 1, &keys, &err) < 0);
    assert_non_null(strstr(error_text(err), "larger than"));
    close(fd);
    unlink(path);
    err = error_free(err);
    assert_true(keys_read(words, 1, &keys, &err) < 0);
}

/* ── room ─────────────────────────────────────────────────────────────────────────────────── */

static void test_bytes_by_place(void **state)
{
    static const char *const places[] = {"/", "/usr", "/boot/efi", "/boot"};
    static const char *const paths[] = {"/etc/fstab", "/usr/lib/x", "/usrx", "/boot/efi/EFI/x",
                                        "/boot/grub/grub.cfg"};
    static const size_t lengths[] = {1, 4097, 4096, 3 * 4096, 0};
    struct plan plan = {0};
    uint64_t bytes[4];

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        plan_edit(&plan, EDIT_WRITE, "x", paths[i], str_dup(""), lengths[i], NULL, NULL);
    plan_bytes(&plan, places, 4, bytes);
    assert_int_equal(bytes[0], 2 * 4096); /* fstab and /usrx */
    assert_int_equal(bytes[1], 2 * 4096);
    assert_int_equal(bytes[2], 3 * 4096);
    assert_int_equal(bytes[3], 0);
    plan_done(&plan);
}

/* ── what a guest wrote ─────────────────────────────────────────────────────────────────────── */

static void parse_fstab(const char *text, size_t length)
{
    _cleanup_free_ char *path = NULL;
    struct mount_list list;
    unsigned long long id;

    fake_put(&guest, "/etc/fstab", text, length);
    fake_put(&guest, "/etc/crypttab", text, length);
    if (mounts_of_fstab(&tree, &volumes, &list, NULL) == 0)
        mount_list_done(&list);
    mounts_root_subvolume(&tree, &path, &id, NULL);
    mounts_name_opened(&tree, &volumes, NULL);
}

static void test_mutated(void **state)
{
    static const char text[] = "/dev/sda3 / btrfs rw,subvol=/@,subvolid=256 0 0\n"
                               "LABEL=data /usr/ btrfs subvol=@usr 0 0\nx UUID=c-3 none luks\n"
                               "/dev/sda2 /boot ext4 nofail 0 2\n/dev/sda1 /efi vfat\n";

    mutate(text, sizeof(text) - 1, 4000, parse_fstab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mounts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_automatic_esp, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opened_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_btrfs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_btrfs_without_fstab_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_choice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_files, set_up, tear_down),
        cmocka_unit_test(test_bytes_by_place),
        cmocka_unit_test_setup_teardown(test_mutated, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* LVM and MD told which disks to look at, in the guest and in its initramfs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/lasting.h"
#include "morph/lvmconf.h"

#define VIRTIO "\"a|^/dev/vd[a-z]+[0-9]*$|\""

static void test_filters(void **state)
{
    static const struct {
        const char *before, *after; /* NULL: it stays */
    } cases[] = {
        {"devices {\n\tfilter = [ \"a|^/dev/sda2$|\", \"r|.*|\" ]\n}\n",
         "devices {\n\tfilter = [ \"a|^/dev/sda2$|\", " VIRTIO ", \"r|.*|\" ]\n}\n"},
        {"devices/global_filter=[\"a|/dev/disk/by-path/pci-0000:03:00.0.*|\",\n \"a|sd[bc]|\",\n"
         " # \"a|nothing|\",\n \"r|.*|\"]",
         "devices/global_filter=[\"a|/dev/disk/by-path/pci-0000:03:00.0.*|\",\n "
         "\"a|sd[bc]|\", " VIRTIO ",\n # \"a|nothing|\",\n \"r|.*|\"]"},
        {"filter=[\"a/xvd/\",\"r/.*/\"]\nglobal_filter=[\"a|nvme|\",\"r|.*|\"]\n",
         "filter=[\"a/xvd/\", " VIRTIO ",\"r/.*/\"]\nglobal_filter=[\"a|nvme|\", " VIRTIO
         ",\"r|.*|\"]\n"},
        /* Accepts virtio or everything already, or rejects only. */
        {"filter = [ \"a|^/dev/[sv]d|\", \"r|.*|\" ]\n", NULL},
        {"filter = [ \"a|sda|\", \"a|^/dev/vd|\", \"r|.*|\" ]\n", NULL},
        {"filter = [ \"r|/dev/cdrom|\", \"a|.*|\" ]\n", NULL},
        {"filter = [ \"r|^/dev/sdb|\" ]\n", NULL},
        {"# filter = [ \"a|sda|\", \"r|.*|\" ]\n", NULL},
        {"my_filter = [ \"a|sda|\", \"r|.*|\" ]\nfilter = \"a|sda|\"\n", NULL},
        {"comment = \"filter = [ \\\"a|sda|\\\" ]\"\n", NULL},
        {"filter = [ \"a|sda|", NULL},
        {"filter", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_buffer_ struct buffer out = {0}, what = {0}, again = {0};
        bool changed = lvmconf_admit(cases[i].before, &out, &what) > 0;

        assert_int_equal(changed, cases[i].after != NULL);
        assert_string_equal(out.data ? out.data : "",
                            cases[i].after ? cases[i].after : cases[i].before);
        assert_int_equal(lvmconf_admit(out.data ? out.data : "", &again, &what), 0);
    }
}

static void admit(const char *text, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0}, what = {0};

    if (!memchr(text, '\0', length))
        lvmconf_admit(text, &out, &what);
}

static void test_damaged_filters_are_harmless(void **state)
{
    static const char text[] = "devices {\n filter = [ \"a|sda|\", \"r|.*|\" ] # \"\n}\n";

    mutate(text, sizeof(text) - 1, 5000, admit);
}

static size_t morph(struct fake_tree *guest, struct facts *facts)
{
    struct plan plan = {0};
    size_t count;

    assert_int_equal(change_linux_lvm.apply(facts, &plan, NULL), 0);
    fake_apply(guest, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

static void test_guest(void **state)
{
    static const char devices[] =
        "# LVM uses devices listed in this file.\nVERSION=1.1.2\n"
        "IDTYPE=sys_wwid IDNAME=naa.6000c29f DEVNAME=/dev/sda2 PVID=abc PART=2\n";
    struct fake_tree *guest = mem_new(1, sizeof(*guest));
    struct facts facts = {.tree = fake_tree(guest)};

    fake_text(guest, "/etc/lvm/devices/system.devices", devices);
    fake_text(guest, "/etc/lvm/devices/backup/system.devices-1", devices);
    fake_text(guest, "/etc/mdadm.conf",
              "# mine\nDEVICE /dev/sd*[0-9]\nMAILADDR root\nARRAY /dev/md0 UUID=1:2:3:4\n");
    fake_text(guest, "/etc/mdadm/mdadm.conf", "DEVICE partitions containers\n");
    assert_int_equal(morph(guest, &facts), 3);
    assert_null(fake_find(guest, "/etc/lvm/devices/system.devices"));
    assert_string_equal(
        fake_find(guest, "/var/lib/slipway/aside/etc/lvm/devices/system.devices")->data, devices);
    assert_non_null(fake_find(guest, "/etc/lvm/devices/backup/system.devices-1"));
    assert_string_equal(fake_find(guest, "/etc/mdadm.conf")->data,
                        "# mine\nDEVICE partitions\n# was: DEVICE /dev/sd*[0-9]\n"
                        "MAILADDR root\nARRAY /dev/md0 UUID=1:2:3:4\n");
    assert_int_equal(morph(guest, &facts), 0);
    fake_done(guest);
    free(guest);
}

static struct initramfs *read_archive(const struct cpio_writer *w)
{
    struct initramfs *i;

    assert_int_equal(initramfs_read(w->out.data, w->out.length, "6.1", &i, NULL), 0);
    return i;
}

static void put(struct cpio_writer *w, const char *name, const char *text)
{
    cpio_add_file(w, name, text, strlen(text));
}

static void test_copies_in_the_initramfs(void **state)
{
    struct facts facts = {.volumes.disks = 1};
    struct volume *v = volume_add(&facts.volumes, "/dev/sda2", 0, 2);
    struct cpio_writer w = {0};
    _cleanup_buffer_ struct buffer added = {0}, nothing = {0};
    struct initramfs *i;
    struct plan plan = {0};

    str_replace(&v->type, "crypto_LUKS");
    str_replace(&v->uuid, "luks-uuid");
    put(&w, "etc/crypttab", "root /dev/sda2 none luks\n");
    put(&w, "etc/lvm/lvm.conf", "filter=[\"a|sda|\",\"r|.*|\"]\n");
    put(&w, "etc/lvm/devices/system.devices", "IDTYPE=devname IDNAME=/dev/sda2\n");
    cpio_finish(&w);
    i = read_archive(&w);
    buffer_done(&w.out);
    w = (struct cpio_writer){0};
    lasting_copies(&facts, &plan, i, &w, &added);
    initramfs_free(i);
    assert_string_equal(added.data, "/etc/crypttab, /etc/lvm/lvm.conf, /etc/lvm/lvmlocal.conf");
    put(&w, "etc/lvm/devices/system.devices", "IDTYPE=devname IDNAME=/dev/sda2\n");
    cpio_finish(&w);
    i = read_archive(&w);
    assert_string_equal(initramfs_text(i, "etc/crypttab"), "root UUID=luks-uuid none luks\n");
    assert_string_equal(initramfs_text(i, "etc/lvm/lvm.conf"),
                        "filter=[\"a|sda|\", " VIRTIO ",\"r|.*|\"]\n");
    assert_string_equal(initramfs_text(i, "etc/lvm/lvmlocal.conf"),
                        "devices {\n\tuse_devicesfile = 0\n}\n");
    buffer_done(&w.out);
    w = (struct cpio_writer){0};
    lasting_copies(&facts, &plan, i, &w, &nothing);
    assert_int_equal(nothing.length, 0);
    initramfs_free(i);
    buffer_done(&w.out);
    plan_done(&plan);
    volume_list_done(&facts.volumes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_damaged_filters_are_harmless),
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_copies_in_the_initramfs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

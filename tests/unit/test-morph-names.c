/* SPDX-License-Identifier: Apache-2.0 */
/* Disk URIs, source device names, and which volume they mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/disk.h"
#include "morph/volume.h"

static void test_uris(void **state)
{
    static const struct {
        const char *text, *file, *socket, *host, *export_name;
        int port;
    } good[] = {
        {"/var/disk.raw", "/var/disk.raw", NULL, NULL, NULL, 0},
        {"disk.raw", "disk.raw", NULL, NULL, NULL, 0},
        {"nbd+unix:///sda?socket=/run/x.sock", NULL, "/run/x.sock", NULL, "sda", 0},
        {"nbd+unix:///?socket=/run/x.sock", NULL, "/run/x.sock", NULL, "", 0},
        {"nbd+unix:///sda%40final?a=b&socket=/a%20b", NULL, "/a b", NULL, "sda@final", 0},
        {"nbd+unix:///morph/sda?socket=/x", NULL, "/x", NULL, "morph/sda", 0},
        {"nbd://node/sda", NULL, NULL, "node", "sda", 10809},
        {"nbd://10.0.0.1:99", NULL, NULL, "10.0.0.1", "", 99},
        {"nbd://[::1]:99/a/b", NULL, NULL, "::1", "a/b", 99},
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct disk_spec s;

        assert_int_equal(disk_spec_parse(good[i].text, &s, NULL), 0);
        assert_string_equal(s.file ? s.file : "-", good[i].file ? good[i].file : "-");
        assert_string_equal(s.socket ? s.socket : "-", good[i].socket ? good[i].socket : "-");
        assert_string_equal(s.host ? s.host : "-", good[i].host ? good[i].host : "-");
        assert_string_equal(s.export_name ? s.export_name : "-",
                            good[i].export_name ? good[i].export_name : "-");
        assert_int_equal(s.port, good[i].port);
        disk_spec_done(&s);
    }
}

static void test_bad_uris(void **state)
{
    static const char *const bad[] = {
        "",
        "nbds://host/x",
        "https://host/x",
        "nbd://",
        "nbd:///x",
        "nbd://host:0/x",
        "nbd://host:65536/x",
        "nbd://host:9x/y",
        "nbd://[::1/x",
        "nbd+unix:///sda",
        "nbd+unix:///s?socket=",
        "nbd+unix:///s%2?socket=/x",
        "nbd+unix:///s%00?socket=/x",
        "nbd+unix://host/s?socket=/x",
        "nbd+unix:///s?socket=/x%",
        "nbd+unix:///s?socket=%zz",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct disk_spec s;

        assert_int_equal(disk_spec_parse(bad[i], &s, &err), -EINVAL);
        assert_non_null(strstr(error_text(err), "NBD URI"));
    }
}

static void test_source_names(void **state)
{
    static const struct {
        const char *name;
        int disk, partition;
    } good[] = {
        {"/dev/sda", 0, 0},
        {"/dev/sda1", 0, 1},
        {"/dev/sdb12", 1, 12},
        {"/dev/sdaa3", 26, 3},
        {"/dev/xvda2", 0, 2},
        {"/dev/hdc1", 2, 1},
        {"/dev/vdb1", 1, 1},
        {"/dev/nvme0n1", 0, 0},
        {"/dev/nvme1n1p3", 1, 3},
        {"/dev/nvme0n2p3", -1, 3},
        {"/dev/mmcblk0p2", 0, 2},
        {"/dev/cciss/c0d1p2", 1, 2},
        {"/dev/cciss/c1d0", -1, 0},
        {"/dev/mapper/mpatha", -1, 0},
        {"/dev/mapper/mpathb2", -1, 2},
        {"/dev/mapper/mpathap3", -1, 3},
        {"/dev/mapper/mpathp", -1, 0},
        {"/dev/mapper/mpathaa-part1", -1, 1},
        {"/dev/disk/by-id/ata-VM_1", -1, 0},
        {"/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1", -1, 1},
    };
    static const char *const bad[] = {
        "/dev/sd",
        "/dev/sda0",
        "/dev/sda01",
        "/dev/sda1x",
        "/dev/sdA1",
        "/dev/sda99999",
        "/dev/nvme0",
        "/dev/nvme0n1p",
        "/dev/mapper/sda",
        "/dev/mapper/mpath",
        "/dev/mapper/mpatha-lv",
        "/dev/cciss/c0",
        "/dev/disk/by-id/lvm-pv-uuid-x",
        "/dev/disk/by-id/md-uuid-x",
        "/dev/vg0/root",
        "UUID=1234",
        "/dev/disk/by-uuid/1-2",
        "/dev/cdrom",
        "",
        "/dev/disk/by-id/dm-name-vg0-root",
        "/dev/disk/by-id/x-partz",
        "/dev/sdzzzzzzzzzzzzzz1",
    };
    struct source_name n;

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_true(source_name_parse(good[i].name, &n));
        assert_int_equal(n.disk, good[i].disk);
        assert_int_equal(n.partition, good[i].partition);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(source_name_parse(bad[i], &n));
}

static void fill(struct volume_list *list)
{
    static const struct {
        const char *device, *type, *uuid;
        int disk, partition;
    } volumes[] = {
        {"/dev/sda1", "ext4", "aaaa-1", 0, 1}, {"/dev/sda2", "LVM2_member", "pv", 0, 2},
        {"/dev/sdb1", "swap", "bbbb-1", 1, 1}, {"/dev/vg-a/lv_x-y", "xfs", "cccc", -1, 0},
        {"/dev/sda3", "ext4", "", 0, 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(volumes); i++) {
        struct volume *v =
            volume_add(list, volumes[i].device, volumes[i].disk, volumes[i].partition);

        str_replace(&v->type, volumes[i].type);
        str_replace(&v->uuid, volumes[i].uuid);
    }
    list->disks = 2;
}

static const char *uuid_of(const struct volume_list *list, const char *name, const char *type)
{
    const char *why = "";
    const struct volume *v = volume_of_source_name(list, name, type, &why);

    return v ? v->uuid : why;
}

static char *lasting(const char *device, enum volume_form form)
{
    struct volume_list list = {0};
    const char *why = "";
    char *name;

    fill(&list);
    str_replace(&list.items[0].partuuid, "p-1");
    str_replace(&list.items[4].partuuid, "p-3");
    name = volume_lasting_name(&list, device, NULL, form, &why);
    volume_list_done(&list);
    return name ? name : str_dup(why);
}

static void test_lasting_names(void **state)
{
    static const struct {
        const char *device;
        enum volume_form form;
        const char *name;
    } cases[] = {
        {"/dev/sda1", VOLUME_SPEC, "UUID=aaaa-1"},
        {"/dev/sda1", VOLUME_PATH, "/dev/disk/by-uuid/aaaa-1"},
        {"/dev/sda1", VOLUME_PARTITION, "PARTUUID=p-1"},
        {"/dev/sda3", VOLUME_SPEC, "PARTUUID=p-3"},
        {"/dev/sda3", VOLUME_PATH, "/dev/disk/by-partuuid/p-3"},
        {"/dev/disk/by-id/x-part3", VOLUME_SPEC, "/dev/disk/by-partuuid/p-3"},
        {"/dev/disk/by-path/x-part2", VOLUME_SPEC, "/dev/disk/by-uuid/pv"},
        {"/dev/sdb1", VOLUME_PARTITION, "what is there has neither a UUID nor a partition UUID"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_free_ char *name = lasting(cases[i].device, cases[i].form);

        assert_string_equal(name, cases[i].name);
    }
}

static void test_resolution(void **state)
{
    struct volume_list list = {0};

    fill(&list);
    assert_string_equal(uuid_of(&list, "/dev/sda1", "ext3"), "aaaa-1");
    assert_string_equal(uuid_of(&list, "/dev/sdb1", "swap"), "bbbb-1");
    assert_non_null(strstr(uuid_of(&list, "/dev/sdb1", "ext4"), "another type"));
    assert_non_null(strstr(uuid_of(&list, "/dev/sdc1", NULL), "no disk given"));
    assert_non_null(strstr(uuid_of(&list, "/dev/sda3", NULL), "no UUID"));
    assert_non_null(strstr(uuid_of(&list, "/dev/disk/by-id/x-part1", NULL), "which of several"));
    list.disks = 1; /* now a name that does not tell the disk can only mean this one */
    assert_string_equal(uuid_of(&list, "/dev/disk/by-id/x-part1", "ext4"), "aaaa-1");
    assert_string_equal(uuid_of(&list, "/dev/hdc1", "ext4"), "aaaa-1");
    assert_string_equal(uuid_of(&list, "/dev/xvde1", "ext4"), "aaaa-1");
    /* It was another disk, which did not come along: never the root in its place. */
    assert_non_null(strstr(uuid_of(&list, "/dev/sdb1", "ext4"), "another type"));
    list.disks = 2;
    /* IDE's letters are places; the type tells. */
    assert_string_equal(uuid_of(&list, "/dev/hdc1", "swap"), "bbbb-1");
    assert_string_equal(uuid_of(&list, "/dev/disk/by-id/x-part1", "swap"), "bbbb-1");
    assert_string_equal(volume_find(&list, "UUID=CCCC")->device, "/dev/vg-a/lv_x-y");
    assert_string_equal(volume_find(&list, "UUID=\"bbbb-1\"")->device, "/dev/sdb1");
    assert_string_equal(volume_find(&list, "/dev/mapper/vg--a-lv_x--y")->uuid, "cccc");
    assert_string_equal(volume_find(&list, "/dev/vg-a/lv_x-y")->uuid, "cccc");
    assert_string_equal(volume_find(&list, "/dev/disk/by-uuid/cccc")->uuid, "cccc");
    assert_null(volume_find(&list, "/dev/mapper/vg-a-lv_x-y"));
    assert_null(volume_find(&list, "LABEL="));
    assert_null(volume_find(&list, "tmpfs"));
    volume_list_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uris),          cmocka_unit_test(test_bad_uris),
        cmocka_unit_test(test_source_names),  cmocka_unit_test(test_resolution),
        cmocka_unit_test(test_lasting_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

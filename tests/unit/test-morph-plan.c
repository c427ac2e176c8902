/* SPDX-License-Identifier: Apache-2.0 */
/* A whole plan on guests in memory: what changes, what stays, and that a second plan is empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/cpio.h"
#include "morph/initramfs.h"
#include "morph/inspect.h"
#include "morph/plan.h"

#define K1 "6.1.0-9-amd64"
#define K2 "6.1.0-10-amd64"
#define MODULES(k) "/lib/modules/" k

static struct fake_tree guest;
static struct facts facts;
static struct nic nics[2];
static struct request request;

static void put_kernel(const char *version, bool has_virtio)
{
    static const char dep[] = "kernel/virtio.ko:\nkernel/virtio_pci.ko: kernel/virtio.ko\n"
                              "kernel/virtio_blk.ko: kernel/virtio.ko\n"
                              "kernel/virtio_net.ko: kernel/virtio.ko\n"
                              "kernel/virtio_scsi.ko: kernel/virtio.ko\n"
                              "kernel/sd_mod.ko:\nkernel/ext4.ko:\n";
    static const char *const modules[] = {"virtio", "virtio_pci",  "virtio_blk",
                                          "sd_mod", "virtio_scsi", "virtio_net"};
    struct cpio_writer w = {0};
    char *path;

    cpio_add_file(&w, "scripts/functions", "x", 1);
    cpio_add_directory(&w, "usr/lib/systemd/network");
    cpio_add_file(&w, "conf/conf.d/resume", "RESUME=/dev/sda2\n", 17);
    for (size_t i = 0; i < 6; i++) {
        _cleanup_free_ char *file = str_format("/lib/modules/%s/kernel/%s.ko", version, modules[i]);
        _cleanup_free_ char *name = str_format("usr%s", file);

        fake_text(&guest, file, "elf");
        if (has_virtio)
            cpio_add_file(&w, name, "elf", 3);
    }
    cpio_finish(&w);
    path = str_format("/boot/initrd.img-%s", version);
    fake_put(&guest, path, w.out.data, w.out.length);
    free(path);
    path = str_format("/boot/vmlinuz-%s", version);
    fake_text(&guest, path, "kernel");
    free(path);
    path = str_format("/lib/modules/%s/modules.dep", version);
    fake_text(&guest, path, dep);
    free(path);
    buffer_done(&w.out);
}

static void add(const char *device, int disk, int partition, const char *type, const char *uuid)
{
    struct volume *v = volume_add(&facts.volumes, device, disk, partition);

    str_replace(&v->type, type);
    str_replace(&v->uuid, uuid);
}

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    facts = (struct facts){.tree = fake_tree(&guest)};
    memset(nics, 0, sizeof(nics));
    strcpy(nics[0].mac, "52:54:00:00:00:01");
    strcpy(nics[1].mac, "52:54:00:00:00:02");
    request = (struct request){.nics = nics, .nic_count = 1};
    facts.request = &request;
    facts.volumes.disks = 1;
    add("/dev/sda1", 0, 1, "ext4", "root-uuid");
    add("/dev/sda2", 0, 2, "swap", "swap-uuid");
    fake_text(&guest, "/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian\"\n");
    fake_text(&guest, "/etc/initramfs-tools/initramfs.conf", "MODULES=dep\n");
    fake_text(&guest, "/etc/initramfs-tools/modules", "# mine\nvirtio_pci");
    fake_text(&guest, "/etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda2\n");
    fake_text(&guest, "/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\n");
    fake_text(&guest, "/boot/grub/grub.cfg",
              "linux /boot/vmlinuz root=/dev/sda1 ro console=ttyS0,115200\n");
    fake_text(&guest, "/boot/grub/device.map", "(hd0)\t/dev/disk/by-id/scsi-1VMware_x\n");
    fake_text(&guest, "/etc/network/interfaces",
              "iface lo inet loopback\niface ens192 inet static\n");
    fake_text(&guest, "/lib/systemd/system/open-vm-tools.service", "[Unit]\n");
    fake_link(&guest, "/etc/systemd/system/multi-user.target.wants/open-vm-tools.service",
              "/lib/systemd/system/open-vm-tools.service");
    fake_text(&guest, "/lib/systemd/system/qemu-guest-agent.service", "[Unit]\n");
    fake_link(&guest, "/etc/systemd/system/qemu-guest-agent.service", "/dev/null");
    put_kernel(K1, false);
    put_kernel(K2, false);
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    free(nics[0].name);
    free(nics[1].name);
    return 0;
}

/* Plans, applies, and returns how many edits it was. */
static size_t morph(void)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan;
    size_t count;

    for (size_t i = 0; i < facts.pin_count; i++)
        free(facts.pins[i].name);
    facts.pin_count = 0;
    facts_forget_kernels(&facts);
    os_done(&facts.os);
    assert_int_equal(inspect_os(&facts.tree, &facts.os, NULL), 0);
    facts.family = inspect_family(&facts.os);
    assert_int_equal(inspect_kernels(&facts.tree, &facts.kernels, &facts.kernel_count, NULL), 0);
    if (plan_make(&facts, &plan, &err) < 0)
        fail_msg("%s", error_text(err));
    fake_apply(&guest, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

static const char *text_of(const char *path)
{
    struct fake_file *f = fake_find(&guest, path);

    return f ? f->data : "(none)";
}

static void test_guest_from_another_platform(void **state)
{
    struct initramfs *i;
    struct fake_file *f;

    assert_true(morph() > 0);
    assert_string_equal(text_of("/etc/fstab"), "UUID=root-uuid / ext4 defaults 0 1\n"
                                               "UUID=swap-uuid none swap sw 0 0\n");
    assert_string_equal(text_of("/boot/grub/grub.cfg"),
                        "linux /boot/vmlinuz root=UUID=root-uuid ro console=ttyS0,115200\n");
    assert_string_equal(text_of("/boot/grub/device.map"),
                        "# (hd0)\t/dev/disk/by-id/scsi-1VMware_x\n");
    assert_string_equal(text_of("/etc/initramfs-tools/conf.d/resume"), "RESUME=UUID=swap-uuid\n");
    assert_non_null(strstr(text_of("/etc/systemd/network/10-slipway-ens192.link"),
                           "MACAddress=52:54:00:00:00:01\n"));
    assert_string_equal(text_of("/etc/systemd/system/open-vm-tools.service"), "/dev/null");
    assert_null(
        fake_find(&guest, "/etc/systemd/system/multi-user.target.wants/open-vm-tools.service"));
    assert_string_equal(text_of("/etc/initramfs-tools/modules"),
                        "# mine\nvirtio_pci\n"
                        "# begin slipway-morph: drivers of the virtio platform\n"
                        "virtio_blk\nvirtio_scsi\nvirtio_net\nsd_mod\n"
                        "# end slipway-morph\n");
    f = fake_find(&guest, "/boot/initrd.img-" K1);
    assert_int_equal(initramfs_read(f->data, f->length, K1, &i, NULL), 0);
    assert_int_equal(i->module_count, 6);
    assert_string_equal(initramfs_text(i, "conf/conf.d/resume"), "RESUME=UUID=swap-uuid\n");
    assert_string_equal(initramfs_text(i, "conf/modules"),
                        "virtio_pci\nvirtio_blk\nvirtio_scsi\nvirtio_net\nsd_mod\n");
    assert_non_null(initramfs_text(i, "usr/lib/systemd/network/10-slipway-ens192.link"));
    initramfs_free(i);
    /* The agent was masked: it is not any more, and its port wants it. */
    assert_null(fake_find(&guest, "/etc/systemd/system/qemu-guest-agent.service"));
}

static void test_second_run_changes_nothing(void **state)
{
    assert_true(morph() > 0);
    assert_int_equal(morph(), 0);
}

static void test_virtio_that_is_there_is_not_added(void **state)
{
    size_t length;

    fake_text(&guest, "/etc/network/interfaces", "iface lo inet loopback\n");
    put_kernel(K1, true);
    put_kernel(K2, true);
    morph(); /* the resume device still has to be overridden */
    length = fake_find(&guest, "/boot/initrd.img-" K1)->length;
    assert_int_equal(morph(), 0);
    assert_int_equal(fake_find(&guest, "/boot/initrd.img-" K1)->length, length);
    assert_string_equal(text_of("/etc/systemd/network/10-slipway-ens192.link"), "(none)");
}

static void test_names_of_cards(void **state)
{
    nics[0].name = str_dup("lan7");
    request.nic_count = 2;
    fake_text(&guest, "/etc/network/interfaces",
              "iface eth1 inet static\n hwaddress 52:54:00:00:00:02\niface eth0 inet dhcp\n");
    morph();
    assert_int_equal(facts.pin_count, 2);
    assert_string_equal(facts.pins[0].name, "lan7");
    assert_string_equal(facts.pins[1].name, "eth1");
    assert_string_equal(facts.pins[1].mac, "52:54:00:00:00:02");
}

static void test_names_the_guest_pins_itself(void **state)
{
    fake_text(&guest, "/etc/udev/rules.d/70-persistent-net.rules",
              "SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:00:00:01\", NAME=\"ens192\"\n");
    morph();
    assert_int_equal(facts.pin_count, 1);
    assert_null(fake_find(&guest, "/etc/systemd/network/10-slipway-ens192.link"));
}

static void test_several_disks_are_resolved_by_order(void **state)
{
    facts.volumes.disks = 2;
    add("/dev/sdb1", 1, 1, "xfs", "data-uuid");
    fake_text(&guest, "/etc/fstab",
              "/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /data xfs defaults 0 2\n"
              "/dev/sdb1 /wrong ext4 defaults 0 2\n/dev/disk/by-id/ata-x-part1 /unclear auto\n"
              "/dev/mapper/vg0-x /lv ext4\n");
    morph();
    assert_string_equal(text_of("/etc/fstab"), "UUID=root-uuid / ext4 defaults 0 1\n"
                                               "UUID=data-uuid /data xfs defaults 0 2\n"
                                               "/dev/sdb1 /wrong ext4 defaults 0 2\n"
                                               "/dev/disk/by-id/ata-x-part1 /unclear auto\n"
                                               "/dev/mapper/vg0-x /lv ext4\n");
}

static void test_newest_kernel_must_work(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan;

    fake_text(&guest, "/boot/initrd.img-" K1, "what is this");
    assert_true(morph() > 0); /* the older one is only warned of */
    fake_text(&guest, "/boot/initrd.img-" K2, "what is this");
    assert_true(plan_make(&facts, &plan, &err) < 0);
    assert_non_null(strstr(error_text(err), K2));
}

static void test_loader_where_firmware_looks(void **state)
{
    fake_text(&guest, "/boot/efi/EFI/debian/shimx64.efi", "shim");
    fake_text(&guest, "/boot/efi/EFI/debian/grubx64.efi", "grub");
    morph();
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/BOOTX64.EFI"), "shim");
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/grubx64.efi"), "grub");
    assert_int_equal(morph(), 0);
}

static void test_loader_of_the_guest_stays(void **state)
{
    fake_text(&guest, "/boot/efi/EFI/debian/grubx64.efi", "grub");
    fake_text(&guest, "/boot/efi/EFI/BOOT/BOOTX64.EFI", "own");
    morph();
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/BOOTX64.EFI"), "own");
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/grubx64.efi"), "(none)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_guest_from_another_platform, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_run_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_virtio_that_is_there_is_not_added, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_of_cards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_the_guest_pins_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_disks_are_resolved_by_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_newest_kernel_must_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loader_where_firmware_looks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loader_of_the_guest_stays, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Loaders on the EFI system partition: which one is put where firmware looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/esp.h"

static struct fake_tree guest;
static struct facts facts;
static struct request request;
static size_t warnings;

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    facts = (struct facts){.tree = fake_tree(&guest), .request = &request, .family = FAMILY_REDHAT};
    facts.os.id = str_dup("rocky");
    facts.os.like = str_dup("rhel centos fedora");
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    return 0;
}

static size_t morph(void)
{
    struct plan plan = {0};
    size_t count;

    assert_int_equal(change_linux_uefi.apply(&facts, &plan, NULL), 0);
    fake_apply(&guest, &plan);
    count = plan.edit_count;
    warnings = 0;
    for (size_t i = 0; i < plan.note_count; i++)
        warnings += plan.notes[i].warning;
    plan_done(&plan);
    return count;
}

static const char *text_of(const char *path)
{
    struct fake_file *f = fake_find(&guest, path);

    return f ? f->data : "(none)";
}

/* An EFI program of 64 bits: headers, the text, and a signature or none. */
static void put_program(const char *path, const char *text, bool is_signed)
{
    unsigned char image[512] = {'M', 'Z'};

    image[0x3c] = 0x80;
    memcpy(image + 0x80, "PE\0\0", 4);
    image[0x80 + 24] = 0x0b;
    image[0x80 + 25] = 0x02;
    if (is_signed) {
        image[0x80 + 24 + 112 + 32] = 0x10;
        image[0x80 + 24 + 112 + 36] = 0x20;
    }
    memcpy(image + 400, text, strlen(text));
    fake_put(&guest, path, image, sizeof(image));
}

static void test_shim_of_the_guest_itself(void **state)
{
    fake_text(&guest, "/boot/efi/EFI/fedora/grubx64.efi", "another system");
    put_program("/boot/efi/EFI/rocky/shimx64.efi", "UEFI SHIM 15", true);
    fake_text(&guest, "/boot/efi/EFI/rocky/grubx64.efi", "grub");
    fake_text(&guest, "/boot/efi/EFI/rocky/mmx64.efi", "keys");
    fake_text(&guest, "/boot/efi/EFI/rocky/fbx64.efi", "entries");
    fake_text(&guest, "/boot/efi/EFI/rocky/BOOTX64.CSV", "csv");
    fake_text(&guest, "/boot/efi/EFI/rocky/grub.cfg",
              "search --fs-uuid --set=dev 1234\nset prefix=($dev)/grub2\n"
              "configfile $prefix/grub.cfg\n");
    assert_int_equal(morph(), 5);
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/grubx64.efi"), "grub");
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/mmx64.efi"), "keys");
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/fbx64.efi"), "entries");
    assert_non_null(strstr(text_of("/boot/efi/EFI/BOOT/grub.cfg"), "configfile"));
    assert_int_equal(fake_find(&guest, "/boot/efi/EFI/BOOT/BOOTX64.EFI")->length, 512);
    assert_true(facts.secure_boot);
    assert_int_equal(facts.firmware, FIRMWARE_UEFI);
    assert_int_equal(morph(), 0);
    assert_int_equal(warnings, 0);
}

static void test_names_of_suse_and_any_case(void **state)
{
    str_replace(&facts.os.id, "opensuse-leap");
    facts.family = FAMILY_SUSE;
    put_program("/boot/efi/efi/opensuse/shim.efi", "UEFI SHIM", true);
    fake_text(&guest, "/boot/efi/efi/opensuse/GRUB.EFI", "grub");
    fake_text(&guest, "/boot/efi/efi/opensuse/MokManager.efi", "keys");
    fake_text(&guest, "/boot/efi/efi/opensuse/grub.cfg", "menuentry 'not a short one' {\n}\n");
    assert_int_equal(morph(), 3);
    assert_string_equal(text_of("/boot/efi/efi/BOOT/GRUB.EFI"), "grub");
    assert_string_equal(text_of("/boot/efi/efi/BOOT/MokManager.efi"), "keys");
    assert_string_equal(text_of("/boot/efi/efi/BOOT/grub.cfg"), "(none)");
    assert_int_equal(morph(), 0);
}

static void test_systemd_boot_at_efi(void **state)
{
    fake_text(&guest, "/efi/EFI/systemd/systemd-bootx64.efi", "sd-boot");
    fake_text(&guest, "/efi/EFI/systemd/systemd-bootaa64.efi", "for ARM");
    assert_int_equal(morph(), 1);
    assert_string_equal(text_of("/efi/EFI/BOOT/BOOTX64.EFI"), "sd-boot");
    assert_false(facts.secure_boot);
    assert_int_equal(morph(), 0);
    fake_text(&guest, "/lib/ld-linux-aarch64.so.1", "elf");
    assert_int_equal(morph(), 1);
    assert_string_equal(text_of("/efi/EFI/BOOT/BOOTAA64.EFI"), "for ARM");
}

static void test_shim_without_what_it_starts(void **state)
{
    put_program("/boot/efi/EFI/BOOT/BOOTX64.EFI", "UEFI SHIM", false);
    fake_text(&guest, "/boot/efi/EFI/redhat/grubx64.efi", "grub");
    assert_int_equal(morph(), 1);
    assert_string_equal(text_of("/boot/efi/EFI/BOOT/grubx64.efi"), "grub");
    assert_false(facts.secure_boot); /* nobody signed this one */
    assert_int_equal(morph(), 0);
}

static void test_shim_that_starts_the_fallback(void **state)
{
    put_program("/boot/efi/EFI/BOOT/BOOTX64.EFI", "UEFI SHIM", true);
    fake_text(&guest, "/boot/efi/EFI/BOOT/fbx64.efi", "entries");
    fake_text(&guest, "/boot/efi/EFI/rocky/grubx64.efi", "grub");
    assert_int_equal(morph(), 0);
    assert_true(facts.secure_boot);
}

static void test_loader_of_windows(void **state)
{
    fake_text(&guest, "/boot/efi/EFI/BOOT/BOOTX64.EFI", "bootmgr");
    fake_text(&guest, "/boot/efi/EFI/Microsoft/Boot/bootmgfw.efi", "bootmgr");
    assert_int_equal(morph(), 0);
    assert_int_equal(warnings, 1);
}

static void test_nothing_to_start(void **state)
{
    fake_text(&guest, "/boot/efi/EFI/Microsoft/Boot/bootmgfw.efi", "bootmgr");
    fake_text(&guest, "/boot/efi/EFI/tools/memtest.efi", "memtest");
    assert_int_equal(morph(), 0);
    assert_int_equal(warnings, 1);
    assert_int_equal(facts.firmware, FIRMWARE_UNKNOWN);
    facts.firmware = FIRMWARE_BIOS; /* then nobody misses it */
    assert_int_equal(morph(), 0);
    assert_int_equal(warnings, 0);
}

static void test_both_firmwares(void **state)
{
    facts.firmware = FIRMWARE_BIOS;
    fake_text(&guest, "/boot/efi/EFI/BOOT/BOOTX64.EFI", "own");
    assert_int_equal(morph(), 0);
    assert_int_equal(facts.firmware, FIRMWARE_BOTH);
}

static void check_signed(const char *data, size_t length)
{
    esp_is_signed(data, length);
}

static void test_damaged_programs_are_harmless(void **state)
{
    put_program("/x", "x", true);
    assert_true(esp_is_signed(fake_find(&guest, "/x")->data, 512));
    assert_false(esp_is_signed(fake_find(&guest, "/x")->data, 200));
    mutate(fake_find(&guest, "/x")->data, 512, 3000, check_signed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shim_of_the_guest_itself),
        TEST(test_names_of_suse_and_any_case),
        TEST(test_systemd_boot_at_efi),
        TEST(test_shim_without_what_it_starts),
        TEST(test_shim_that_starts_the_fallback),
        TEST(test_loader_of_windows),
        TEST(test_nothing_to_start),
        TEST(test_both_firmwares),
        TEST(test_damaged_programs_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

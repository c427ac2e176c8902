/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that cannot boot are refused; which firmware starts the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/bootsector.h"
#include "morph/change.h"

static struct fake_tree guest;
static struct facts facts;
static struct request request;
static char sentence[512];
static size_t warnings;

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    facts = (struct facts){.tree = fake_tree(&guest), .request = &request, .family = FAMILY_DEBIAN};
    facts.boot_code = BOOT_CODE_GRUB;
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    return 0;
}

/* The sentence of the refusal, "" when there is none. */
static const char *look(void)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan = {0};
    int r = change_linux_bootcheck.apply(&facts, &plan, &err);

    strncpy(sentence, r < 0 ? error_text(err) : "", sizeof(sentence) - 1);
    assert_int_equal(plan.edit_count, 0);
    warnings = plan.note_count;
    plan_done(&plan);
    return sentence;
}

#define REFUSED(part) assert_non_null(strstr(look(), part))
#define TAKEN() assert_string_equal(look(), "")

static void test_bios(void **state)
{
    fake_text(&guest, "/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux /vmlinuz\n}\n");
    TAKEN();
    assert_int_equal(facts.firmware, FIRMWARE_BIOS);
    facts.boot_code = BOOT_CODE_OTHER;
    TAKEN();
    facts.boot_code = BOOT_CODE_NONE;
    REFUSED("Xen");
    facts.boot_code = BOOT_CODE_BROKEN;
    REFUSED("grub-install");
    str_replace(&volume_add(&facts.volumes, "/dev/sda1", 0, 1)->type, "vfat");
    REFUSED("grub-install");
    facts.boot_code = BOOT_CODE_NONE; /* its loader may be there, unseen */
    TAKEN();
    assert_int_equal(warnings, 1);
    assert_int_equal(facts.firmware, FIRMWARE_UEFI);
    facts.boot_code = BOOT_CODE_UNREAD;
    TAKEN();
}

static void test_uefi(void **state)
{
    facts.boot_code = BOOT_CODE_NONE;
    fake_text(&guest, "/boot/loader/entries/a.conf", "linux /vmlinuz\n");
    fake_text(&guest, "/boot/EFI/systemd/systemd-bootx64.EFI", "x");
    TAKEN();
    assert_int_equal(facts.firmware, FIRMWARE_UNKNOWN); /* the change "uefi" says the rest */
    facts.boot_code = BOOT_CODE_GRUB;                   /* of an image for both, without modules */
    TAKEN();
    assert_int_equal(facts.firmware, FIRMWARE_UNKNOWN);
    fake_text(&guest, "/boot/grub/i386-pc/normal.mod", "x");
    TAKEN();
    assert_int_equal(facts.firmware, FIRMWARE_BIOS);
}

static void test_only_windows_loader(void **state)
{
    facts.boot_code = BOOT_CODE_NONE;
    fake_text(&guest, "/boot/efi/EFI/Microsoft/bootmgfw.efi", "x");
    fake_text(&guest, "/boot/grub/grub.cfg", "menuentry 'x' {\n}\n");
    REFUSED("no disk of the guest has a boot loader");
}

static void test_configuration(void **state)
{
    TAKEN(); /* nothing at all: some other loader may be at work */
    assert_int_equal(warnings, 1);
    fake_text(&guest, "/boot/grub2/fonts/x", "x");
    REFUSED("/boot/grub2 has no configuration");
    fake_text(&guest, "/boot/grub2/grub.cfg", "set default=0\n");
    REFUSED("/boot/grub2/grub.cfg has no entry");
    fake_text(&guest, "/etc/lilo.conf", "boot=/dev/sda\n");
    TAKEN();
    fake_done(&guest);
    fake_text(&guest, "/boot/grub2/grub.cfg", "");
    fake_text(&guest, "/boot/efi/EFI/redhat/grub.cfg", "blscfg\n");
    TAKEN();
    assert_int_equal(warnings, 0);
    fake_done(&guest);
    fake_text(&guest, "/boot/grub/menu.lst", "\n \n");
    REFUSED("/boot/grub/menu.lst has no entry");
}

static void test_first_sectors(void **state)
{
    unsigned char sector[BOOTSECTOR_SIZE] = {0};
    uint64_t next;

    sector[446] = 0x80; /* the table of partitions is no code */
    sector[511] = 0xaa;
    assert_int_equal(bootsector_read(sector, &next), BOOT_CODE_NONE);
    sector[0] = 0xfa;
    assert_int_equal(bootsector_read(sector, &next), BOOT_CODE_OTHER);
    memcpy(sector + 0x180, "GRUB ", 5);
    sector[0x5c] = 0x22;
    sector[0x5d] = 0x08;
    assert_int_equal(bootsector_read(sector, &next), BOOT_CODE_GRUB);
    assert_int_equal(next, 0x822);
    sector[0x3e] = 3; /* GRUB legacy has something else there */
    sector[0x3f] = 2;
    assert_int_equal(bootsector_read(sector, &next), BOOT_CODE_GRUB);
    assert_int_equal(next, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bios),          TEST(test_uefi),          TEST(test_only_windows_loader),
        TEST(test_configuration), TEST(test_first_sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

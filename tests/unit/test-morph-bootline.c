/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel command lines, consoles, menus and the environment block, text by text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/bootline.h"
#include "morph/bootmenu.h"
#include "morph/grubenv.h"

#define SERIAL "console=ttyS0,115200n8"

static void test_consoles(void **state)
{
    static const struct {
        enum bootline_form form;
        const char *before, *after; /* NULL: it stays */
    } cases[] = {
        /* The screen was /dev/console and stays it. */
        {BOOTLINE_GRUB, "linux /vmlinuz root=x ro quiet\r\n",
         "linux /vmlinuz root=x ro quiet " SERIAL " console=tty0\r\n"},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=tty1 quiet",
         "linux /vmlinuz root=x " SERIAL " console=tty1 quiet"},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=ttyS1,9600 console=tty0",
         "linux /vmlinuz root=x " SERIAL " console=ttyS1,9600 console=tty0"},
        /* It was a line that is not there any more. */
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=hvc0 quiet",
         "linux /vmlinuz root=x console=hvc0 quiet console=tty0 " SERIAL},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=tty0 console=xvc0",
         "linux /vmlinuz root=x console=tty0 console=xvc0 " SERIAL},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=ttyS1",
         "linux /vmlinuz root=x console=ttyS1 console=tty0 " SERIAL},
        /* It has one, or starts no system. */
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=ttyS0", NULL},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=tty0 console=ttyS0,9600n8 quiet", NULL},
        {BOOTLINE_GRUB, "linux /vmlinuz root=x console=uart8250,io,0x3f8", NULL},
        {BOOTLINE_GRUB, "linux16 /memtest86+.bin", NULL},
        {BOOTLINE_GRUB, "module2 /xen.gz root=x", NULL},
        {BOOTLINE_GRUB, "module2 /vmlinuz-5 placeholder root=x",
         "module2 /vmlinuz-5 placeholder root=x " SERIAL " console=tty0"},
        {BOOTLINE_GRUB, "set kernelopts=\"root=x ro \"",
         "set kernelopts=\"root=x ro " SERIAL " console=tty0 \""},
        {BOOTLINE_GRUB, "set kernelopts=\"root=x", NULL},
        {BOOTLINE_ENTRY, "options $kernelopts $tuned_params", NULL},
        {BOOTLINE_ENTRY, "options rw\noptions quiet",
         "options rw " SERIAL " console=tty0\noptions quiet"},
        {BOOTLINE_ENTRY, "options rw\noptions console=ttyS0", NULL},
        {BOOTLINE_EXTLINUX, "\tappend root=x", "\tappend root=x " SERIAL " console=tty0"},
        {BOOTLINE_EXTLINUX, "append initrd=rescue.img", NULL},
        {BOOTLINE_LEGACY, "kernel --type=linux (hd0,0)/vmlinuz root=x",
         "kernel --type=linux (hd0,0)/vmlinuz root=x " SERIAL " console=tty0"},
        {BOOTLINE_LEGACY, "# kopt=root=x ro", "# kopt=root=x ro " SERIAL " console=tty0"},
        {BOOTLINE_LEGACY, "#kernel /vmlinuz root=x", NULL},
        {BOOTLINE_WORDS, "# c\nroot=x\nquiet\n", "# c\nroot=x " SERIAL " console=tty0\nquiet\n"},
        {BOOTLINE_SHELL, "GRUB_CMDLINE_LINUX=\nGRUB_CMDLINE_LINUX_DEFAULT='quiet'\n",
         "GRUB_CMDLINE_LINUX=" SERIAL " console=tty0\nGRUB_CMDLINE_LINUX_DEFAULT='quiet'\n"},
        {BOOTLINE_SHELL, "GRUB_CMDLINE_LINUX=\"a\"\nGRUB_CMDLINE_LINUX=\"b\"\n",
         "GRUB_CMDLINE_LINUX=\"a\"\nGRUB_CMDLINE_LINUX=\"b " SERIAL " console=tty0\"\n"},
        {BOOTLINE_SHELL, "GRUB_CMDLINE_LINUX=\"\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"console=tty1\"\n",
         "GRUB_CMDLINE_LINUX=\"\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"" SERIAL " console=tty1\"\n"},
        {BOOTLINE_SHELL, "#GRUB_CMDLINE_LINUX=\"\"\nGRUB_CMDLINE_XEN=\"x\"\nroot=x\n", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        _cleanup_buffer_ struct buffer out = {0}, again = {0};
        size_t count = bootline_add_console(cases[i].form, cases[i].before, &out);

        assert_string_equal(out.data, cases[i].after ? cases[i].after : cases[i].before);
        assert_int_equal(count, cases[i].after != NULL);
        assert_int_equal(bootline_add_console(cases[i].form, out.data, &again), 0);
    }
}

static void test_environment_block_keeps_its_size(void **state)
{
    _cleanup_buffer_ struct buffer block = {0}, set = {0}, other = {0}, full = {0}, cut = {0};
    _cleanup_free_ char *value = NULL, *long_value = mem_new(1024, 1);

    buffer_add_text(&block, "# GRUB Environment Block\nsaved_entry=0\nkernelopts=root=x \n");
    assert_true(grubenv_fit(&block, 1024));
    assert_int_equal(block.length, 1024);
    assert_true(grubenv_is_valid(block.data));
    assert_true(grubenv_set(block.data, "saved_entry", "an entry>another", &set));
    assert_int_equal(set.length, 1024);
    assert_true(str_starts(set.data, "# GRUB Environment Block\nsaved_entry=an entry>another\n"
                                     "kernelopts=root=x \n####"));
    assert_true(grubenv_set(set.data, "new", "1", &other));
    value = grubenv_get(other.data, "new");
    assert_string_equal(value, "1");
    assert_null(grubenv_get(other.data, "ne"));
    memset(long_value, 'x', 1000);
    assert_false(grubenv_set(block.data, "saved_entry", long_value, &full));
    assert_false(grubenv_set("# GRUB Environment Block\nname", "a", "b", &cut));
    assert_false(grubenv_is_valid("kernelopts=x\n"));
}

static const char menu[] = "function savedefault {\n  save_env saved_entry\n}\n"
                           "set default=\"0\"\n"
                           "menuentry 'Title > with sign' {\n\tlinux /boot/vmlinuz-2 root=x\n}\n"
                           "submenu \"More\" --id 'more' {\n"
                           " menuentry 'x (recovery mode)' {\n  linux /vmlinuz-1 root=x\n }\n"
                           " menuentry 'y' --id=y {\n  linux /vmlinuz-1 root=x single\n }\n"
                           " if true ; then\n  submenu 'deep' {\n"
                           "   menuentry 'z' $menuentry_id_option 'z-1' {\n"
                           "    linuxefi ($root)/vmlinuz-1 root=x\n   }\n  }\n fi\n}\n";

static void test_entries_of_grub(void **state)
{
    static const struct bootmenu_kernel one = {"/boot/vmlinuz-1", "1"},
                                        two = {"/boot/vmlinuz-2", "2"},
                                        three = {"/boot/vmlinuz-3", "3"};
    _cleanup_free_ char *first = bootmenu_grub_find(menu, &one);
    _cleanup_free_ char *second = bootmenu_grub_find(menu, &two);
    _cleanup_buffer_ struct buffer out = {0}, again = {0};

    assert_string_equal(first, "more>deep>z-1");
    assert_string_equal(second, "Title >> with sign");
    assert_null(bootmenu_grub_find(menu, &three));
    assert_false(bootmenu_grub_saves(menu));
    assert_true(bootmenu_grub_saves("  set default=\"${saved_entry}\"\n"));
    assert_int_equal(bootmenu_grub_set(menu, first, &out), 1);
    assert_non_null(strstr(out.data, "}\nset default=\"more>deep>z-1\"\nmenuentry"));
    assert_int_equal(bootmenu_grub_set(out.data, first, &again), 0);
    buffer_done(&out);
    assert_int_equal(bootmenu_grub_set("set default=\"${next_entry}\"\n", "x", &out), 0);
}

static void test_entries_of_other_loaders(void **state)
{
    static const char legacy[] = "timeout 5\ntitle a\n kernel /vmlinuz-2\n"
                                 "title Failsafe\n kernel /vmlinuz-1\ntitle b\n"
                                 " kernel (hd0,0)/boot/vmlinuz-1 root=x\n";
    static const struct bootmenu_kernel one = {"/boot/vmlinuz-1", "6.1-1"};
    _cleanup_buffer_ struct buffer out = {0}, moved = {0};
    _cleanup_free_ char *label = NULL;

    assert_int_equal(bootmenu_legacy_find(legacy, &one), 2);
    assert_int_equal(bootmenu_legacy_set(legacy, 2, &out), 1);
    assert_true(str_starts(out.data, "default=2\ntimeout 5\n"));
    buffer_done(&out);
    assert_int_equal(bootmenu_legacy_set("default\tsaved\ntitle a\n", 1, &out), 1);
    assert_string_equal(out.data, "default\t1\ntitle a\n");
    label = bootmenu_extlinux_find("label x\n kernel /v\nLABEL l1\n LINUX ../vmlinuz-1\n", &one);
    assert_string_equal(label, "l1");
    assert_int_equal(bootmenu_extlinux_set("default x\nlabel x\nlabel l1\n", label, &moved), 1);
    assert_string_equal(moved.data, "default l1\nlabel x\nlabel l1\n");
    assert_true(bootmenu_entry_is("title x\nlinux /token/6.1-1/linux\n", &one));
    assert_true(bootmenu_entry_is("version 6.1-1\nlinux /a\n", &one));
    assert_false(bootmenu_entry_is("version 6.1-10\nlinux /vmlinuz-10\n", &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_consoles),
        cmocka_unit_test(test_environment_block_keeps_its_size),
        cmocka_unit_test(test_entries_of_grub),
        cmocka_unit_test(test_entries_of_other_loaders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* fstab lines, kernel command lines, network configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/bootline.h"
#include "morph/fstab.h"
#include "morph/netstyle.h"

static const char fstab[] = "# comment /dev/sda1\n"
                            "/dev/sda1 \t/  ext4\terrors=remount-ro 0 1\n"
                            "\n"
                            "   UUID=x none swap sw 0 0  # tail\r\n"
                            "/dev/sdb1 /data";

static void test_fstab_keeps_every_other_byte(void **state)
{
    _cleanup_buffer_ struct buffer same = {0}, changed = {0};
    const char *cursor = fstab;
    struct fstab_line line;
    size_t fields = 0;

    while (fstab_next(&cursor, &line)) {
        _cleanup_free_ char *device = fstab_field(&line, 0);

        fstab_copy(&same, &line, 0, NULL, cursor);
        fstab_copy(&changed, &line, 0, str_starts(device, "/dev/") ? "U" : NULL, cursor);
        fields += line.fields;
    }
    assert_string_equal(same.data, fstab);
    assert_string_equal(changed.data, "# comment /dev/sda1\n"
                                      "U \t/  ext4\terrors=remount-ro 0 1\n"
                                      "\n"
                                      "   UUID=x none swap sw 0 0  # tail\r\n"
                                      "U /data");
    assert_int_equal(fields, 6 + 6 + 2);
}

static char *replace(void *context, const char *key, const char *device)
{
    return strcmp(device, "/dev/sda1") == 0 ? str_dup("UUID=u") : NULL;
}

static void test_command_lines(void **state)
{
    static const char text[] =
        "set root='hd0,msdos1'\n"
        "# linux root=/dev/sda1\n"
        "\tlinux\t/vmlinuz root=/dev/sda1 ro resume=/dev/sda1,x console=ttyS0,115200\n"
        "linuxefi /v root=/dev/sda1\n"
        "linuxlike root=/dev/sda1\n"
        "linux /v noroot=/dev/sda1 root=/dev/sdb1 root=UUID=1";
    _cleanup_buffer_ struct buffer out = {0};

    assert_int_equal(bootline_rewrite(BOOTLINE_GRUB, text, &out, replace, NULL), 2);
    assert_string_equal(out.data,
                        "set root='hd0,msdos1'\n"
                        "# linux root=/dev/sda1\n"
                        "\tlinux\t/vmlinuz root=UUID=u ro resume=/dev/sda1,x console=ttyS0,115200\n"
                        "linuxefi /v root=UUID=u\n"
                        "linuxlike root=/dev/sda1\n"
                        "linux /v noroot=/dev/sda1 root=/dev/sdb1 root=UUID=1");
    assert_true(bootline_has_word(BOOTLINE_GRUB, text, "console=ttyS0"));
    assert_true(bootline_has_word(BOOTLINE_GRUB, text, "ro"));
    assert_false(bootline_has_word(BOOTLINE_GRUB, text, "console=ttyS"));
    assert_false(bootline_has_word(BOOTLINE_GRUB, "set x=console=ttyS0\n", "console=ttyS0"));
}

static const char interfaces[] = "auto lo\n"
                                 "iface lo inet loopback\n"
                                 "auto ens192\n"
                                 "iface ens192 inet static\n"
                                 "    address 10.0.0.2/24\n"
                                 "    hwaddress ether 00:50:56:AA:BB:CC\n"
                                 "iface ens192 inet6 auto\n"
                                 "iface ens224.10 inet manual\n"
                                 "iface br0 inet dhcp\n"
                                 "    bridge_ports ens256 ens161\n"
                                 "iface bond0 inet manual\n"
                                 "    bond-slaves none\n"
                                 "iface ../../etc inet manual\n"
                                 "iface averyveryverylongname inet manual\n";

static const struct netname *name_of(const struct netconfig *c, const char *name)
{
    return netconfig_find(c, name);
}

static void read_style(const struct netstyle *style, struct netconfig *c, const char *text)
{
    style->read(c, "x", text);
}

static void test_network_files(void **state)
{
    struct netconfig *c = mem_new(1, sizeof(*c));

    read_style(&netstyle_interfaces, c, interfaces);
    assert_string_equal(name_of(c, "ens192")->mac, "00:50:56:aa:bb:cc");
    assert_int_equal(name_of(c, "ens224")->kind, NET_CARD);
    assert_int_equal(name_of(c, "br0")->kind, NET_BRIDGE);
    assert_int_equal(name_of(c, "bond0")->kind, NET_BRIDGE);
    assert_non_null(name_of(c, "ens256"));
    assert_non_null(name_of(c, "ens161"));
    assert_null(name_of(c, "lo"));
    assert_int_equal(c->count, 6);
    read_style(&netstyle_rules, c,
               "# a comment\nACTION==\"add\", ATTR{address}==\"00:50:56:00:00:01\", "
               "ATTR{type}==\"1\", NAME=\"eth5\"\n");
    assert_true(name_of(c, "eth5")->pins);
    assert_string_equal(name_of(c, "eth5")->mac, "00:50:56:00:00:01");
    read_style(&netstyle_link, c, "[Match]\nMACAddress = 00-50-56-00-00-02\n[Link]\nName=lan0\n");
    assert_true(name_of(c, "lan0")->pins);
    assert_string_equal(name_of(c, "lan0")->mac, "00:50:56:00:00:02");
    read_style(&netstyle_link, c,
               "[Match]\nDriver=x\n[Link]\nName=lan1\n[Match]\nMACAddress=bad\n");
    assert_false(name_of(c, "lan1")->pins);
    read_style(&netstyle_network, c, "[Match]\nName=en*\n[Network]\nDHCP=yes\n");
    read_style(&netstyle_network, c, "[Match]\nName=ens5\n");
    assert_non_null(name_of(c, "ens5"));
    read_style(&netstyle_keyfile, c, "[connection]\ntype=ethernet\ninterface-name=ens7\n"
                              "[ethernet]\nmac-address=00:50:56:00:00:07\n");
    assert_string_equal(name_of(c, "ens7")->mac, "00:50:56:00:00:07");
    read_style(&netstyle_keyfile, c, "[connection]\ntype=wifi\ninterface-name=wlan0\n");
    assert_int_equal(name_of(c, "wlan0")->kind, NET_OTHER);
    assert_int_equal(c->count, 12);
    free(c);
}

static void parse_all(const char *text, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0}, copy = {0};
    struct netconfig *c = mem_new(1, sizeof(*c));
    const char *cursor = text;
    struct fstab_line line;

    if (memchr(text, '\0', length)) {
        free(c);
        return; /* tree_text() does not let these through */
    }
    while (fstab_next(&cursor, &line))
        fstab_copy(&out, &line, 0, NULL, cursor);
    if (length > 0)
        assert_string_equal(out.data, text);
    bootline_rewrite(BOOTLINE_GRUB, text, &copy, replace, NULL);
    bootline_has_word(BOOTLINE_GRUB, text, "console=ttyS0");
    read_style(&netstyle_interfaces, c, text);
    read_style(&netstyle_rules, c, text);
    read_style(&netstyle_link, c, text);
    read_style(&netstyle_network, c, text);
    read_style(&netstyle_keyfile, c, text);
    for (size_t i = 0; i < c->count; i++)
        assert_true(c->items[i].kind == NET_LABEL ||
                    netname_is_valid(c->items[i].name, strlen(c->items[i].name)));
    free(c);
}

static void test_damaged_text_is_harmless(void **state)
{
    static const char grub[] = "\tlinux /v root=/dev/sda1 resume=/dev/sda1\n"
                               "GRUB_CMDLINE_LINUX=\"x\"\n"
                               "[Match]\nMACAddress=00:50:56:00:00:02\n[Link]\nName=lan0\n"
                               "ATTR{address}==\"00:50:56:00:00:01\", NAME=\"eth5\"\n";

    mutate(fstab, sizeof(fstab) - 1, 2000, parse_all);
    mutate(interfaces, sizeof(interfaces) - 1, 3000, parse_all);
    mutate(grub, sizeof(grub) - 1, 3000, parse_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fstab_keeps_every_other_byte),
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_network_files),
        cmocka_unit_test(test_damaged_text_is_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

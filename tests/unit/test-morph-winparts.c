/* SPDX-License-Identifier: Apache-2.0 */
/* The parts below the changes to Windows: addresses and scripts, driver trees, NTFS, paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/driverset.h"
#include "morph/drivertable.h"
#include "morph/ntfs.h"
#include "morph/plan.h"
#include "morph/winnet.h"
#include "morph/winpath.h"
#include "phony-windows.h"

#define CS "ControlSet002\\"
#define CARD_2 "{BBBBBBBB-0000-0000-0000-000000000002}"
#define E1000 "PCI\\VEN_8086&DEV_100F&SUBSYS_075015AD&REV_01\\4&b70f118&0&1088"

static char *drivers;

static void test_addresses(void **state)
{
    static const char *const bad[] = {"",         "1.2.3",      "1.2.3.256", "1.2.3.4 ",
                                      "1.2.3.4'", "1..3.4",     "-1.2.3.4",  "1.2.3.4.5",
                                      "a.b.c.d",  "1.2.3.0004", "1.2.3.4\n"};
    char ip[WINNET_IPV4], mac[18];

    assert_true(winnet_ipv4("010.020.3.255", ip));
    assert_string_equal(ip, "10.20.3.255");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(winnet_ipv4(bad[i], ip));
    assert_true(winnet_instance_mac("PCI\\VEN_15AD&DEV_07B0\\005056FFFF8A5EC300", mac));
    assert_string_equal(mac, "00:50:56:8a:5e:c3");
    assert_false(winnet_instance_mac(E1000, mac));
    assert_false(winnet_instance_mac("PCI\\X\\005056FFFF8A5EC3", mac));
    assert_false(winnet_instance_mac("PCI\\X\\0050'6FFFF8A5EC300", mac));
}

/* The plan's script of the first boot for the cards; "(none)" when it has none. */
static const char *network_script(struct phony *p, bool *ret_warned)
{
    struct plan plan;

    p->request.virtio_win = drivers;
    phony_write(p);
    phony_plan(p, &plan);
    fake_apply(&p->tree, &plan);
    *ret_warned = false;
    for (size_t i = 0; i < plan.note_count; i++)
        *ret_warned |= plan.notes[i].warning;
    plan_done(&plan);
    return phony_text(p,
                      p->upper ? "/WINDOWS/Slipway/network.vbs" : "/Windows/Slipway/network.ps1");
}

static void test_static_address_by_mac(void **state)
{
    struct phony p;
    bool warned;
    const char *script;

    phony_make(&p, &phony_2019);
    script = network_script(&p, &warned);
    assert_non_null(strstr(script, "\r\nSet-Card '00:50:56:8a:5e:c3' @('10.20.0.7') "
                                   "@('255.255.252.0') @('10.20.0.1') "
                                   "@('10.20.0.53', '10.20.0.54') 'example.net'\r\n"));
    assert_false(warned);
    phony_done(&p);
    phony_make(&p, &phony_2003);
    script = network_script(&p, &warned);
    assert_non_null(strstr(script, "\r\nSetCard \"00:50:56:8a:5e:c3\", Array(\"10.20.0.7\"), "
                                   "Array(\"255.255.252.0\"), Array(\"10.20.0.1\"), Array(1), "
                                   "Array(\"10.20.0.53\", \"10.20.0.54\"), \"example.net\"\r\n"));
    phony_done(&p);
}

static void test_dhcp_needs_nothing(void **state)
{
    static const char key[] =
        CS "Services\\Tcpip\\Parameters\\Interfaces\\{AAAAAAAA-0000-0000-0000-000000000001}";
    struct phony p;
    bool warned;

    phony_make(&p, &phony_10);
    hive_set_number(p.system, key, "EnableDHCP", 1, NULL);
    assert_non_null(strstr(network_script(&p, &warned), " @() @() @() @('10.20.0.53', "));
    phony_done(&p);
    phony_make(&p, &phony_10);
    hive_set_number(p.system, key, "EnableDHCP", 1, NULL);
    hive_set_text(p.system, key, "NameServer", HIVE_TEXT, "", NULL);
    assert_string_equal(network_script(&p, &warned), "(none)");
    assert_false(warned);
    phony_done(&p);
}

/* What the guest has put into its registry does not get into a script. */
static void test_odd_values_stay_out(void **state)
{
    static const char key[] =
        CS "Services\\Tcpip\\Parameters\\Interfaces\\{AAAAAAAA-0000-0000-0000-000000000001}";
    struct phony p;
    bool warned;
    const char *script;

    phony_make(&p, &phony_2019);
    hive_set_text(p.system, key, "DefaultGateway", HIVE_TEXTS, "10.0.0.1'); evil", NULL);
    hive_set_text(p.system, key, "NameServer", HIVE_TEXT, "1.1.1.1,'evil',8.8.8.8", NULL);
    hive_set_text(p.system, key, "Domain", HIVE_TEXT, "a'; evil", NULL);
    script = network_script(&p, &warned);
    assert_null(strstr(script, "evil"));
    assert_non_null(strstr(script, "@('255.255.252.0') @() @('1.1.1.1', '8.8.8.8') ''"));
    phony_done(&p);
    phony_make(&p, &phony_2019);
    hive_set_text(p.system, key, "SubnetMask", HIVE_TEXTS, "255.0.255.0", NULL);
    hive_set_text(p.system, key, "NameServer", HIVE_TEXT, "", NULL);
    assert_string_equal(network_script(&p, &warned), "(none)");
    phony_done(&p);
}

static void test_cards_that_nothing_tells_apart(void **state)
{
    struct phony p;
    bool warned;
    const char *script;

    /* One card is known by its address, the other one is what is left. */
    phony_make(&p, &phony_2019);
    phony_add_card(&p, "0001", CARD_2, E1000, "10.20.0.8");
    p.request.nic_count = 2;
    strcpy(p.nics[1].mac, "00:50:56:8a:00:02");
    script = network_script(&p, &warned);
    assert_non_null(strstr(script, "'00:50:56:8a:5e:c3' @('10.20.0.7')"));
    assert_non_null(strstr(script, "'00:50:56:8a:00:02' @('10.20.0.8')"));
    assert_false(warned);
    phony_done(&p);
    /* Three cards of the VM for two configurations: nobody knows. */
    phony_make(&p, &phony_2019);
    phony_add_card(&p, "0001", CARD_2, E1000, "10.20.0.8");
    p.request.nic_count = 3;
    strcpy(p.nics[1].mac, "00:50:56:8a:00:02");
    strcpy(p.nics[2].mac, "00:50:56:8a:00:03");
    script = network_script(&p, &warned);
    assert_null(strstr(script, "10.20.0.8"));
    assert_true(warned);
    phony_done(&p);
    /* The caller knows the connection's name. */
    phony_make(&p, &phony_2019);
    phony_add_card(&p, "0001", CARD_2, E1000, "10.20.0.8");
    p.request.nic_count = 3;
    strcpy(p.nics[1].mac, "00:50:56:8a:00:02");
    strcpy(p.nics[2].mac, "00:50:56:8a:00:03");
    p.nics[2].name = (char *)"Ethernet1";
    script = network_script(&p, &warned);
    assert_non_null(strstr(script, "'00:50:56:8a:00:03' @('10.20.0.8')"));
    assert_false(warned);
    phony_done(&p);
}

static void test_recorded_macs(void **state)
{
    static const char class[] = CS "Control\\Class\\{4D36E972-E325-11CE-BFC1-08002BE10318}\\0001";
    struct phony p;
    struct windows *w;
    struct winnet *net = mem_new(1, sizeof(*net));

    phony_make(&p, &phony_10);
    phony_add_card(&p, "0001", CARD_2, E1000, "10.20.0.8");
    hive_set(p.system, CS "Control\\NetworkSetup2\\Interfaces\\" CARD_2 "\\Kernel",
             "PermanentAddress", HIVE_BINARY, "\x00\x50\x56\x01\x02\x03", 6, NULL);
    phony_write(&p);
    w = phony_read(&p);
    winnet_read(w, net);
    assert_int_equal(net->count, 2);
    assert_string_equal(net->cards[1].mac, "00:50:56:01:02:03");
    assert_string_equal(net->cards[1].connection, "Ethernet1");
    hive_set_text(w->system, class, "NetworkAddress", HIVE_TEXT, "02-50-56-0A-0B-0C", NULL);
    winnet_read(w, net);
    assert_string_equal(net->cards[1].mac, "02:50:56:0a:0b:0c");
    hive_set_number(w->system, class, "Characteristics", 0x1, NULL); /* a virtual one */
    winnet_read(w, net);
    assert_int_equal(net->count, 1);
    hive_set_text(w->system, class, "NetCfgInstanceId", HIVE_TEXT, "..\\..\\Select", NULL);
    winnet_read(w, net);
    assert_int_equal(net->count, 1);
    windows_free(w);
    free(net);
    phony_done(&p);
}

static void test_driver_paths(void **state)
{
    static const struct {
        const char *path, *driver;
        unsigned rank;
    } rows[] = {
        {"NetKVM/2k19/amd64/netkvm.sys", "netkvm", 0},
        {"NetKVM/2K16/AMD64/NETKVMCO.EXE", "netkvm", 1},
        {"./drivers/by-os/amd64/2k19/viostor.inf", "viostor", 0},
        {"Balloon/2k19/amd64/WdfCoInstaller01011.dll", "wdfcoinstaller", 0},
        {"guest-agent/qemu-ga-x86_64.msi", DRIVER_AGENT, 0},
        {"NetKVM/2k19/x86/netkvm.sys", NULL, 0},
        {"NetKVM/2k22/amd64/netkvm.sys", NULL, 0},
        {"NetKVM/2k19/amd64/netkvm.pdb", NULL, 0},
        {"NetKVM/2k19/amd64/sriov/netkvm.sys", NULL, 0},
        {"viogpudo/2k19/amd64/viogpudo.sys", NULL, 0},
        {"viostor.sys", NULL, 0},
        {"", NULL, 0},
    };
    struct windows w = {
        .major = 10, .build = 17763, .is_server = true, .arch = WINDOWS_AMD64, .product = NULL};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct drivermatch match = {0};
        bool fits = drivertable_match(rows[i].path, &w, &match);

        assert_int_equal(fits, rows[i].driver != NULL);
        if (fits)
            assert_string_equal(match.driver, rows[i].driver);
        assert_int_equal(match.rank, rows[i].rank);
    }
}

/* Each row of the table leads somewhere for every version of Windows there is. */
static void test_every_version_has_a_directory(void **state)
{
    static const struct {
        unsigned major, minor, build;
        bool server;
        const char *system;
    } rows[] = {
        {5, 1, 2600, false, "xp"},    {5, 2, 3790, true, "2k3"},    {6, 0, 6002, false, "vista"},
        {6, 0, 6003, true, "2k8"},    {6, 1, 7601, false, "w7"},    {6, 1, 7601, true, "2k8r2"},
        {6, 2, 9200, false, "w8"},    {6, 2, 9200, true, "2k12"},   {6, 3, 9600, false, "w8.1"},
        {6, 3, 9600, true, "2k12r2"}, {10, 0, 19045, false, "w10"}, {10, 0, 14393, true, "2k16"},
        {10, 0, 17763, true, "2k19"}, {10, 0, 20348, true, "2k22"}, {10, 0, 26100, true, "2k25"},
        {10, 0, 22000, false, "w11"}, {10, 0, 26200, false, "w11"}, {10, 0, 18363, true, "2k19"},
        {10, 0, 99999, true, "2k25"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct windows w = {.major = rows[i].major,
                            .minor = rows[i].minor,
                            .build = rows[i].build,
                            .is_server = rows[i].server};

        assert_string_equal(drivertable_system(&w), rows[i].system);
    }
}

static void add_to_iso(struct archive *a, struct archive_entry *entry, const char *path,
                       const char *text)
{
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (int64_t)strlen(text));
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, text, strlen(text)), strlen(text));
}

static char *make_iso(void)
{
    char *path = str_format("%s/test.iso", drivers);
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();

    assert_int_equal(archive_write_set_format_iso9660(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    add_to_iso(a, entry, "viostor/2k16/amd64/viostor.sys", "less fitting");
    add_to_iso(a, entry, "viostor/2k19/amd64/viostor.sys", "right");
    add_to_iso(a, entry, "viostor/w10/amd64/viostor.sys", "still less");
    add_to_iso(a, entry, "NetKVM/2k19/amd64/netkvm.inf", "net");
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(a);
    return path;
}

static void test_drivers_from_an_iso(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *iso = make_iso();
    struct windows w = {.major = 10, .build = 17763, .is_server = true, .arch = WINDOWS_AMD64};
    struct driver_set set = {0};

    if (driverset_load(iso, &w, &set, &err) < 0)
        fail_msg("%s", error_text(err));
    assert_int_equal(set.count, 2);
    assert_string_equal(set.items[0].name, "netkvm.inf");
    assert_string_equal(set.items[1].data, "right");
    driverset_done(&set);
    assert_int_equal(truncate(iso, 40000), 0);
    assert_true(driverset_load(iso, &w, &set, &err) < 0);
    assert_non_null(strstr(error_text(err), "test.iso"));
    err = error_free(err);
    assert_int_equal(fdio_replace_file(iso, "no iso", 6, 0644), 0);
    assert_true(driverset_load(iso, &w, &set, &err) < 0);
    err = error_free(err);
    assert_int_equal(unlink(iso), 0);
    assert_int_equal(driverset_load(iso, &w, &set, &err), -ENOENT);
}

/* A record of $Volume with these flags. */
static void make_record(unsigned char record[static 1024], unsigned char flags)
{
    memset(record, 0, 1024);
    memcpy(record, "FILE", 4);
    record[4] = 48; /* the array of sector ends */
    record[6] = 3;
    record[48] = 7;
    record[510] = record[1022] = 7;
    record[20] = 56;
    record[56] = 0x10; /* an attribute before */
    record[60] = 24;
    record[80] = 0x70;
    record[84] = 40;
    record[96] = 12;
    record[100] = 24;
    record[114] = flags;
    memset(record + 120, 0xff, 4);
}

static void test_ntfs(void **state)
{
    unsigned char sector[NTFS_SECTOR] = {0}, record[1024];
    struct ntfs ntfs;
    uint16_t flags;

    assert_int_equal(ntfs_read_boot(sector, &ntfs), NTFS_NOT);
    memcpy(sector + 3, "-FVE-FS-", 8);
    assert_int_equal(ntfs_read_boot(sector, &ntfs), NTFS_BITLOCKER);
    memcpy(sector + 3, "NTFS    ", 8);
    assert_int_equal(ntfs_read_boot(sector, &ntfs), NTFS_NOT); /* all sizes are 0 */
    sector[12] = 2;                                            /* 512 */
    sector[13] = 8;
    sector[48] = 4;
    sector[64] = 0xf6; /* 2^10 */
    assert_int_equal(ntfs_read_boot(sector, &ntfs), NTFS_PLAIN);
    assert_int_equal(ntfs.record_size, 1024);
    assert_int_equal(ntfs.volume_record, 4 * 4096 + 3 * 1024);
    memset(sector + 48, 0xff, 8);
    assert_int_equal(ntfs_read_boot(sector, &ntfs), NTFS_NOT);

    make_record(record, 0);
    assert_true(ntfs_read_flags(record, sizeof(record), &flags));
    assert_int_equal(flags, 0);
    make_record(record, NTFS_FLAG_DIRTY);
    assert_true(ntfs_read_flags(record, sizeof(record), &flags));
    assert_int_equal(flags, NTFS_FLAG_DIRTY);
    make_record(record, 0);
    record[510] = 8; /* a torn write */
    assert_false(ntfs_read_flags(record, sizeof(record), &flags));
    assert_true(ntfs_is_hibernated("hibr"));
    assert_true(ntfs_is_hibernated("HIBR"));
    assert_false(ntfs_is_hibernated("wake"));
    assert_false(ntfs_is_hibernated("\0\0\0"));
}

static void parse_ntfs(const char *bytes, size_t length)
{
    unsigned char *copy = mem_new(length ? length : 1, 1);
    unsigned char sector[NTFS_SECTOR] = {0};
    struct ntfs ntfs;
    uint16_t flags;

    memcpy(copy, bytes, length);
    memcpy(sector, bytes, MIN(length, sizeof(sector)));
    ntfs_read_boot(sector, &ntfs);
    ntfs_read_flags(copy, length, &flags);
    free(copy);
}

static void test_ntfs_damage(void **state)
{
    unsigned char record[1024];

    make_record(record, 1);
    mutate((const char *)record, sizeof(record), 50000, parse_ntfs);
}

static void test_paths(void **state)
{
    struct fake_tree fake = {0};
    struct tree tree = fake_tree(&fake);
    char *path;

    fake_text(&fake, "/WINDOWS/system32/Config/SOFTWARE", "x");
    fake_text(&fake, "/windows.old/system32", "x");
    path = winpath_find(&tree, "/Windows/System32/config/software");
    assert_string_equal(path, "/WINDOWS/system32/Config/SOFTWARE");
    free(path);
    assert_null(winpath_find(&tree, "/Windows/System32/drivers"));
    path = winpath_resolve(&tree, "/windows/SYSTEM32/Drivers/viostor.sys");
    assert_string_equal(path, "/WINDOWS/system32/Drivers/viostor.sys");
    free(path);
    path = winpath_resolve(&tree, "/New/File");
    assert_string_equal(path, "/New/File");
    free(path);
    fake_done(&fake);
}

static int group_set_up(void **state)
{
    drivers = phony_drivers();
    return 0;
}

static int group_tear_down(void **state)
{
    phony_remove(drivers);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_static_address_by_mac),
        cmocka_unit_test(test_dhcp_needs_nothing),
        cmocka_unit_test(test_odd_values_stay_out),
        cmocka_unit_test(test_cards_that_nothing_tells_apart),
        cmocka_unit_test(test_recorded_macs),
        cmocka_unit_test(test_driver_paths),
        cmocka_unit_test(test_every_version_has_a_directory),
        cmocka_unit_test(test_drivers_from_an_iso),
        cmocka_unit_test(test_ntfs),
        cmocka_unit_test(test_ntfs_damage),
        cmocka_unit_test(test_paths),
    };

    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}

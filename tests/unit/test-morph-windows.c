/* SPDX-License-Identifier: Apache-2.0 */
/* Windows guests in memory: what is recognised, what is changed, and that a second plan is empty.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/delegate.h"
#include "morph/driverset.h"
#include "morph/drivertable.h"
#include "morph/plan.h"
#include "morph/hints.h"
#include "morph/inspect.h"
#include "morph/roots.h"
#include "morph/sha256.h"
#include "morph/windows-engine.h"
#include "phony-windows.h"

#define CS "ControlSet002\\"
#define SLIPWAY "/Windows/Slipway/"

static char *drivers;

static uint32_t number_of(struct hive *hive, const char *key, const char *value)
{
    uint32_t number = 0xffffffff;

    hive_number(hive, key, value, &number);
    return number;
}

static void assert_value(struct hive *hive, const char *key, const char *value, const char *text)
{
    _cleanup_free_ char *found = hive_text(hive, key, value);

    assert_non_null(found);
    assert_string_equal(found, text);
}

static void test_versions(void **state)
{
    static const struct {
        const struct phony_version *version;
        const char *product, *number, *system, *arch;
        bool server;
    } rows[] = {
        {&phony_2003, "Microsoft Windows Server 2003 R2", "5.2.3790", "2k3", "x86", true},
        {&phony_7, "Windows 7 Professional", "6.1.7601", "w7", "amd64", false},
        {&phony_10, "Windows 10 Pro", "10.0.19045", "w10", "amd64", false},
        {&phony_2019, "Windows Server 2019 Standard", "10.0.17763", "2k19", "amd64", true},
        {&phony_11, "Windows 11 Pro", "10.0.22631", "w11", "amd64", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct phony p;
        struct windows *w;

        phony_make(&p, rows[i].version);
        w = phony_read(&p);
        assert_string_equal(drivertable_system(w), rows[i].system);
        assert_string_equal(windows_arch_name(w->arch), rows[i].arch);
        assert_int_equal(w->is_server, rows[i].server);
        assert_string_equal(w->control_set, "ControlSet002");
        windows_tell(w, &p.facts);
        assert_string_equal(p.facts.os.pretty, rows[i].product);
        assert_string_equal(p.facts.os.version, rows[i].number);
        assert_true(facts_is_windows(&p.facts));
        phony_done(&p);
    }
}

static void test_hints(void **state)
{
    struct phony p;
    struct plan plan;
    struct hints hints;

    phony_make(&p, &phony_11);
    p.request.virtio_win = drivers;
    volume_add(&p.facts.volumes, "/dev/sda1", 0, 1)->esp = true;
    hive_set_number(p.system, CS "Control\\TimeZoneInformation", "RealTimeIsUniversal", 1, NULL);
    phony_write(&p);
    phony_plan(&p, &plan);
    hints_make(&p.facts, &plan, &hints);
    assert_string_equal(hints.firmware, "uefi");
    assert_string_equal(hints.clock, "utc");
    assert_string_equal(hints.disk_bus, "virtio");
    assert_string_equal(hints.nic_model, "virtio");
    assert_string_equal(hints.osinfo, "http://microsoft.com/win/11");
    assert_true(hints.tpm);
    hints_done(&hints);
    plan_done(&plan);
    phony_done(&p);
    phony_make(&p, &phony_2003);
    p.request.virtio_win = drivers;
    phony_plan(&p, &plan);
    hints_make(&p.facts, &plan, &hints);
    assert_string_equal(hints.firmware, "bios");
    assert_string_equal(hints.clock, "localtime");
    assert_string_equal(hints.machine, "pc");
    assert_string_equal(hints.osinfo, "http://microsoft.com/win/2k3");
    hints_done(&hints);
    plan_done(&plan);
    phony_done(&p);
}

static void refused(struct phony *p, int code, const char *words)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *root = windows_find_root(&p->facts.tree);
    struct windows *w = NULL;

    phony_write(p);
    assert_int_equal(windows_read(&p->facts.tree, root, &w, &err), -code);
    if (!strstr(error_text(err), words))
        fail_msg("'%s' is not in: %s", words, error_text(err));
}

static void test_what_is_not_known(void **state)
{
    struct phony p;

    phony_make(&p, &phony_7);
    hive_set_text(p.software, "Microsoft\\Windows NT\\CurrentVersion", "CurrentVersion", HIVE_TEXT,
                  "5.0", NULL);
    refused(&p, ENOTSUP, "version 5.0");
    hive_set_text(p.software, "Microsoft\\Windows NT\\CurrentVersion", "CurrentVersion", HIVE_TEXT,
                  "6.1", NULL);
    hive_set_text(p.system, CS "Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE",
                  HIVE_TEXT, "IA64", NULL);
    refused(&p, ENOTSUP, "IA64");
    hive_set_number(p.system, "Select", "Current", 7, NULL);
    refused(&p, EBADMSG, "ControlSet007");
    phony_done(&p);
}

/* Without the variable the header of a program tells. */
static void test_arch_by_program(void **state)
{
    static const unsigned char program[] = {'M', 'Z', [60] = 64, [64] = 'P', 'E', 0, 0, 0x64, 0x86};
    struct phony p;
    struct windows *w;

    phony_make(&p, &phony_10);
    hive_set_number(p.system, CS "Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE",
                    1, NULL);
    refused(&p, ENOTSUP, "unknown");
    fake_put(&p.tree, "/Windows/System32/CMD.exe", program, sizeof(program));
    w = phony_read(&p);
    assert_int_equal(w->arch, WINDOWS_AMD64);
    windows_free(w);
    phony_done(&p);
}

static void check_services(struct windows *w)
{
    static const char key[] = CS "Services\\viostor";

    assert_int_equal(number_of(w->system, key, "Start"), 0);
    assert_int_equal(number_of(w->system, key, "Type"), 1);
    assert_int_equal(number_of(w->system, key, "ErrorControl"), 1);
    assert_value(w->system, key, "Group", "SCSI miniport");
    assert_value(w->system, key, "ImagePath", "system32\\drivers\\viostor.sys");
    assert_int_equal(number_of(w->system, CS "Services\\viostor\\Parameters\\PnpInterface", "5"),
                     1);
    assert_int_equal(number_of(w->system, CS "Services\\VMTools", "Start"), 4);
    assert_int_equal(number_of(w->system, CS "Services\\vmicheartbeat", "Start"), 3);
    assert_int_equal(number_of(w->system, CS "Services\\SlipwayFirstBoot", "Start"), 2);
}

static void test_windows_of_today(void **state)
{
    static const char descriptor[] =
        "DriverDatabase\\DriverPackages\\slipway-viostor.inf_amd64_0000000000000000\\Descriptors\\"
        "PCI\\VEN_1AF4&DEV_1042&REV_01";
    struct phony p;
    struct windows *w;
    const char *script;

    phony_make(&p, &phony_2019);
    p.request.virtio_win = drivers;
    assert_true(phony_morph(&p) > 0);
    assert_true(p.facts.virtio_disk && p.facts.virtio_net && p.facts.guest_agent);
    w = phony_read(&p);
    check_services(w);
    assert_value(w->system, descriptor, "Configuration", "slipway_viostor");
    assert_false(hive_has_key(w->system, CS "Control\\CriticalDeviceDatabase"));
    assert_value(w->software, "Microsoft\\Windows\\CurrentVersion", "DevicePath",
                 "%SystemRoot%\\inf;%SystemRoot%\\Slipway\\drivers");
    windows_free(w);
    assert_string_equal(phony_text(&p, "/Windows/System32/drivers/viostor.sys"),
                        "viostor/2k19/amd64/viostor.sys");
    assert_string_equal(phony_text(&p, SLIPWAY "drivers/netkvm.inf"),
                        "NetKVM/2k19/amd64/netkvm.inf");
    assert_string_equal(phony_text(&p, SLIPWAY "drivers/netkvmco.exe"),
                        "NetKVM/2k19/amd64/NETKVMCO.EXE");
    assert_string_equal(phony_text(&p, SLIPWAY "qemu-ga.msi"), "guest-agent/qemu-ga-x86_64.msi");
    assert_null(fake_find(&p.tree, SLIPWAY "drivers/netkvmp.exe"));
    assert_null(fake_find(&p.tree, SLIPWAY "drivers/netkvm.pdb"));
    script = phony_text(&p, SLIPWAY "firstboot.cmd");
    assert_non_null(strstr(script, "pnputil.exe\" -i -a"));
    assert_non_null(strstr(script, "network.ps1"));
    assert_non_null(strstr(script, "msiexec.exe /i \"%here%\\qemu-ga.msi\""));
    assert_non_null(strstr(script, "/x {11111111-2222-3333-4444-55555555AAAA} /qn"));
    assert_null(strstr(script, "Other"));
    assert_int_equal(phony_morph(&p), 0);
    phony_done(&p);
}

static void test_all_versions_twice(void **state)
{
    static const struct phony_version *const versions[] = {&phony_2003, &phony_7, &phony_10,
                                                           &phony_2019, &phony_11};

    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        struct phony p;
        struct windows *w;

        phony_make(&p, versions[i]);
        p.request.virtio_win = drivers;
        assert_true(phony_morph(&p) > 0);
        w = phony_read(&p);
        check_services(w);
        windows_free(w);
        assert_true(p.facts.virtio_disk && p.facts.virtio_net);
        assert_int_equal(phony_morph(&p), 0);
        assert_true(p.facts.virtio_disk && p.facts.virtio_net);
        p.request.virtio_win = NULL; /* nor is anything lost when the drivers are not given again */
        if (!driverset_default())
            assert_int_equal(phony_morph(&p), 0);
        phony_done(&p);
    }
}

static void test_old_windows(void **state)
{
    struct phony p;
    struct windows *w;

    phony_make(&p, &phony_2003);
    p.request.virtio_win = drivers;
    assert_true(phony_morph(&p) > 0);
    w = phony_read(&p);
    assert_value(w->system,
                 CS "Control\\CriticalDeviceDatabase\\PCI#VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00",
                 "Service", "viostor");
    assert_false(hive_has_key(w->system, "DriverDatabase"));
    windows_free(w);
    assert_string_equal(phony_text(&p, "/WINDOWS/system32/drivers/viostor.sys"),
                        "viostor/2k3/x86/viostor.sys");
    assert_non_null(fake_find(&p.tree, "/WINDOWS/Slipway/network.vbs"));
    assert_null(strstr(phony_text(&p, "/WINDOWS/Slipway/firstboot.cmd"), "pnputil"));
    assert_null(strstr(phony_text(&p, "/WINDOWS/Slipway/firstboot.cmd"), "powershell"));
    phony_done(&p);
}

static void test_drivers_are_needed(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    struct phony p;
    struct plan plan = {0};

    if (driverset_default())
        skip();
    phony_make(&p, &phony_10);
    windows_tell(phony_read(&p), &p.facts);
    assert_int_equal(plan_make(&p.facts, &plan, &err), -ENOENT);
    assert_non_null(strstr(error_text(err), "--virtio-win"));
    phony_done(&p);
}

/* Drivers are there, but none for this system: SATA then, with a warning. */
static void test_no_driver_for_this_one(void **state)
{
    char *empty = phony_drivers();
    _cleanup_free_ char *path = str_format("%s/viostor", empty);
    struct phony p;
    struct plan plan;
    bool warned = false;

    fdio_remove_tree(path);
    phony_make(&p, &phony_11);
    hive_set_number(p.system, CS "Services\\storahci", "Start", 3, NULL);
    hive_set_number(p.system, CS "Services\\storahci\\StartOverride", "0", 3, NULL);
    phony_write(&p);
    p.request.virtio_win = empty;
    phony_plan(&p, &plan);
    assert_int_equal(number_of(p.facts.windows->system, CS "Services\\storahci", "Start"), 0);
    assert_int_equal(
        number_of(p.facts.windows->system, CS "Services\\storahci\\StartOverride", "0"), 0);
    assert_false(hive_has_key(p.facts.windows->system, CS "Services\\msahci"));
    assert_false(p.facts.virtio_disk);
    assert_true(p.facts.virtio_net);
    for (size_t i = 0; i < plan.note_count; i++)
        warned |= plan.notes[i].warning && strstr(plan.notes[i].text, "SATA");
    assert_true(warned);
    plan_done(&plan);
    phony_done(&p);
    phony_remove(empty);
}

/* A guest that has viostor of its own keeps it. */
static void test_own_driver_stays(void **state)
{
    struct phony p;

    phony_make(&p, &phony_10);
    hive_set_number(p.system, CS "Services\\viostor", "Start", 0, NULL);
    phony_write(&p);
    fake_text(&p.tree, "/Windows/System32/drivers/viostor.sys", "newer");
    p.request.virtio_win = drivers;
    phony_morph(&p);
    assert_string_equal(phony_text(&p, "/Windows/System32/drivers/viostor.sys"), "newer");
    assert_null(fake_find(&p.tree, SLIPWAY "drivers/viostor.inf"));
    assert_non_null(fake_find(&p.tree, SLIPWAY "drivers/netkvm.inf"));
    assert_true(p.facts.virtio_disk);
    assert_int_equal(phony_morph(&p), 0);
    phony_done(&p);
}

/* The first boot has deleted its service and left its mark. */
static void first_boot(struct phony *p)
{
    struct windows *w = phony_read(p);
    _cleanup_free_ char *data = NULL;
    size_t length;

    hive_set_number(w->system, CS "Services\\SlipwayFirstBoot", "Start", 4, NULL);
    assert_int_equal(hive_commit(w->system, &data, &length, NULL), 0);
    fake_put(&p->tree, "/Windows/System32/config/SYSTEM", data, length);
    windows_free(w);
    fake_text(&p->tree, SLIPWAY "first.try", "");
    fake_text(&p->tree, SLIPWAY "firstboot.done", "");
}

static void test_after_the_first_boot(void **state)
{
    struct phony p;
    struct windows *w;

    phony_make(&p, &phony_10);
    p.request.virtio_win = drivers;
    phony_morph(&p);
    first_boot(&p);
    assert_int_equal(phony_morph(&p), 0);
    strcpy(p.nics[0].mac, "00:50:56:8a:5e:c4"); /* another card: there is something to do again */
    hive_free(p.system);
    w = phony_read(&p);
    p.system = steal_ptr(w->system);
    windows_free(w);
    phony_add_card(&p, "0001", "{AAAAAAAA-0000-0000-0000-000000000002}",
                   "PCI\\VEN_15AD&DEV_07B0\\005056FFFF8A5EC400", "10.20.0.8");
    phony_write(&p);
    assert_true(phony_morph(&p) > 0);
    assert_null(fake_find(&p.tree, SLIPWAY "firstboot.done"));
    assert_null(fake_find(&p.tree, SLIPWAY "first.try"));
    w = phony_read(&p);
    check_services(w);
    windows_free(w);
    assert_int_equal(phony_morph(&p), 0);
    phony_done(&p);
}

static void test_scripts_and_dhcp(void **state)
{
    struct hostfile files[] = {
        {.name = (char *)"one.cmd", .data = (char *)"echo 1\r\n", .length = 8},
        {.name = (char *)"two.PS1", .data = (char *)"2", .length = 1}};
    _cleanup_error_ struct error *err = NULL;
    struct phony p;
    struct plan plan;
    const char *script;

    phony_make(&p, &phony_11);
    p.request.virtio_win = drivers;
    p.request.dhcp = true;
    p.request.script_firstboot = (struct hostfiles){files, 2};
    assert_true(phony_morph(&p) > 0);
    script = phony_text(&p, SLIPWAY "firstboot.cmd");
    assert_non_null(strstr(script, "call \"%here%\\scripts\\00-one.cmd\"\r\n"));
    assert_non_null(strstr(script, "-File \"%here%\\scripts\\01-two.PS1\"\r\n"));
    assert_string_equal(phony_text(&p, SLIPWAY "scripts/00-one.cmd"), "echo 1\r\n");
    assert_null(fake_find(&p.tree, SLIPWAY "network.ps1"));
    assert_int_equal(phony_morph(&p), 0);
    files[0].name = (char *)"a b.cmd";
    windows_free(p.facts.windows);
    os_done(&p.facts.os);
    windows_tell(phony_read(&p), &p.facts);
    assert_int_equal(plan_make(&p.facts, &plan, &err), -EINVAL);
    assert_non_null(strstr(error_text(err), "a b.cmd"));
    phony_done(&p);
}

/* virt-v2v-in-place has put the drivers there: only what it does not do is left. */
static void test_after_virt_v2v(void **state)
{
    struct phony p;
    struct windows *w;

    phony_make(&p, &phony_2019);
    p.request.virtio_win = drivers;
    hive_set_number(p.system, CS "Services\\viostor", "Start", 0, NULL);
    phony_write(&p);
    fake_text(&p.tree, "/Windows/System32/drivers/viostor.sys", "of virt-v2v");
    fake_text(&p.tree, "/Windows/Drivers/VirtIO/netkvm.inf", "of virt-v2v");
    assert_true(phony_morph(&p) > 0);
    assert_true(p.facts.virtio_disk && p.facts.virtio_net);
    assert_null(fake_find(&p.tree, SLIPWAY "drivers/netkvm.inf"));
    assert_non_null(fake_find(&p.tree, SLIPWAY "network.ps1"));
    assert_non_null(fake_find(&p.tree, SLIPWAY "qemu-ga.msi"));
    assert_null(strstr(phony_text(&p, SLIPWAY "firstboot.cmd"), "pnputil"));
    w = phony_read(&p);
    assert_false(hive_has_key(w->system, "DriverDatabase\\DeviceIds"));
    windows_free(w);
    assert_int_equal(phony_morph(&p), 0);
    phony_done(&p);
}

/* The report tells what it changed, with the hashes before and after. */
static void test_report_of_virt_v2v(void **state)
{
    char hash[EDIT_HASH];
    struct phony p;
    struct plan plan = {0};
    struct edit *e;

    phony_make(&p, &phony_2019);
    p.request.virtio_win = drivers;
    fake_text(&p.tree, "/Windows/Drivers/VirtIO/netkvm.inf", "n");
    fake_text(&p.tree, "/Program Files/Guestfs/Firstboot/scripts/1.bat", "s");
    windows_tell(phony_read(&p), &p.facts);
    p.facts.windows->by_v2v = true;
    p.facts.windows->v2v = p.facts.windows->hash;
    strcpy(p.facts.windows->v2v.system, "before");
    assert_int_equal(plan_make(&p.facts, &plan, NULL), 0);
    e = &plan.edits[0];
    assert_int_equal(e->kind, EDIT_DONE);
    assert_string_equal(e->path, "/Windows/System32/config/SYSTEM");
    assert_string_equal(e->before, "before");
    assert_string_equal(e->after, p.facts.windows->hash.system);
    sha256_hex("n", 1, NULL, 0, hash);
    assert_string_equal(plan.edits[1].path, "/Windows/Drivers/VirtIO/netkvm.inf");
    assert_string_equal(plan.edits[1].after, hash);
    assert_string_equal(plan.edits[2].path, "/Program Files/Guestfs/Firstboot/scripts/1.bat");
    assert_int_not_equal(plan.edits[3].kind, EDIT_DONE);
    plan_done(&plan);
    phony_done(&p);
}

static void test_boot_manager_of_uefi(void **state)
{
    struct phony p;
    struct plan plan;

    phony_make(&p, &phony_11);
    p.request.virtio_win = drivers;
    fake_text(&p.tree, "/Windows/Temp/EFI/MICROSOFT/Boot/bootmgfw.efi", "manager");
    windows_tell(phony_read(&p), &p.facts);
    p.facts.windows->esp = str_dup("/Windows/Temp");
    assert_int_equal(plan_make(&p.facts, &plan, NULL), 0);
    fake_apply(&p.tree, &plan);
    plan_done(&plan);
    assert_string_equal(phony_text(&p, "/Windows/Temp/EFI/Boot/bootx64.efi"), "manager");
    windows_free(p.facts.windows);
    os_done(&p.facts.os);
    fake_text(&p.tree, "/Windows/Temp/EFI/Boot/bootx64.efi", "another one, which stays");
    windows_tell(phony_read(&p), &p.facts);
    p.facts.windows->esp = str_dup("/Windows/Temp");
    assert_int_equal(plan_make(&p.facts, &plan, NULL), 0);
    assert_int_equal(plan.edit_count, 0);
    plan_done(&plan);
    phony_done(&p);
}

static void choose(struct phony *p, enum windows_engine engine, int result, bool by_v2v)
{
    _cleanup_error_ struct error *err = NULL;

    windows_free(p->facts.windows);
    os_done(&p->facts.os);
    windows_tell(phony_read(p), &p->facts);
    p->request.windows_engine = engine;
    assert_int_equal(windows_choose_engine(&p->facts, &err), result);
    assert_int_equal(p->facts.windows->by_v2v, by_v2v);
}

static void test_choice_of_the_engine(void **state)
{
    _cleanup_free_ char *program = str_format("%s/virt-v2v-in-place", drivers);
    _cleanup_free_ char *service = str_format("%s/rhsrvany.exe", drivers);
    _cleanup_free_ char *path = str_dup(getenv("PATH"));
    struct phony p;

    phony_make(&p, &phony_2019);
    p.request.virtio_win = drivers;
    setenv("PATH", drivers, 1);
    setenv("VIRT_TOOLS_DATA_DIR", drivers, 1);
    choose(&p, WINDOWS_ENGINE_AUTO, 0, false);
    choose(&p, WINDOWS_ENGINE_V2V, -ENOENT, false);
    assert_int_equal(fdio_replace_file(program, "", 0, 0755), 0);
    choose(&p, WINDOWS_ENGINE_AUTO, 0, false);
    assert_non_null(strstr(p.facts.windows->engine_why, "rhsrvany.exe"));
    assert_int_equal(fdio_replace_file(service, "", 0, 0644), 0);
    choose(&p, WINDOWS_ENGINE_AUTO, 0, true);
    choose(&p, WINDOWS_ENGINE_V2V, 0, true);
    choose(&p, WINDOWS_ENGINE_OWN, 0, false);
    hive_set_number(p.system, CS "Services\\viostor", "Start", 0, NULL);
    phony_write(&p);
    fake_text(&p.tree, "/Windows/System32/drivers/viostor.sys", "there");
    choose(&p, WINDOWS_ENGINE_V2V, 0, false); /* nothing is left for it */
    setenv("PATH", path, 1);
    unsetenv("VIRT_TOOLS_DATA_DIR");
    phony_done(&p);
}

static void test_what_virt_v2v_is_given(void **state)
{
    char *files[] = {(char *)"/a/disk", (char *)"/b&'<"};
    struct disk_spec disk = {.socket = (char *)"/run/x y.sock", .export_name = (char *)"vm/sda?"};
    _cleanup_buffer_ struct buffer xml = {0};
    char *text;

    delegate_write_xml(&xml, files, 2);
    assert_non_null(strstr(xml.data, "<source file='/a/disk'/><target dev='sda'"));
    assert_non_null(strstr(xml.data, "<source file='/b&#38;&#39;&#60;'/><target dev='sdb'"));
    text = delegate_uri(&disk);
    assert_string_equal(text, "nbd+unix:///vm/sda%3F?socket=/run/x%20y.sock");
    free(text);
    disk = (struct disk_spec){.host = (char *)"::1", .port = 10809, .export_name = (char *)""};
    text = delegate_uri(&disk);
    assert_string_equal(text, "nbd://[::1]:10809/");
    free(text);
    text =
        delegate_last_words("[ 0.0] Opening\nvirt-v2v: error: bad\tthing\nIf reporting bugs\n \n");
    assert_string_equal(text, "virt-v2v: error: bad thing");
    free(text);
    text = delegate_last_words("first\nlast");
    assert_string_equal(text, "last");
    free(text);
    text = delegate_last_words("\n");
    assert_string_equal(text, "");
    free(text);
}

/* Windows beside another system, and Windows that nobody can read. */
static void test_roots(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    struct phony p;
    struct root_list roots = {0};
    struct volume_list *volumes;
    const struct root *root;

    phony_make(&p, &phony_2003);
    volumes = &p.facts.volumes;
    str_replace(&volume_add(volumes, "/dev/sda1", 0, 1)->type, "ntfs");
    assert_int_equal(root_list_look(&roots, &p.facts.tree, &volumes->items[0], 0, NULL, NULL), 0);
    assert_int_equal(root_choose(&roots, volumes, NULL, NULL, 0, &root, NULL), 0);
    assert_string_equal(root->pretty, "Windows");
    str_replace(&volumes->items[0].type, "ext4");
    fake_text(&p.tree, "/etc/fstab", "");
    fake_text(&p.tree, "/etc/os-release", "PRETTY_NAME=Other\n");
    assert_int_equal(root_list_look(&roots, &p.facts.tree, &volumes->items[0], 0, NULL, NULL), 0);
    assert_int_equal(root_choose(&roots, volumes, NULL, NULL, 0, &root, &err), -ENOTUNIQ);
    assert_non_null(strstr(error_text(err), "/dev/sda1 (Windows), /dev/sda1 (Other)"));
    err = error_free(err);
    root_list_done(&roots);
    roots = (struct root_list){0};
    str_replace(&volumes->items[0].type, "BitLocker");
    assert_int_equal(root_choose(&roots, volumes, NULL, NULL, 0, &root, &err), -EACCES);
    assert_non_null(strstr(error_text(err), "/dev/sda1 is encrypted by BitLocker"));
    phony_done(&p);
}

static void parse_system(const char *bytes, size_t length)
{
    struct phony p;
    struct windows *w = NULL;
    struct plan plan;

    phony_make(&p, &phony_10);
    p.request.virtio_win = drivers;
    fake_put(&p.tree, "/Windows/System32/config/SYSTEM", bytes, length);
    if (windows_read(&p.facts.tree, "/Windows", &w, NULL) == 0) {
        windows_tell(w, &p.facts);
        if (plan_make(&p.facts, &plan, NULL) == 0)
            plan_done(&plan);
    }
    phony_done(&p);
}

static void test_random_damage(void **state)
{
    struct phony p;
    struct fake_file *f;

    phony_make(&p, &phony_10);
    f = fake_find(&p.tree, "/Windows/System32/config/SYSTEM");
    mutate(f->data, f->length, 300, parse_system);
    phony_done(&p);
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
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_arch_by_program),
        cmocka_unit_test(test_windows_of_today),
        cmocka_unit_test(test_all_versions_twice),
        cmocka_unit_test(test_old_windows),
        cmocka_unit_test(test_drivers_are_needed),
        cmocka_unit_test(test_no_driver_for_this_one),
        cmocka_unit_test(test_own_driver_stays),
        cmocka_unit_test(test_after_the_first_boot),
        cmocka_unit_test(test_scripts_and_dhcp),
        cmocka_unit_test(test_after_virt_v2v),
        cmocka_unit_test(test_boot_manager_of_uefi),
        cmocka_unit_test(test_report_of_virt_v2v),
        cmocka_unit_test(test_choice_of_the_engine),
        cmocka_unit_test(test_what_virt_v2v_is_given),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_random_damage),
    };

    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}

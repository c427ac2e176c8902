/* SPDX-License-Identifier: Apache-2.0 */
#include "phony-windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/inspect.h"
#include "morph/plan.h"

#define CS "ControlSet002\\"
#define NT "Microsoft\\Windows NT\\CurrentVersion"
#define CLASS CS "Control\\Class\\{4d36e972-e325-11ce-bfc1-08002be10318}\\"
#define INTERFACES CS "Services\\Tcpip\\Parameters\\Interfaces\\"

const struct phony_version phony_2003 = {.product = "Microsoft Windows Server 2003 R2",
                                         .version = "5.2",
                                         .build = "3790",
                                         .type = "ServerNT",
                                         .arch = "x86"};
const struct phony_version phony_7 = {.product = "Windows 7 Professional",
                                      .version = "6.1",
                                      .build = "7601",
                                      .type = "WinNT",
                                      .arch = "AMD64"};
const struct phony_version phony_10 = {.product = "Windows 10 Pro",
                                       .version = "6.3",
                                       .build = "19045",
                                       .type = "WinNT",
                                       .arch = "AMD64",
                                       .major = 10};
const struct phony_version phony_2019 = {.product = "Windows Server 2019 Standard",
                                         .version = "6.3",
                                         .build = "17763",
                                         .type = "ServerNT",
                                         .arch = "AMD64",
                                         .major = 10};
const struct phony_version phony_11 = {.product = "Windows 10 Pro",
                                       .version = "6.3",
                                       .build = "22631",
                                       .type = "WinNT",
                                       .arch = "AMD64",
                                       .major = 10};

static void text(struct hive *hive, const char *key, const char *value, const char *string)
{
    assert_true(hive_set_text(hive, key, value, HIVE_TEXT, string, NULL) >= 0);
}

static void number(struct hive *hive, const char *key, const char *value, uint32_t n)
{
    assert_true(hive_set_number(hive, key, value, n, NULL) >= 0);
}

static void fill_software(struct hive *h, const struct phony_version *v)
{
    text(h, NT, "ProductName", v->product);
    text(h, NT, "CurrentVersion", v->version);
    text(h, NT, "CurrentBuildNumber", v->build);
    if (v->major)
        number(h, NT, "CurrentMajorVersionNumber", v->major);
    hive_set_text(h, "Microsoft\\Windows\\CurrentVersion", "DevicePath", HIVE_EXPAND,
                  "%SystemRoot%\\inf", NULL);
    text(h, "Microsoft\\Windows\\CurrentVersion\\Uninstall\\{11111111-2222-3333-4444-55555555AAAA}",
         "DisplayName", "VMware Tools");
    text(h, "Microsoft\\Windows\\CurrentVersion\\Uninstall\\Other", "DisplayName", "VMware Tools");
}

static void fill_system(struct hive *h, const struct phony_version *v)
{
    number(h, "Select", "Current", 2);
    text(h, CS "Control\\ProductOptions", "ProductType", v->type);
    text(h, CS "Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE", v->arch);
    number(h, CS "Services\\VMTools", "Start", 2);
    number(h, CS "Services\\vmicheartbeat", "Start", 3);
    number(h, CS "Services\\disk", "Start", 0);
    if (v->major || strcmp(v->version, "6.2") >= 0)
        hive_make_key(h, "DriverDatabase\\DriverPackages", NULL);
}

void phony_add_card(struct phony *p, const char *at, const char *guid, const char *instance,
                    const char *ip)
{
    _cleanup_free_ char *driver = str_format(CLASS "%s", at);
    _cleanup_free_ char *tcp = str_format(INTERFACES "%s", guid);
    _cleanup_free_ char *connection = str_format(
        CS "Control\\Network\\{4D36E972-E325-11CE-BFC1-08002BE10318}\\%s\\Connection", guid);
    _cleanup_free_ char *name = str_format("Ethernet%d", atoi(at));

    text(p->system, driver, "NetCfgInstanceId", guid);
    text(p->system, driver, "DeviceInstanceID", instance);
    number(p->system, driver, "Characteristics", 0x84);
    text(p->system, connection, "Name", name);
    number(p->system, tcp, "EnableDHCP", 0);
    hive_set_text(p->system, tcp, "IPAddress", HIVE_TEXTS, ip, NULL);
    hive_set_text(p->system, tcp, "SubnetMask", HIVE_TEXTS, "255.255.252.0", NULL);
    hive_set_text(p->system, tcp, "DefaultGateway", HIVE_TEXTS, "10.20.0.1", NULL);
    text(p->system, tcp, "NameServer", "10.20.0.53,10.20.0.54");
    text(p->system, tcp, "Domain", "example.net");
}

static void put_hive(struct phony *p, struct hive *hive, const char *path)
{
    _cleanup_free_ char *data = NULL;
    size_t length;

    assert_int_equal(hive_commit(hive, &data, &length, NULL), 0);
    fake_put(&p->tree, path, data, length);
}

void phony_write(struct phony *p)
{
    put_hive(p, p->system,
             p->upper ? "/WINDOWS/system32/config/system" : "/Windows/System32/config/SYSTEM");
    put_hive(p, p->software,
             p->upper ? "/WINDOWS/system32/config/software" : "/Windows/System32/config/SOFTWARE");
}

void phony_make(struct phony *p, const struct phony_version *version)
{
    *p = (struct phony){.system = minihive_open("SYSTEM"), .software = minihive_open("SOFTWARE")};
    p->upper = version == &phony_2003;
    p->facts.tree = fake_tree(&p->tree);
    p->facts.request = &p->request;
    p->facts.volumes.disks = 1;
    p->request.nics = p->nics;
    p->request.nic_count = 1;
    strcpy(p->nics[0].mac, "00:50:56:8a:5e:c3");
    fill_software(p->software, version);
    fill_system(p->system, version);
    phony_add_card(p, "0000", "{AAAAAAAA-0000-0000-0000-000000000001}",
                   "PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD&REV_01\\005056FFFF8A5EC300",
                   "10.20.0.7");
    fake_text(&p->tree,
              p->upper ? "/WINDOWS/system32/drivers/disk.sys"
                       : "/Windows/System32/drivers/disk.sys",
              "phony");
    phony_write(p);
}

struct windows *phony_read(struct phony *p)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *root = windows_find_root(&p->facts.tree);
    struct windows *w = NULL;

    assert_non_null(root);
    if (windows_read(&p->facts.tree, root, &w, &err) < 0)
        fail_msg("%s", error_text(err));
    return w;
}

void phony_plan(struct phony *p, struct plan *ret_plan)
{
    _cleanup_error_ struct error *err = NULL;

    os_done(&p->facts.os);
    windows_free(p->facts.windows);
    windows_tell(phony_read(p), &p->facts);
    if (plan_make(&p->facts, ret_plan, &err) < 0)
        fail_msg("%s", error_text(err));
}

size_t phony_morph(struct phony *p)
{
    struct plan plan;
    size_t count;

    phony_plan(p, &plan);
    fake_apply(&p->tree, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

const char *phony_text(struct phony *p, const char *path)
{
    struct fake_file *f = fake_find(&p->tree, path);

    return f ? f->data : "(none)";
}

void phony_done(struct phony *p)
{
    hive_free(p->system);
    hive_free(p->software);
    facts_done(&p->facts);
    fake_done(&p->tree);
}

static void put_driver(const char *root, const char *path)
{
    _cleanup_free_ char *file = str_format("%s/%s", root, path);
    _cleanup_free_ char *directory = str_format("%.*s", (int)(strrchr(file, '/') - file), file);

    assert_int_equal(fdio_make_dirs(directory, 0755), 0);
    assert_int_equal(fdio_replace_file(file, path, strlen(path), 0644), 0);
}

char *phony_drivers(void)
{
    static const char *const systems[] = {"2k3/x86",   "2k3/amd64", "w7/amd64",   "w7/x86",
                                          "w10/amd64", "w10/ARM64", "2k19/amd64", "w11/amd64"};
    static const struct {
        const char *directory, *name;
    } drivers[] = {{"viostor", "viostor"},
                   {"NetKVM", "netkvm"},
                   {"Balloon", "balloon"},
                   {"vioserial", "vioser"}};
    static const char *const endings[] = {"sys", "inf", "cat", "pdb"};
    const char *temporary = getenv("TMPDIR");
    char *root = str_format("%s/virtio-win.XXXXXX", temporary ? temporary : P_tmpdir);

    assert_non_null(mkdtemp(root));
    for (size_t s = 0; s < ARRAY_SIZE(systems); s++) {
        for (size_t i = 0; i < ARRAY_SIZE(drivers) * ARRAY_SIZE(endings); i++) {
            _cleanup_free_ char *path = str_format("%s/%s/%s.%s", drivers[i / 4].directory,
                                                   systems[s], drivers[i / 4].name, endings[i % 4]);

            put_driver(root, path);
        }
    }
    put_driver(root, "vioscsi/w10/amd64/vioscsi.sys");
    put_driver(root, "vioscsi/w10/amd64/vioscsi.inf");
    put_driver(root, "NetKVM/2k19/amd64/sriov/netkvmp.exe");
    put_driver(root, "NetKVM/2k19/amd64/NETKVMCO.EXE");
    put_driver(root, "guest-agent/qemu-ga-x86_64.msi");
    put_driver(root, "guest-agent/qemu-ga-i386.msi");
    return root;
}

void phony_remove(char *directory)
{
    fdio_remove_tree(directory);
    free(directory);
}

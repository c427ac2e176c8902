/* SPDX-License-Identifier: Apache-2.0 */
/* What virtual hardware is asked for, by what the guest is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/hints.h"

struct guest_case {
    enum family family;
    const char *id, *version, *pretty, *kernel;
    bool virtio;
    enum firmware firmware;
    const char *adjtime;
    /* wanted */
    const char *machine, *disk_bus, *nic_model, *clock, *osinfo;
    bool tpm, hyperv;
};

static void check(const struct guest_case *c)
{
    struct fake_tree files = {0};
    struct request request = {0};
    struct kernel kernel = {.version = (char *)c->kernel};
    struct facts facts = {.tree = fake_tree(&files),
                          .request = &request,
                          .family = c->family,
                          .os = {.id = (char *)c->id,
                                 .like = (char *)"",
                                 .version = (char *)c->version,
                                 .pretty = (char *)c->pretty},
                          .kernels = &kernel,
                          .kernel_count = c->kernel ? 1 : 0,
                          .firmware = c->firmware,
                          .virtio_disk = c->virtio,
                          .virtio_net = c->virtio};
    struct plan plan = {0};
    struct hints h;

    if (c->adjtime)
        fake_text(&files, "/etc/adjtime", c->adjtime);
    hints_make(&facts, &plan, &h);
    assert_string_equal(h.machine ? h.machine : "any", c->machine);
    assert_string_equal(h.disk_bus, c->disk_bus);
    assert_string_equal(h.nic_model, c->nic_model);
    assert_string_equal(h.clock, c->clock);
    assert_string_equal(h.osinfo, c->osinfo);
    assert_int_equal(h.tpm, c->tpm);
    assert_int_equal(h.hyperv, c->hyperv);
    assert_int_equal(plan.note_count, c->virtio ? 0 : 2); /* slower devices are told */
    hints_done(&h);
    plan_done(&plan);
    fake_done(&files);
}

static void test_hardware_fits_the_guest(void **state)
{
    static const struct guest_case cases[] = {
        {FAMILY_DEBIAN, "debian", "12", "Debian 12", "6.1.0-9-amd64", true, FIRMWARE_BIOS, NULL,
         "any", "virtio", "virtio", "utc", "http://debian.org/debian/12", false, false},
        {FAMILY_DEBIAN, "ubuntu", "22.04", "Ubuntu", "5.15.0-1", true, FIRMWARE_UEFI,
         "0.0 0 0.0\n0\nLOCAL\n", "any", "virtio", "virtio", "localtime",
         "http://ubuntu.com/ubuntu/22.04", false, false},
        {FAMILY_REDHAT, "centos", "6.10", "CentOS 6.10", "2.6.32-754.el6.x86_64", true,
         FIRMWARE_BIOS, "0.0 0 0.0\n0\nUTC\n", "pc", "virtio", "virtio", "utc",
         "http://centos.org/centos/6", false, false},
        {FAMILY_REDHAT, "rhel", "5; rm", "RHEL", "2.6.18-8.el5", false, FIRMWARE_BIOS, NULL, "pc",
         "sata", "e1000", "utc", "", false, false},
        {FAMILY_ARCH, "arch", "", "Arch", "6.9.1-arch1-1", false, FIRMWARE_UEFI, "", "any", "sata",
         "e1000e", "utc", "http://archlinux.org/archlinux/rolling", false, false},
        {FAMILY_WINDOWS, "windows", "5.1", "Microsoft Windows XP", NULL, false, FIRMWARE_BIOS, NULL,
         "pc", "ide", "rtl8139", "localtime", "", false, false},
        {FAMILY_WINDOWS, "windows", "6.0", "Windows Server 2008", NULL, false, FIRMWARE_BIOS, NULL,
         "pc", "sata", "e1000e", "localtime", "", false, true},
        {FAMILY_WINDOWS, "windows", "10.0", "Windows 11 Pro", NULL, true, FIRMWARE_UEFI, NULL,
         "q35", "virtio", "virtio", "localtime", "", true, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hardware_fits_the_guest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

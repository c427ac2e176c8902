/* SPDX-License-Identifier: Apache-2.0 */
/* Agents of other platforms under every init system, and what their tools leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/firstboot.h"
#include "morph/init.h"
#include "morph/modprobe.h"

static struct fake_tree guest;
static struct facts facts;
static struct request request;

static int set_up(void **state)
{
    guest = (struct fake_tree){0};
    request = (struct request){0};
    facts = (struct facts){.tree = fake_tree(&guest), .family = FAMILY_DEBIAN, .request = &request};
    return 0;
}

static int tear_down(void **state)
{
    facts_done(&facts);
    fake_done(&guest);
    return 0;
}

/* Applies one change; returns how many edits it was. */
static size_t change(const struct change_ops *ops)
{
    _cleanup_error_ struct error *err = NULL;
    struct plan plan = {0};
    size_t count;

    if (ops->apply(&facts, &plan, &err) < 0)
        fail_msg("%s", error_text(err));
    fake_apply(&guest, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

/* The same, and that doing it again finds nothing. */
static size_t change_once(const struct change_ops *ops)
{
    size_t count = change(ops);

    assert_int_equal(change(ops), 0);
    return count;
}

static const char *text_of(const char *path)
{
    struct fake_file *f = fake_find(&guest, path);

    return f ? f->data : "(none)";
}

static void test_init_systems(void **state)
{
    assert_int_equal(init_of(&facts.tree), INIT_SYSV);
    fake_text(&guest, "/lib/systemd/system/x.service", "");
    assert_int_equal(init_of(&facts.tree), INIT_SYSTEMD);
    fake_text(&guest, "/sbin/initctl", "");
    fake_text(&guest, "/etc/init/rc.conf", "");
    assert_int_equal(init_of(&facts.tree), INIT_UPSTART);
    fake_text(&guest, "/sbin/openrc", "");
    assert_int_equal(init_of(&facts.tree), INIT_OPENRC);
    fake_link(&guest, "/sbin/init", "../lib/systemd/systemd");
    assert_int_equal(init_of(&facts.tree), INIT_SYSTEMD);
    fake_link(&guest, "/sbin/init", "/sbin/openrc-init");
    assert_int_equal(init_of(&facts.tree), INIT_OPENRC);
}

static void test_units_are_masked(void **state)
{
    fake_text(&guest, "/usr/lib/systemd/system/vmtoolsd.service", "");
    fake_link(&guest, "/etc/systemd/system/vmtoolsd.service.requires/vgauthd.service",
              "/usr/lib/systemd/system/vgauthd.service");
    fake_text(&guest, "/usr/lib/systemd/system/vgauthd.service", "");
    fake_link(&guest, "/etc/systemd/system/multi-user.target.wants/vmtoolsd.service",
              "/usr/lib/systemd/system/vmtoolsd.service");
    fake_text(&guest, "/usr/lib/systemd/system/run-vmblock\\x2dfuse.mount", "");
    fake_text(&guest, "/etc/init.d/vboxadd", "#!/bin/sh\n"); /* systemd makes a unit of it */
    fake_text(&guest, "/usr/lib/systemd/system/sshd.service", "");
    assert_int_equal(change_once(&change_linux_agents), 6);
    assert_string_equal(text_of("/etc/systemd/system/vmtoolsd.service"), "/dev/null");
    assert_string_equal(text_of("/etc/systemd/system/vgauthd.service"), "/dev/null");
    assert_string_equal(text_of("/etc/systemd/system/vboxadd.service"), "/dev/null");
    assert_string_equal(text_of("/etc/systemd/system/run-vmblock\\x2dfuse.mount"), "/dev/null");
    assert_null(fake_find(&guest, "/etc/systemd/system/multi-user.target.wants/vmtoolsd.service"));
    assert_null(fake_find(&guest, "/etc/systemd/system/sshd.service"));
    assert_false(facts.guest_agent);
}

static void test_unit_of_the_administrator_is_not_touched(void **state)
{
    fake_text(&guest, "/lib/systemd/system/x.service", "");
    fake_text(&guest, "/etc/systemd/system/vmware-tools.service", "[Unit]\n");
    fake_link(&guest, "/etc/systemd/system/multi-user.target.wants/vmware-tools.service",
              "../vmware-tools.service");
    assert_int_equal(change_once(&change_linux_agents), 1);
    assert_string_equal(text_of("/etc/systemd/system/vmware-tools.service"), "[Unit]\n");
    assert_null(
        fake_find(&guest, "/etc/systemd/system/multi-user.target.wants/vmware-tools.service"));
}

static void test_start_links_become_stop_links(void **state)
{
    facts.family = FAMILY_REDHAT;
    fake_text(&guest, "/etc/init.d/vmware-tools", "#!/bin/sh\n");
    fake_link(&guest, "/etc/rc.d/rc2.d/S03vmware-tools", "../init.d/vmware-tools");
    fake_link(&guest, "/etc/rc.d/rc3.d/S03vmware-tools", "../init.d/vmware-tools");
    fake_link(&guest, "/etc/rc.d/rc3.d/S03vmware-tools-not", "../init.d/vmware-tools-not");
    fake_link(&guest, "/etc/rc.d/rc3.d/S00xe-linux-distribution", "../init.d/x");
    fake_text(&guest, "/etc/init.d/xe-linux-distribution", "#!/bin/sh\n");
    fake_link(&guest, "/etc/rc.d/rc0.d/K99vmware-tools", "../init.d/vmware-tools");
    assert_int_equal(change_once(&change_linux_agents), 6);
    assert_null(fake_find(&guest, "/etc/rc.d/rc3.d/S03vmware-tools"));
    assert_string_equal(text_of("/etc/rc.d/rc2.d/K97vmware-tools"), "../init.d/vmware-tools");
    assert_string_equal(text_of("/etc/rc.d/rc3.d/K99xe-linux-distribution"), "../init.d/x");
    assert_non_null(fake_find(&guest, "/etc/rc.d/rc3.d/S03vmware-tools-not"));
}

static void upstart(void)
{
    fake_text(&guest, "/sbin/initctl", "");
    fake_text(&guest, "/etc/init/vmware-tools.conf", "start on startup\n");
}

static void test_upstart_jobs(void **state)
{
    upstart();
    fake_text(&guest, "/etc/init/hv-kvp-daemon.conf", "start on startup\n");
    fake_text(&guest, "/etc/init/hv-kvp-daemon.override", "respawn");
    assert_int_equal(change_once(&change_linux_agents), 2);
    assert_string_equal(text_of("/etc/init/vmware-tools.override"), "manual\n");
    assert_string_equal(text_of("/etc/init/hv-kvp-daemon.override"), "respawn\nmanual\n");
}

static void test_upstart_of_red_hat_knows_no_override(void **state)
{
    upstart();
    facts.family = FAMILY_REDHAT;
    assert_int_equal(change_once(&change_linux_agents), 2);
    assert_null(fake_find(&guest, "/etc/init/vmware-tools.conf"));
    assert_string_equal(text_of("/var/lib/slipway/aside/etc/init/vmware-tools.conf"),
                        "start on startup\n");
}

static void test_openrc(void **state)
{
    facts.family = FAMILY_ALPINE;
    fake_text(&guest, "/sbin/openrc", "");
    fake_text(&guest, "/etc/init.d/open-vm-tools", "");
    fake_text(&guest, "/etc/init.d/qemu-guest-agent", "");
    fake_link(&guest, "/etc/runlevels/boot/open-vm-tools", "/etc/init.d/open-vm-tools");
    fake_link(&guest, "/etc/runlevels/default/open-vm-tools", "/etc/init.d/open-vm-tools");
    assert_int_equal(change_once(&change_linux_agents), 3);
    assert_string_equal(text_of("/etc/runlevels/default/qemu-guest-agent"),
                        "/etc/init.d/qemu-guest-agent");
    assert_null(fake_find(&guest, "/etc/runlevels/default/open-vm-tools"));
    assert_true(facts.guest_agent);
}

static void test_agent_with_sysv(void **state)
{
    facts.family = FAMILY_REDHAT;
    fake_text(&guest, "/etc/init.d/qemu-ga", "");
    fake_link(&guest, "/etc/rc.d/rc3.d/K15qemu-ga", "../init.d/qemu-ga");
    fake_text(&guest, "/etc/rc.d/rc5.d/S99local", "");
    assert_int_equal(change_once(&change_linux_agents), 3);
    assert_string_equal(text_of("/etc/rc.d/rc3.d/S85qemu-ga"), "../init.d/qemu-ga");
    assert_string_equal(text_of("/etc/rc.d/rc5.d/S85qemu-ga"), "../init.d/qemu-ga");
    assert_null(fake_find(&guest, "/etc/rc.d/rc3.d/K15qemu-ga"));
    assert_true(facts.guest_agent);
}

static void test_agent_unit_where_it_is(void **state)
{
    fake_text(&guest, "/usr/lib/systemd/system/qemu-guest-agent.service", "");
    assert_int_equal(change_once(&change_linux_agents), 1);
    assert_string_equal(
        text_of("/etc/systemd/system/dev-virtio\\x2dports-org.qemu.guest_agent.0.device.wants/"
                "qemu-guest-agent.service"),
        "/usr/lib/systemd/system/qemu-guest-agent.service");
    fake_text(&guest, "/usr/lib/udev/rules.d/99-qemu-guest-agent.rules", "");
    assert_int_equal(change(&change_linux_agents), 0);
}

static void test_modprobe_lines(void **state)
{
    static const char text[] = "# blacklist virtio_blk\nblacklist floppy\n"
                               "  blacklist\tvirtio-blk\nblacklist virtio_blkx\n"
                               "install virtio_net /bin/true\n"
                               "install virtio_pci /sbin/modprobe --ignore-install virtio_pci\n"
                               "alias virtio_scsi off\noptions virtio_net napi_tx=1\n"
                               "blacklist virtio";
    _cleanup_buffer_ struct buffer out = {0}, again = {0};
    _cleanup_free_ char *first = NULL, *none = NULL;

    assert_int_equal(modprobe_allow_virtio(text, &out, &first), 4);
    assert_string_equal(first, "  blacklist\tvirtio-blk");
    assert_string_equal(out.data, "# blacklist virtio_blk\nblacklist floppy\n"
                                  "# slipway-morph:   blacklist\tvirtio-blk\n"
                                  "blacklist virtio_blkx\n"
                                  "# slipway-morph: install virtio_net /bin/true\n"
                                  "install virtio_pci /sbin/modprobe --ignore-install virtio_pci\n"
                                  "# slipway-morph: alias virtio_scsi off\n"
                                  "options virtio_net napi_tx=1\n"
                                  "# slipway-morph: blacklist virtio");
    assert_int_equal(modprobe_allow_virtio(out.data, &again, &none), 0);
    assert_string_equal(again.data, out.data);
}

static void parse_modprobe(const char *text, size_t length)
{
    _cleanup_buffer_ struct buffer out = {0};
    _cleanup_free_ char *first = NULL, *copy = mem_new(length + 1, 1);

    memcpy(copy, text, length);
    modprobe_allow_virtio(copy, &out, &first);
}

static void test_broken_modprobe_lines(void **state)
{
    static const char text[] = "blacklist virtio_blk\ninstall virtio_net /bin/true\n"
                               "alias virtio_scsi off\noptions x y\n";

    mutate(text, strlen(text), 20000, parse_modprobe);
}

static void test_leftovers(void **state)
{
    fake_text(&guest, "/etc/modprobe.d/vmware-tools.conf",
              "install pciehp true\n"
              "blacklist virtio_blk\n");
    fake_text(&guest, "/etc/modprobe.d/hard.conf", "blacklist virtio_blk\n");
    fake_text(&guest, "/etc/modprobe.conf", "alias eth0 vmxnet3\n");
    fake_text(&guest, "/etc/X11/xorg.conf", "Section \"Device\"\n\tDriver \"vmware\"\n");
    assert_int_equal(change_once(&change_linux_leftovers), 5);
    assert_null(fake_find(&guest, "/etc/modprobe.d/vmware-tools.conf"));
    assert_null(fake_find(&guest, "/etc/X11/xorg.conf"));
    assert_string_equal(text_of("/var/lib/slipway/aside/etc/X11/xorg.conf"),
                        "Section \"Device\"\n\tDriver \"vmware\"\n");
    assert_string_equal(text_of("/etc/modprobe.d/hard.conf"),
                        "# slipway-morph: blacklist virtio_blk\n");
    fake_text(&guest, "/etc/X11/xorg.conf",
              "Section \"Device\"\n\tDriver \"modesetting\"\n"
              "# Driver \"vmware\"\n");
    assert_int_equal(change(&change_linux_leftovers), 0);
}

#define HOOK                                                                                       \
    "[ ! -f /var/lib/slipway/firstboot ] || sh /var/lib/slipway/firstboot </dev/null "             \
    ">/dev/null 2>&1 & # slipway-firstboot\n"

static void check_local(const char *before, const char *after)
{
    _cleanup_free_ char *text = firstboot_local(before), *again = NULL;

    assert_non_null(text);
    assert_string_equal(text, after);
    again = firstboot_local(text);
    assert_null(again);
}

static void test_rc_local(void **state)
{
    check_local("", "#!/bin/sh\n" HOOK);
    check_local("#!/bin/sh\ntouch x", "#!/bin/sh\ntouch x\n" HOOK);
    check_local("#!/bin/sh\nif x; then\n  exit 0\nfi\nexit 0\n",
                "#!/bin/sh\nif x; then\n  exit 0\nfi\n" HOOK "exit 0\n");
    check_local("#!/bin/sh\nexit", "#!/bin/sh\n" HOOK "exit");
    check_local("#!/bin/sh\nexit_code=1\n", "#!/bin/sh\nexit_code=1\n" HOOK);
}

static void test_first_boot_with_an_agent_installs_none(void **state)
{
    request.install_agent = true;
    request.packages = "/nowhere";
    facts.guest_agent = true;
    assert_int_equal(change(&change_linux_firstboot), 0);
    facts.guest_agent = false;
    request.packages = NULL;
    fake_text(&guest, "/lib/systemd/system/x.service", "");
    assert_int_equal(change_once(&change_linux_firstboot), 4);
    assert_string_equal(
        text_of("/etc/systemd/system/multi-user.target.wants/slipway-firstboot.service"),
        FIRSTBOOT_UNIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_init_systems, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_units_are_masked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unit_of_the_administrator_is_not_touched, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_start_links_become_stop_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upstart_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upstart_of_red_hat_knows_no_override, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_openrc, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_agent_with_sysv, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_agent_unit_where_it_is, set_up, tear_down),
        cmocka_unit_test(test_modprobe_lines),
        cmocka_unit_test(test_broken_modprobe_lines),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
        cmocka_unit_test(test_rc_local),
        cmocka_unit_test_setup_teardown(test_first_boot_with_an_agent_installs_none, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

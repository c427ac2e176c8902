/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the libvirt provider: XML, URIs, ids of points in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "orchestrator/source/libvirt-source.h"
#include "orchestrator/source/libvirt-xml.h"

static const char domain[] =
    "<domain type='kvm'><name>a &amp; b</name><uuid>7f0e2b0a-0000-4000-8000-000000000001</uuid>"
    "<metadata><libosinfo:libosinfo "
    "xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
    "<libosinfo:os id='http://debian.org/debian/12'/></libosinfo:libosinfo></metadata>"
    "<memory unit='MiB'>512</memory><vcpu current='2'>4</vcpu>"
    "<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>"
    "<loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/x.fd</loader></os>"
    "<devices>"
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a.qcow2'/>"
    "<target dev='sda' bus='scsi'/><boot order='1'/></disk>"
    "<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/b'/>"
    "<target dev='vdb' bus='virtio'/></disk>"
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='rbd' name='pool/c'><host name='mon'/></source><target dev='vdc'/></disk>"
    "<disk type='file' device='cdrom'><source file='/i/x.iso'/><target dev='hdc'/></disk>"
    "<disk type='file' device='disk'><target dev='vdd'/></disk>"
    "<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/>"
    "<model type='e1000'/></interface>"
    "<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/></interface>"
    "<interface type='user'><mac address='52:54:00:00:00:03'/></interface>"
    "<serial type='pty'/></devices></domain>";

static const char *at(const json_t *vm, const char *array, size_t i, const char *key)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(vm, array), i), key));
}

static void describes_a_domain(void **state)
{
    _cleanup_json_ json_t *vm = NULL;

    assert_int_equal(xml_describe(domain, &vm, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(vm, "name")), "a & b");
    assert_int_equal(json_integer_value(json_object_get(vm, "memory_bytes")), 512 << 20);
    assert_int_equal(json_integer_value(json_object_get(vm, "vcpus")), 2);
    assert_string_equal(json_string_value(json_object_get(vm, "machine")), "pc-q35-7.2");
    assert_string_equal(json_string_value(json_object_get(vm, "firmware")), "uefi");
    assert_true(json_is_true(json_object_get(vm, "secure_boot")));
    assert_true(json_is_true(json_object_get(vm, "serial")));
    assert_string_equal(json_string_value(json_object_get(vm, "os_hint")),
                        "http://debian.org/debian/12");
    assert_string_equal(json_string_value(json_object_get(vm, "native")), domain);
}

static void describes_disks_and_nics(void **state)
{
    _cleanup_json_ json_t *vm = NULL;

    assert_int_equal(xml_describe(domain, &vm, NULL), 0);
    assert_int_equal(json_array_size(json_object_get(vm, "disks")), 3);
    assert_string_equal(at(vm, "disks", 0, "path"), "/i/a.qcow2");
    assert_string_equal(at(vm, "disks", 0, "bus"), "scsi");
    assert_string_equal(at(vm, "disks", 1, "path"), "/dev/vg/b");
    assert_string_equal(at(vm, "disks", 1, "format"), "raw");
    assert_null(at(vm, "disks", 2, "path"));
    assert_int_equal(json_array_size(json_object_get(vm, "nics")), 3);
    assert_string_equal(at(vm, "nics", 0, "network"), "lan");
    assert_string_equal(at(vm, "nics", 1, "network"), "br0");
    assert_string_equal(at(vm, "nics", 1, "network_type"), "bridge");
    assert_string_equal(at(vm, "nics", 2, "network"), "user");
}

static void refuses_what_is_no_domain(void **state)
{
    static const char *const bad[] = {"", "<domain", "<network/>", "text", "<domain></domains>"};
    json_t *vm = NULL;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        _cleanup_error_ struct error *err = NULL;

        assert_int_equal(xml_describe(bad[i], &vm, &err), -EPROTO);
        assert_null(vm);
        assert_non_null(err);
    }
}

static const char checkpoint[] =
    "<domaincheckpoint><name>slipway-1-aa</name><creationTime>1</creationTime><disks>"
    "<disk name='vda' checkpoint='bitmap' bitmap='slipway-1-aa' size='131072'/>"
    "<disk name='vdb' checkpoint='bitmap' bitmap='slipway-1-aa'/>"
    "<disk name='vdc' checkpoint='no'/></disks></domaincheckpoint>";

static void knows_sound_and_broken_bitmaps(void **state)
{
    _cleanup_json_ json_t *disks = NULL;

    assert_int_equal(xml_checkpoint_disks(checkpoint, &disks, NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(disks, "vda")), 131072);
    assert_true(json_is_null(json_object_get(disks, "vdb")));
    assert_null(json_object_get(disks, "vdc"));
}

static void keeps_only_the_given_disks(void **state)
{
    _cleanup_json_ json_t *keep = json_pack("{sn}", "vda"), *disks = NULL;
    _cleanup_free_ char *xml = NULL;

    assert_int_equal(xml_checkpoint_keep(checkpoint, keep, &xml, NULL), 0);
    assert_int_equal(xml_checkpoint_disks(xml, &disks, NULL), 0);
    assert_int_equal(json_object_size(disks), 1);
    assert_non_null(json_object_get(disks, "vda"));
}

static void finds_scratch_and_owner(void **state)
{
    _cleanup_free_ char *scratch = xml_backup_scratch(
        "<domainbackup mode='pull'><server transport='unix' socket='/x/nbd.sock'/><disks>"
        "<disk name='vda' backup='no'/><disk name='vdb'><scratch file='/y/vdb'/></disk></disks>"
        "</domainbackup>");
    _cleanup_free_ char *owner = xml_qemu_owner(
        "<capabilities><host><secmodel><model>apparmor</model><doi>0</doi></secmodel><secmodel>"
        "<model>dac</model><baselabel type='kvm'>+64055:+108</baselabel></secmodel></host>"
        "</capabilities>");

    assert_string_equal(scratch, "/y/vdb");
    assert_string_equal(owner, "64055:108");
    assert_null(xml_backup_scratch("<domainbackup mode='push'/>"));
}

static void sees_confinement(void **state)
{
    static const char caps[] = "<capabilities><host><secmodel><model>%s</model></secmodel></host>"
                               "</capabilities>";
    _cleanup_free_ char *confined = str_format(caps, "apparmor"), *plain = str_format(caps, "none");

    assert_true(xml_qemu_confined(confined));
    assert_false(xml_qemu_confined(plain));
}

static void ids_lead_back_to_checkpoints(void **state)
{
    static const struct {
        const char *id, *checkpoint;
        int64_t key;
    } cases[] = {
        {"slipway-17-0a0b0c0d", "slipway-17-0a0b0c0d", 17},
        {"off-slipway-17-0a0b0c0d-0123456789abcdef", "slipway-17-0a0b0c0d", 17},
        {"off-none-0123456789abcdef", NULL, 0},
        {"backup-1", NULL, 0},
        {NULL, NULL, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _cleanup_free_ char *name = checkpoint_of_id(cases[i].id);

        if (!cases[i].checkpoint) {
            assert_null(name);
            continue;
        }
        assert_string_equal(name, cases[i].checkpoint);
        assert_int_equal(checkpoint_key(name), cases[i].key);
    }
}

static void reads_uris(void **state)
{
    struct host host;

    assert_int_equal(host_init(&host, "qemu:///system", NULL), 0);
    assert_true(host_is_local(&host));
    host_done(&host);
    assert_int_equal(host_init(&host, "qemu+unix:///system?socket=/a/b", NULL), 0);
    assert_true(host_is_local(&host));
    host_done(&host);
    assert_int_equal(
        host_init(&host, "qemu+ssh://root@h1:2222/system?socket=/s&keyfile=/k%20y&no_verify=1",
                  NULL),
        0);
    assert_string_equal(host.destination, "root@h1");
    assert_string_equal(host.port, "2222");
    assert_string_equal(host.keyfile, "/k y");
    assert_true(host.no_verify);
    host_done(&host);
    assert_int_equal(host_init(&host, "qemu+ssh://[fe80::1]:22/system", NULL), 0);
    assert_string_equal(host.destination, "fe80::1");
    host_done(&host);
}

static void refuses_uris(void **state)
{
    static const char *const bad[] = {
        "qemu:/system",           "qemu+tls://h/system",   "qemu://h/system",
        "qemu+ssh:///system",     "qemu+ssh://-oProxy=x/", "qemu+unix://h",
        "qemu+ssh://u@-x/system",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        _cleanup_error_ struct error *err = NULL;
        struct host host;

        assert_int_equal(host_init(&host, bad[i], &err), -EINVAL);
        assert_non_null(strstr(error_text(err), bad[i]));
        host_done(&host);
    }
}

static void removes_only_its_own_directories(void **state)
{
    assert_true(host_own_directory(HOST_DIRECTORY_PREFIX "x-1"));
    assert_false(host_own_directory(HOST_DIRECTORY_PREFIX "x/../../etc"));
    assert_false(host_own_directory(HOST_DIRECTORY_PARENT));
    assert_false(host_own_directory("/etc"));
}

static void arguments_survive_the_shell(void **state)
{
    const char *args[] = {"it's", "$HOME `id` \\", "", NULL};
    const struct host here = {0};
    _cleanup_free_ char *out = NULL;

    assert_int_equal(host_script(&here, "printf '%s|' \"$@\"", args, 10000000000, &out, NULL), 0);
    assert_string_equal(out, "it's|$HOME `id` \\||");
}

static void says_what_is_supported(void **state)
{
    _cleanup_error_ struct error *err = NULL;

    assert_null(source_ops_for("vpx://x", &err));
    assert_int_equal(error_code(err), EINVAL);
    assert_non_null(strstr(error_text(err), "qemu+ssh"));
    assert_ptr_equal(source_ops_for("qemu:///system", NULL), &source_libvirt_ops);
    assert_ptr_equal(source_ops_for("qemu+ssh://h/system", NULL), &source_libvirt_ops);
}

static void links_of_cards_are_cut_and_put_back(void **state)
{
    static const char before[] =
        "<domain><devices><interface type='network'><mac address='a'/></interface>"
        "<interface type='network'><mac address='b'/><link state='down'/></interface>"
        "<interface type='network'><mac address='new'/></interface></devices></domain>";
    _cleanup_json_ json_t *known = NULL, *links = json_pack("{s:b, s:b}", "a", 1, "b", 0);
    _cleanup_json_ json_t *cut = NULL, *back = NULL, *all = NULL;
    const char *text;

    assert_int_equal(xml_nic_links(before, &all, NULL), 0);
    assert_true(json_is_true(json_object_get(all, "a")));
    assert_true(json_is_false(json_object_get(all, "b")));
    /* Only what is up goes down; a card that came later is left alone. */
    assert_int_equal(xml_nics_linked(before, links, true, &cut, NULL), 0);
    assert_int_equal(json_array_size(cut), 1);
    text = json_string_value(json_array_get(cut, 0));
    assert_non_null(strstr(text, "<mac address=\"a\"/>"));
    assert_non_null(strstr(text, "<link state=\"down\"/>"));
    /* Nothing is to be done for what is as it was. */
    assert_int_equal(xml_nics_linked(before, links, false, &back, NULL), 0);
    assert_int_equal(json_array_size(back), 0);
    assert_int_equal(xml_nic_links("<disk/>", &known, NULL), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_a_domain),
        cmocka_unit_test(describes_disks_and_nics),
        cmocka_unit_test(links_of_cards_are_cut_and_put_back),
        cmocka_unit_test(refuses_what_is_no_domain),
        cmocka_unit_test(knows_sound_and_broken_bitmaps),
        cmocka_unit_test(keeps_only_the_given_disks),
        cmocka_unit_test(finds_scratch_and_owner),
        cmocka_unit_test(sees_confinement),
        cmocka_unit_test(ids_lead_back_to_checkpoints),
        cmocka_unit_test(reads_uris),
        cmocka_unit_test(refuses_uris),
        cmocka_unit_test(removes_only_its_own_directories),
        cmocka_unit_test(arguments_survive_the_shell),
        cmocka_unit_test(says_what_is_supported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The domain XML of moved VMs, compared with golden files: DIR/NAME.json holds description and
 * placement, DIR/NAME.xml what must come out.  UPDATE_GOLDEN=1 writes the .xml files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/node/node.h"

static const char *directory;

static json_t *load(const char *name)
{
    _cleanup_free_ char *path = str_format("%s/%s.json", directory, name);
    json_t *json = json_load_file(path, 0, NULL);

    assert_non_null(json);
    return json;
}

static void check_golden(const char *name)
{
    _cleanup_free_ char *path = str_format("%s/%s.xml", directory, name), *want = NULL, *xml = NULL;
    _cleanup_error_ struct error *err = NULL;
    json_t *json = load(name);

    assert_int_equal(node_domain_xml(json_object_get(json, "description"),
                                     json_object_get(json, "placement"), &xml, &err),
                     0);
    json_decref(json);
    if (getenv("UPDATE_GOLDEN"))
        assert_int_equal(fdio_replace_file(path, xml, strlen(xml), 0644), 0);
    assert_int_equal(fdio_read_file(path, 1 << 20, &want, NULL), 0);
    assert_string_equal(xml, want);
}

static void pc_bios(void **state)
{
    check_golden("pc-bios");
}

static void q35_kvm(void **state)
{
    check_golden("q35-kvm");
}

static void uefi_secure(void **state)
{
    check_golden("uefi-secure");
}

static void many_disks_and_nics(void **state)
{
    check_golden("many-disks-and-nics");
}

static void hints_old_windows(void **state)
{
    check_golden("hints-old-windows");
}

static void hints_windows_11(void **state)
{
    check_golden("hints-windows-11");
}

/* Comes out as pc-bios. */
static void hints_nonsense(void **state)
{
    check_golden("hints-nonsense");
}

/* What was asked for wins over hints and source. */
static void what_was_asked_for_wins(void **state)
{
    check_golden("asked-for");
}

/* What comes out after `change` was done to the placement of pc-bios. */
static void check_refused(void (*change)(json_t *placement), const char *named)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_free_ char *xml = NULL;
    json_t *json = load("pc-bios");

    change(json_object_get(json, "placement"));
    assert_int_equal(node_domain_xml(json_object_get(json, "description"),
                                     json_object_get(json, "placement"), &xml, &err),
                     -EINVAL);
    json_decref(json);
    assert_null(xml);
    assert_non_null(strstr(error_text(err), named));
}

static void without_networks(json_t *placement)
{
    json_object_del(placement, "networks");
}

static void without_disks(json_t *placement)
{
    json_array_clear(json_object_get(placement, "disks"));
}

static void with_bad_uri(json_t *placement)
{
    json_t *disk = json_array_get(json_object_get(placement, "disks"), 0);

    json_object_del(disk, "path");
    json_object_set_new(disk, "nbd_uri", json_string("http://example.org/disk"));
}

static void unmapped_network_is_named(void **state)
{
    check_refused(without_networks, "\"lan\"");
}

static void disk_without_place_is_named(void **state)
{
    check_refused(without_disks, "disk sda");
}

static void foreign_uri_is_refused(void **state)
{
    check_refused(with_bad_uri, "http://example.org/disk");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pc_bios),
        cmocka_unit_test(q35_kvm),
        cmocka_unit_test(uefi_secure),
        cmocka_unit_test(many_disks_and_nics),
        cmocka_unit_test(hints_old_windows),
        cmocka_unit_test(hints_windows_11),
        cmocka_unit_test(hints_nonsense),
        cmocka_unit_test(what_was_asked_for_wins),
        cmocka_unit_test(unmapped_network_is_named),
        cmocka_unit_test(disk_without_place_is_named),
        cmocka_unit_test(foreign_uri_is_refused),
    };

    directory = argc > 1 ? argv[1] : "domainxml";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

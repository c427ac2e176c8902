/* SPDX-License-Identifier: Apache-2.0 */
/* Inventory: what VMs there are and what they are made of. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/source/libvirt-xml.h"

static const char *state_name(enum source_power power)
{
    switch (power) {
    case SOURCE_RUNNING:
        return "running";
    case SOURCE_PAUSED:
        return "paused";
    default:
        return "off";
    }
}

/* Asks libvirt for the virtual size of each disk; with NULL for err an unknown size becomes 0. */
static int add_sizes(virDomainPtr domain, json_t *disks, struct error **err)
{
    json_t *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
    {
        const char *name = json_string_value(json_object_get(disk, "name"));
        virDomainBlockInfo info = {0};

        if (virDomainGetBlockInfo(domain, name, &info, 0) < 0 && err)
            return virt_error(err, "cannot read the size of disk %s of VM \"%s\"", name,
                              virDomainGetName(domain));
        json_object_set_new(disk, "size_bytes", json_integer((json_int_t)info.capacity));
        if (info.allocation)
            json_object_set_new(disk, "allocated_bytes",
                                json_integer((json_int_t)info.allocation));
    }
    return 0;
}

static int describe_plain(virDomainPtr domain, json_t **ret_description, struct error **err)
{
    _cleanup_free_ char *xml = virDomainGetXMLDesc(domain, 0);
    int r;

    if (!xml)
        return virt_error(err, "cannot read the description of VM \"%s\"",
                          virDomainGetName(domain));
    r = xml_describe(xml, ret_description, err);
    if (r < 0)
        return r;
    json_object_set_new(*ret_description, "state", json_string(state_name(virt_power(domain))));
    return 0;
}

int virt_describe_domain(virDomainPtr domain, json_t **ret_description, struct error **err)
{
    _cleanup_json_ json_t *vm = NULL;
    int r = describe_plain(domain, &vm, err);

    if (r == 0)
        r = add_sizes(domain, json_object_get(vm, "disks"), err);
    if (r == 0)
        *ret_description = steal_ptr(vm);
    return r;
}

/* Checkpoints of ours are no surprise. */
static int64_t foreign_checkpoints(virDomainPtr domain)
{
    virDomainCheckpointPtr *list = NULL;
    int count = virDomainListAllCheckpoints(domain, &list, 0);
    int64_t foreign = 0;

    for (int i = 0; i < count; i++) {
        const char *name = virDomainCheckpointGetName(list[i]);

        foreign += !name || !str_starts(name, "slipway-");
        virDomainCheckpointFree(list[i]);
    }
    free(list);
    return foreign;
}

/* What somebody else keeps of the VM; a libvirt that cannot say is no reason to stop. */
static void add_snapshots(virDomainPtr domain, json_t *vm)
{
    int snapshots = virDomainSnapshotNum(domain, 0);

    if (snapshots >= 0)
        json_object_set_new(vm, "snapshots", json_integer(snapshots));
    json_object_set_new(vm, "checkpoints", json_integer(foreign_checkpoints(domain)));
}

/* Reading the secrets of a description asks for what changing the VM asks for. */
static void add_privileges(virDomainPtr domain, json_t *vm)
{
    _cleanup_error_ struct error *denied = NULL;
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE);

    if (!xml) {
        virt_error(&denied, "it refuses");
        json_object_set_new(vm, "denied", json_string(error_text(denied)));
        return;
    }
    explicit_bzero(xml, strlen(xml));
    free(xml);
}

/* Why changes of a disk cannot be tracked. */
static void add_reasons(json_t *disks)
{
    json_t *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
        if (!json_is_true(json_object_get(disk, "cbt")))
            json_object_set_new(disk, "cbt_why",
                                json_string("only qcow2 images keep a record of them"));
}

/* The storage pool of each disk that lies in one. */
static void add_pools(virConnectPtr conn, json_t *disks)
{
    json_t *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
    {
        const char *path = json_string_value(json_object_get(disk, "path"));
        virStorageVolPtr volume = path ? virStorageVolLookupByPath(conn, path) : NULL;
        virStoragePoolPtr pool = volume ? virStoragePoolLookupByVolume(volume) : NULL;

        if (pool) {
            json_object_set_new(disk, "pool", json_string(virStoragePoolGetName(pool)));
            virStoragePoolFree(pool);
        }
        if (volume)
            virStorageVolFree(volume);
    }
}

int virt_describe(struct source *source, const char *vm, json_t **ret_description,
                  struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    int r = virt_domain(source, vm, &domain, err);

    if (r == 0)
        r = virt_describe_domain(domain, ret_description, err);
    if (r < 0)
        return r;
    add_privileges(domain, *ret_description);
    add_reasons(json_object_get(*ret_description, "disks"));
    add_snapshots(domain, *ret_description);
    add_pools(source->conn, json_object_get(*ret_description, "disks"));
    return 0;
}

/* The part of a description that a list shows. */
static json_t *summary(const json_t *vm)
{
    static const char *const keys[] = {"id", "name", "state", "memory_bytes", "vcpus"};
    json_t *entry = json_object(), *disks = json_array(), *disk;
    size_t i;

    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        json_object_set(entry, keys[i], json_object_get(vm, keys[i]));
    json_array_foreach(json_object_get(vm, "disks"), i, disk)
    {
        json_t *d = json_object();

        json_object_set(d, "name", json_object_get(disk, "name"));
        json_object_set(d, "size_bytes", json_object_get(disk, "size_bytes"));
        json_array_append_new(disks, d);
    }
    json_object_set_new(entry, "disks", disks);
    return entry;
}

/* A VM that is deleted while the list is made is left out. */
static void list_one(virDomainPtr domain, json_t *vms)
{
    _cleanup_json_ json_t *vm = NULL;

    if (describe_plain(domain, &vm, NULL) < 0)
        return;
    add_sizes(domain, json_object_get(vm, "disks"), NULL);
    json_array_append_new(vms, summary(vm));
}

int virt_facts(struct source *source, json_t **ret_facts, struct error **err)
{
    unsigned long libvirt = 0, qemu = 0;
    json_t *facts;

    if (virConnectGetLibVersion(source->conn, &libvirt) < 0)
        return virt_error(err, "cannot read the version of source %s", source->uri);
    virConnectGetVersion(source->conn, &qemu);
    facts = json_object();
    json_object_set_new(facts, "libvirt", json_sprintf("%lu.%lu.%lu", libvirt / 1000000,
                                                       libvirt / 1000 % 1000, libvirt % 1000));
    if (qemu)
        json_object_set_new(facts, "qemu", json_sprintf("%lu.%lu.%lu", qemu / 1000000,
                                                        qemu / 1000 % 1000, qemu % 1000));
    *ret_facts = facts;
    return 0;
}

int virt_list(struct source *source, json_t **ret_vms, struct error **err)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(source->conn, &domains, 0);

    if (count < 0)
        return virt_error(err, "cannot list the VMs of source %s", source->uri);
    *ret_vms = json_array();
    for (int i = 0; i < count; i++) {
        list_one(domains[i], *ret_vms);
        virDomainFree(domains[i]);
    }
    free(domains);
    return 0;
}

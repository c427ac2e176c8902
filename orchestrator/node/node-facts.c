/* SPDX-License-Identifier: Apache-2.0 */
/* What the destination is and has, for the checks before a migration. */
#include "orchestrator/node/node-libvirt.h"

#include <string.h>

#include "base/str.h"

/* libvirt counts major * 1000000 + minor * 1000 + release. */
static void set_version(json_t *facts, const char *key, unsigned long version)
{
    char text[40];

    snprintf(text, sizeof(text), "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000,
             version % 1000);
    json_object_set_new(facts, key, json_string(text));
}

/* True when the <enum name='NAME'> in libvirt's text, which is its own and regular, has the value. */
static bool enum_has(const char *xml, const char *name, const char *value)
{
    _cleanup_free_ char *begin = str_format("<enum name='%s'>", name);
    _cleanup_free_ char *wanted = str_format("<value>%s</value>", value);
    const char *at = strstr(xml, begin), *end = at ? strstr(at, "</enum>") : NULL;
    const char *found = end ? strstr(at, wanted) : NULL;

    return found && found < end;
}

/* What VMs of an architecture can have; NULL when there are none. */
static json_t *arch_facts(struct node *node, const char *arch)
{
    const char *machine = strcmp(arch, "x86_64") == 0 ? "q35" : NULL;
    _cleanup_free_ char *xml =
        virConnectGetDomainCapabilities(node->conn, NULL, arch, machine, NULL, 0);
    _cleanup_free_ char *kvm =
        virConnectGetDomainCapabilities(node->conn, NULL, arch, machine, "kvm", 0);

    if (!xml)
        return NULL;
    return json_pack("{s:b, s:b, s:b}", "uefi", enum_has(xml, "firmware", "efi"), "secure_boot",
                     enum_has(xml, "secure", "yes"), "kvm", kvm != NULL);
}

/* Every <guest> names its architecture once: <arch name='x86_64'>. */
static int add_archs(struct node *node, json_t *facts, struct error **err)
{
    static const char begin[] = "<arch name='";
    _cleanup_free_ char *xml = virConnectGetCapabilities(node->conn);
    json_t *archs = json_object();

    json_object_set_new(facts, "archs", archs);
    if (!xml)
        return virt_error(err, "cannot read the capabilities of destination %s", node->uri);
    for (const char *at = xml; (at = strstr(at, begin));) {
        _cleanup_free_ char *arch = NULL;
        json_t *able;

        at += strlen(begin);
        arch = strndup(at, strcspn(at, "'"));
        able = json_object_get(archs, arch) ? NULL : arch_facts(node, arch);
        if (able)
            json_object_set_new(archs, arch, able);
    }
    return 0;
}

/* The embedded driver has none at all. */
static int add_networks(struct node *node, json_t *facts, struct error **err)
{
    virNetworkPtr *networks = NULL;
    int count = virConnectListAllNetworks(node->conn, &networks, 0);
    json_t *all = json_object();

    json_object_set_new(facts, "networks", all);
    if (count < 0 && virGetLastErrorCode() == VIR_ERR_NO_SUPPORT)
        return 0;
    if (count < 0)
        return virt_error(err, "cannot list the networks of destination %s", node->uri);
    for (int i = 0; i < count; i++) {
        json_object_set_new(all, virNetworkGetName(networks[i]),
                            json_boolean(virNetworkIsActive(networks[i]) == 1));
        virNetworkFree(networks[i]);
    }
    free(networks);
    return 0;
}

static int add_vms(struct node *node, json_t *facts, struct error **err)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(node->conn, &domains, 0);
    char uuid[VIR_UUID_STRING_BUFLEN];
    json_t *vms = json_object();

    json_object_set_new(facts, "vms", vms);
    if (count < 0)
        return virt_error(err, "cannot list the VMs of destination %s", node->uri);
    for (int i = 0; i < count; i++) {
        bool known = virDomainGetUUIDString(domains[i], uuid) == 0;

        json_object_set_new(vms, virDomainGetName(domains[i]),
                            known ? json_string(uuid) : json_null());
        virDomainFree(domains[i]);
    }
    free(domains);
    return 0;
}

static int add_host(struct node *node, json_t *facts, struct error **err)
{
    unsigned long libvirt_version, qemu;
    unsigned long long unused = virNodeGetFreeMemory(node->conn);
    virNodeInfo info;

    if (virNodeGetInfo(node->conn, &info) < 0)
        return virt_error(err, "cannot read what destination %s has", node->uri);
    json_object_set_new(facts, "vcpus", json_integer(info.cpus));
    json_object_set_new(facts, "memory_bytes", json_integer((json_int_t)info.memory << 10));
    if (unused)
        json_object_set_new(facts, "memory_free_bytes", json_integer((json_int_t)unused));
    if (virConnectGetLibVersion(node->conn, &libvirt_version) == 0)
        set_version(facts, "libvirt", libvirt_version);
    if (virConnectGetVersion(node->conn, &qemu) == 0 && qemu)
        set_version(facts, "qemu", qemu);
    return 0;
}

int node_facts(struct node *node, json_t **ret_facts, struct error **err)
{
    json_t *facts = json_pack("{s:s}", "uri", node->uri);
    int r = add_host(node, facts, err);

    if (r == 0)
        r = add_archs(node, facts, err);
    if (r == 0)
        r = add_networks(node, facts, err);
    if (r == 0)
        r = add_vms(node, facts, err);
    if (r < 0)
        json_decref(facts);
    else
        *ret_facts = facts;
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After the cutover: the VM on the source is not to run by accident, and in the end it goes.
 *
 * Guarding touches only the persistent definition: no start with the host, and every card's link is
 * down, so that a VM that somebody starts all the same does not answer under the address of the
 * moved one.
 */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/source/libvirt-xml.h"

#define RENAMED "-migrated"

static int read_definition(virDomainPtr domain, char **ret_xml, struct error **err)
{
    *ret_xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
    return *ret_xml ? 0 : virt_error(err, "cannot read the definition of VM \"%s\"",
                                     virDomainGetName(domain));
}

int virt_guard_read(struct source *source, const char *vm, json_t **ret_before, struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    _cleanup_free_ char *xml = NULL;
    json_t *links = NULL;
    int autostart = 0, r = virt_domain(source, vm, &domain, err);

    if (r == 0 && virDomainGetAutostart(domain, &autostart) < 0)
        r = virt_error(err, "cannot read whether VM \"%s\" starts with its host", vm);
    if (r == 0)
        r = read_definition(domain, &xml, err);
    if (r == 0)
        r = xml_nic_links(xml, &links, err);
    if (r == 0)
        *ret_before = json_pack("{s:b, s:o}", "autostart", autostart, "links", links);
    return r;
}

/* Changes those cards whose link is not as it shall be. */
static int set_links(virDomainPtr domain, const json_t *links, bool down, struct error **err)
{
    _cleanup_json_ json_t *nics = NULL;
    _cleanup_free_ char *xml = NULL;
    json_t *nic;
    size_t i;
    int r = read_definition(domain, &xml, err);

    if (r == 0)
        r = xml_nics_linked(xml, links, down, &nics, err);
    if (r < 0)
        return r;
    json_array_foreach(nics, i, nic)
    {
        if (virDomainUpdateDeviceFlags(domain, json_string_value(nic),
                                       VIR_DOMAIN_DEVICE_MODIFY_CONFIG) < 0)
            return virt_error(err, "cannot change the link of a network card of VM \"%s\"",
                              virDomainGetName(domain));
    }
    return 0;
}

int virt_guard_set(struct source *source, const char *vm, const json_t *before, bool on,
                   struct error **err)
{
    bool autostart = !on && json_is_true(json_object_get(before, "autostart"));
    _cleanup_domain_ virDomainPtr domain = NULL;
    int is = 0, r = virt_domain(source, vm, &domain, err);

    if (r < 0)
        return r;
    if (virDomainGetAutostart(domain, &is) < 0 ||
        ((is != 0) != autostart && virDomainSetAutostart(domain, autostart) < 0))
        return virt_error(err, "cannot change whether VM \"%s\" starts with its host", vm);
    return set_links(domain, json_object_get(before, "links"), on, err);
}

/* The images of the VM; block devices belong to whoever made them. */
static int delete_images(struct source *source, const json_t *description, struct error **err)
{
    static const char script[] = "[ ! -f \"$1\" ] || rm -f -- \"$1\"";
    const json_t *disks = json_object_get(description, "disks"), *disk;
    size_t i;

    json_array_foreach(disks, i, disk)
    {
        const char *path = json_string_value(json_object_get(disk, "path"));
        const char *args[] = {path, NULL};

        if (path && host_script(&source->host, script, args, IMAGE_TIMEOUT, NULL, err) < 0)
            return error_prefix(err, "cannot delete disk %s",
                                json_string_value(json_object_get(disk, "name")));
    }
    return 0;
}

/* The images go first: what is half done is found by the definition that is still there. */
static int delete_vm(struct source *source, virDomainPtr domain, const json_t *description,
                     struct error **err)
{
    const unsigned flags = VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                           VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                           VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    int r = delete_images(source, description, err);

    if (r < 0 || virDomainUndefineFlags(domain, flags) == 0)
        return r;
    return virt_error(err, "cannot delete VM \"%s\" from %s", virDomainGetName(domain),
                      source->uri);
}

static int rename_vm(struct source *source, virDomainPtr domain, struct error **err)
{
    const char *name = virDomainGetName(domain);
    size_t length = strlen(name), ending = strlen(RENAMED);
    _cleanup_free_ char *other = str_format("%s" RENAMED, name);

    if (length > ending && strcmp(name + length - ending, RENAMED) == 0)
        return 0;
    if (virDomainRename(domain, other, 0) == 0)
        return 0;
    return virt_error(err, "cannot rename VM \"%s\" on %s to \"%s\"", name, source->uri, other);
}

int virt_retire(struct source *source, const json_t *description, bool remove, struct error **err)
{
    const char *uuid = json_string_value(json_object_get(description, "uuid"));
    _cleanup_domain_ virDomainPtr domain = NULL;
    int r = virt_domain(source, uuid ? uuid : "", &domain, err);

    if (r < 0)
        return r;
    if (virt_power(domain) != SOURCE_OFF)
        return error_set(err, EPERM, "VM \"%s\" runs on %s", virDomainGetName(domain),
                         source->uri);
    return remove ? delete_vm(source, domain, description, err) : rename_vm(source, domain, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/source/libvirt-xml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <string.h>

#include "base/str.h"

static void doc_freep(xmlDocPtr *doc)
{
    if (*doc)
        xmlFreeDoc(*doc);
}
#define _cleanup_doc_ _cleanup_(doc_freep)

static xmlDocPtr parse(const char *xml, const char *root)
{
    const int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL, options);
    xmlNodePtr node = doc ? xmlDocGetRootElement(doc) : NULL;

    if (node && strcmp((const char *)node->name, root) == 0)
        return doc;
    if (doc)
        xmlFreeDoc(doc);
    return NULL;
}

/* The child element `name` of node, or the first one when name is NULL. */
static xmlNodePtr child(xmlNodePtr node, const char *name)
{
    xmlNodePtr c = node ? xmlFirstElementChild(node) : NULL;

    while (c && name && strcmp((const char *)c->name, name) != 0)
        c = xmlNextElementSibling(c);
    return c;
}

static xmlNodePtr next(xmlNodePtr node, const char *name)
{
    xmlNodePtr c = xmlNextElementSibling(node);

    while (c && strcmp((const char *)c->name, name) != 0)
        c = xmlNextElementSibling(c);
    return c;
}

/* libxml2 has an allocator of its own; everything that leaves a helper is plain malloc memory. */
static char *own(xmlChar *text)
{
    char *copy = str_dup((const char *)text);

    if (text)
        xmlFree(text);
    return copy;
}

static char *attribute(xmlNodePtr node, const char *name)
{
    return node ? own(xmlGetNoNsProp(node, (const xmlChar *)name)) : NULL;
}

static char *content(xmlNodePtr node)
{
    return node ? own(xmlNodeGetContent(node)) : NULL;
}

static void set_string(json_t *object, const char *key, char *value)
{
    if (value)
        json_object_set_new(object, key, json_string(value));
    free(value);
}

static bool attribute_is(xmlNodePtr node, const char *name, const char *value)
{
    _cleanup_free_ char *v = attribute(node, name);

    return v && strcmp(v, value) == 0;
}

/* libvirt's scaled integers: "KiB" when there is no unit. */
static json_int_t memory_bytes(xmlNodePtr memory)
{
    static const struct {
        const char *unit;
        json_int_t bytes;
    } units[] = {
        {"b", 1},           {"bytes", 1},          {"KB", 1000},     {"k", 1 << 10},
        {"KiB", 1 << 10},   {"MB", 1000000},       {"M", 1 << 20},   {"MiB", 1 << 20},
        {"GB", 1000000000}, {"G", 1 << 30},        {"GiB", 1 << 30}, {"T", 1LL << 40},
        {"TiB", 1LL << 40}, {"TB", 1000000000000},
    };
    _cleanup_free_ char *number = content(memory), *unit = attribute(memory, "unit");
    json_int_t value = number ? strtoll(number, NULL, 10) : 0;

    for (size_t i = 0; unit && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(unit, units[i].unit) == 0)
            return value * units[i].bytes;
    return value << 10;
}

static json_int_t vcpus(xmlNodePtr domain)
{
    xmlNodePtr node = child(domain, "vcpu");
    _cleanup_free_ char *current = attribute(node, "current"), *all = content(node);
    json_int_t count = current ? strtoll(current, NULL, 10) : all ? strtoll(all, NULL, 10) : 1;

    return count > 0 ? count : 1;
}

static void describe_os(xmlNodePtr domain, json_t *vm)
{
    xmlNodePtr os = child(domain, "os"), type = child(os, "type"), loader = child(os, "loader");
    _cleanup_free_ char *loader_path = content(loader);
    bool uefi = attribute_is(os, "firmware", "efi") || attribute_is(loader, "type", "pflash") ||
                (loader_path && (strstr(loader_path, "OVMF") || strstr(loader_path, "AAVMF")));

    set_string(vm, "arch", attribute(type, "arch"));
    set_string(vm, "machine", attribute(type, "machine"));
    json_object_set_new(vm, "firmware", json_string(uefi ? "uefi" : "bios"));
    json_object_set_new(vm, "secure_boot", json_boolean(attribute_is(loader, "secure", "yes")));
}

/* <metadata><libosinfo:libosinfo><libosinfo:os id="…"/>: set by virt-install and virt-manager. */
static void describe_os_hint(xmlNodePtr domain, json_t *vm)
{
    xmlNodePtr info = child(child(domain, "metadata"), "libosinfo");

    set_string(vm, "os_hint", attribute(child(info, "os"), "id"));
}

static void describe_boot_order(xmlNodePtr disk, json_t *entry)
{
    _cleanup_free_ char *order = attribute(child(disk, "boot"), "order");

    if (order)
        json_object_set_new(entry, "boot_order", json_integer(strtoll(order, NULL, 10)));
}

static json_t *describe_disk(xmlNodePtr disk)
{
    xmlNodePtr source = child(disk, "source"), target = child(disk, "target");
    _cleanup_free_ char *device = attribute(disk, "device"), *path = attribute(source, "file");
    _cleanup_free_ char *format = attribute(child(disk, "driver"), "type");
    json_t *entry;

    if ((device && strcmp(device, "disk") != 0 && strcmp(device, "lun") != 0) || !source)
        return NULL;
    if (!path)
        path = attribute(source, "dev");
    entry = json_object();
    set_string(entry, "name", attribute(target, "dev"));
    json_object_set_new(entry, "format", json_string(format ? format : "raw"));
    set_string(entry, "path", steal_ptr(path));
    set_string(entry, "bus", attribute(target, "bus"));
    describe_boot_order(disk, entry);
    json_object_set_new(entry, "cbt", json_boolean(format && strcmp(format, "qcow2") == 0));
    return entry;
}

static void describe_disks(xmlNodePtr devices, json_t *vm)
{
    json_t *disks = json_array();

    for (xmlNodePtr d = child(devices, "disk"); d; d = next(d, "disk")) {
        json_t *entry = describe_disk(d);

        if (entry)
            json_array_append_new(disks, entry);
    }
    json_object_set_new(vm, "disks", disks);
}

/* What a NIC is plugged into: the attribute differs by interface type. */
static char *nic_network(xmlNodePtr nic)
{
    static const char *const names[] = {"network", "bridge", "dev", "portgroup", "address"};
    xmlNodePtr source = child(nic, "source");

    for (size_t i = 0; source && i < sizeof(names) / sizeof(names[0]); i++) {
        char *value = attribute(source, names[i]);

        if (value)
            return value;
    }
    return attribute(nic, "type");
}

static void describe_nics(xmlNodePtr devices, json_t *vm)
{
    json_t *nics = json_array();

    for (xmlNodePtr n = child(devices, "interface"); n; n = next(n, "interface")) {
        json_t *entry = json_object();

        set_string(entry, "mac", attribute(child(n, "mac"), "address"));
        set_string(entry, "model", attribute(child(n, "model"), "type"));
        set_string(entry, "network", nic_network(n));
        set_string(entry, "network_type", attribute(n, "type"));
        json_array_append_new(nics, entry);
    }
    json_object_set_new(vm, "nics", nics);
}

int xml_describe(const char *xml, json_t **ret_description, struct error **err)
{
    _cleanup_doc_ xmlDocPtr doc = parse(xml, "domain");
    xmlNodePtr domain = doc ? xmlDocGetRootElement(doc) : NULL, devices = child(domain, "devices");
    _cleanup_free_ char *uuid = content(child(domain, "uuid"));
    json_t *vm;

    if (!domain)
        return error_set(err, EPROTO,
                         "libvirt's description of a VM is not a <domain> document; "
                         "look at it with virsh dumpxml");
    vm = json_object();
    set_string(vm, "name", content(child(domain, "name")));
    if (uuid) {
        json_object_set_new(vm, "id", json_string(uuid));
        json_object_set_new(vm, "uuid", json_string(uuid));
    }
    json_object_set_new(vm, "memory_bytes", json_integer(memory_bytes(child(domain, "memory"))));
    json_object_set_new(vm, "vcpus", json_integer(vcpus(domain)));
    describe_os(domain, vm);
    describe_os_hint(domain, vm);
    describe_disks(devices, vm);
    describe_nics(devices, vm);
    json_object_set_new(vm, "serial",
                        json_boolean(child(devices, "serial") || child(devices, "console")));
    json_object_set_new(vm, "native", json_string(xml));
    *ret_description = vm;
    return 0;
}

static bool link_is_up(xmlNodePtr nic)
{
    return !attribute_is(child(nic, "link"), "state", "down");
}

static int domain_devices(const char *xml, xmlDocPtr *ret_doc, xmlNodePtr *ret_devices,
                          struct error **err)
{
    *ret_doc = parse(xml, "domain");
    if (!*ret_doc)
        return error_set(err, EPROTO, "libvirt's description of a VM is not a domain");
    *ret_devices = child(xmlDocGetRootElement(*ret_doc), "devices");
    return 0;
}

int xml_nic_links(const char *xml, json_t **ret_links, struct error **err)
{
    _cleanup_doc_ xmlDocPtr doc = NULL;
    xmlNodePtr devices = NULL;
    int r = domain_devices(xml, &doc, &devices, err);

    if (r < 0)
        return r;
    *ret_links = json_object();
    for (xmlNodePtr n = child(devices, "interface"); n; n = next(n, "interface")) {
        _cleanup_free_ char *mac = attribute(child(n, "mac"), "address");

        if (mac)
            json_object_set_new(*ret_links, mac, json_boolean(link_is_up(n)));
    }
    return 0;
}

static void set_link(xmlNodePtr nic, bool up)
{
    xmlNodePtr link = child(nic, "link");

    if (!link)
        link = xmlNewChild(nic, NULL, (const xmlChar *)"link", NULL);
    xmlSetProp(link, (const xmlChar *)"state", (const xmlChar *)(up ? "up" : "down"));
}

int xml_nics_linked(const char *xml, const json_t *links, bool down, json_t **ret_nics,
                    struct error **err)
{
    _cleanup_doc_ xmlDocPtr doc = NULL;
    xmlNodePtr devices = NULL;
    int r = domain_devices(xml, &doc, &devices, err);

    if (r < 0)
        return r;
    *ret_nics = json_array();
    for (xmlNodePtr n = child(devices, "interface"); n; n = next(n, "interface")) {
        _cleanup_free_ char *mac = attribute(child(n, "mac"), "address");
        const json_t *was = mac ? json_object_get(links, mac) : NULL;
        bool up = !down && json_is_true(was);
        xmlBufferPtr text;

        if (!was || link_is_up(n) == up)
            continue;
        set_link(n, up);
        text = xmlBufferCreate();
        xmlNodeDump(text, doc, n, 0, 0);
        json_array_append_new(*ret_nics, json_string((const char *)xmlBufferContent(text)));
        xmlBufferFree(text);
    }
    return 0;
}

static int checkpoint_parse(const char *xml, xmlDocPtr *ret_doc, struct error **err)
{
    *ret_doc = parse(xml, "domaincheckpoint");
    if (*ret_doc)
        return 0;
    return error_set(err, EPROTO,
                     "libvirt's description of a checkpoint is not a "
                     "<domaincheckpoint> document; look at it with virsh "
                     "checkpoint-dumpxml");
}

int xml_checkpoint_disks(const char *xml, json_t **ret_disks, struct error **err)
{
    _cleanup_doc_ xmlDocPtr doc = NULL;
    int r = checkpoint_parse(xml, &doc, err);
    json_t *found;

    if (r < 0)
        return r;
    found = json_object();
    for (xmlNodePtr d = child(child(xmlDocGetRootElement(doc), "disks"), "disk"); d;
         d = next(d, "disk")) {
        _cleanup_free_ char *name = attribute(d, "name"), *size = attribute(d, "size");

        if (name && attribute_is(d, "checkpoint", "bitmap"))
            json_object_set_new(found, name,
                                size ? json_integer(strtoll(size, NULL, 10)) : json_null());
    }
    *ret_disks = found;
    return 0;
}

int xml_checkpoint_keep(const char *xml, const json_t *disks, char **ret_xml, struct error **err)
{
    _cleanup_doc_ xmlDocPtr doc = NULL;
    int r = checkpoint_parse(xml, &doc, err);
    xmlChar *text = NULL;
    int length;

    if (r < 0)
        return r;
    for (xmlNodePtr d = child(child(xmlDocGetRootElement(doc), "disks"), "disk"); d;
         d = next(d, "disk")) {
        _cleanup_free_ char *name = attribute(d, "name");

        if (name && json_object_get(disks, name))
            continue;
        xmlSetProp(d, (const xmlChar *)"checkpoint", (const xmlChar *)"no");
        xmlUnsetProp(d, (const xmlChar *)"bitmap");
        xmlUnsetProp(d, (const xmlChar *)"size");
    }
    xmlDocDumpMemory(doc, &text, &length);
    *ret_xml = own(text);
    return 0;
}

char *xml_backup_scratch(const char *xml)
{
    _cleanup_doc_ xmlDocPtr doc = parse(xml, "domainbackup");
    xmlNodePtr disks = doc ? child(xmlDocGetRootElement(doc), "disks") : NULL;

    for (xmlNodePtr d = child(disks, "disk"); d; d = next(d, "disk")) {
        char *file = attribute(child(d, "scratch"), "file");

        if (file)
            return file;
    }
    return NULL;
}

/* "+64055:+108" (a leading + says: a number, not a name) → "64055:108". */
static char *plain_owner(char *label)
{
    char *to = label;

    for (const char *from = label; label && *from; from++)
        if (*from != '+')
            *to++ = *from;
    if (label)
        *to = '\0';
    return label;
}

static char *dac_owner(xmlNodePtr secmodel)
{
    _cleanup_free_ char *model = content(child(secmodel, "model"));

    if (!model || strcmp(model, "dac") != 0)
        return NULL;
    for (xmlNodePtr l = child(secmodel, "baselabel"); l; l = next(l, "baselabel"))
        if (attribute_is(l, "type", "kvm") || attribute_is(l, "type", "qemu"))
            return plain_owner(content(l));
    return NULL;
}

char *xml_qemu_owner(const char *xml)
{
    _cleanup_doc_ xmlDocPtr doc = parse(xml, "capabilities");
    xmlNodePtr host = doc ? child(xmlDocGetRootElement(doc), "host") : NULL;

    for (xmlNodePtr s = child(host, "secmodel"); s; s = next(s, "secmodel")) {
        char *owner = dac_owner(s);

        if (owner)
            return owner;
    }
    return NULL;
}

bool xml_qemu_confined(const char *xml)
{
    _cleanup_doc_ xmlDocPtr doc = parse(xml, "capabilities");
    xmlNodePtr host = doc ? child(xmlDocGetRootElement(doc), "host") : NULL;

    for (xmlNodePtr s = child(host, "secmodel"); s; s = next(s, "secmodel")) {
        _cleanup_free_ char *model = content(child(s, "model"));

        if (model && (strcmp(model, "apparmor") == 0 || strcmp(model, "selinux") == 0))
            return true;
    }
    return false;
}

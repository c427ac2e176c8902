/* SPDX-License-Identifier: Apache-2.0 */
/* The domain XML of a moved VM: a pure function of where it came from and where its disks are. */
#include "orchestrator/node/node.h"

#include <libxml/tree.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

/* Seconds; an engine that is restarted is back long before.  Ignored by libvirt without this
 * feature (9.0); there the guest pauses at once and is resumed. */
#define RECONNECT_DELAY "60"

/* What both parts need everywhere. */
struct build {
    const json_t *description;
    const json_t *placement;
    const json_t *hints; /* of slipway-morph; NULL: none */
    struct error **err;
};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static xmlNodePtr add(xmlNodePtr parent, const char *name)
{
    return xmlNewChild(parent, NULL, (const xmlChar *)name, NULL);
}

static xmlNodePtr set(xmlNodePtr node, const char *name, const char *value)
{
    xmlNewProp(node, (const xmlChar *)name, (const xmlChar *)value);
    return node;
}

/* xmlNewTextChild escapes its content, xmlNewChild does not. */
static xmlNodePtr add_text(xmlNodePtr parent, const char *name, const char *text)
{
    return xmlNewTextChild(parent, NULL, (const xmlChar *)name, (const xmlChar *)text);
}

static xmlNodePtr add_number(xmlNodePtr parent, const char *name, json_int_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    return add_text(parent, name, text);
}

static bool on_kvm(const struct build *b)
{
    return is(text_of(b->placement, "accel"), "kvm");
}

static bool is_x86(const struct build *b)
{
    const char *arch = text_of(b->description, "arch");

    return !arch || is(arch, "x86_64") || is(arch, "i686");
}

/* What was asked for, or the hint, when it is one of the known values, which end with NULL; else
 * the first of them. */
static const char *hinted(const struct build *b, const char *key, const char *const *known)
{
    const char *asked = text_of(b->placement, key);
    const char *value = asked ? asked : text_of(b->hints, key);

    for (const char *const *k = known; *k; k++)
        if (is(value, *k))
            return *k;
    return known[0];
}

/* A number of the placement, or as the source has it. */
static json_int_t size_of(const struct build *b, const char *key)
{
    const json_t *asked = json_object_get(b->placement, key);

    return json_integer_value(asked ? asked : json_object_get(b->description, key));
}

static bool hinted_true(const struct build *b, const char *key)
{
    return json_is_true(json_object_get(b->hints, key));
}

/* Emulation has nothing of it. */
static bool wants_hyperv(const struct build *b)
{
    return is_x86(b) && on_kvm(b) && hinted_true(b, "hyperv");
}

/* The source knows best how it started the guest; only where it does not say, the disks tell. */
static bool is_uefi(const struct build *b)
{
    const char *firmware = text_of(b->description, "firmware");

    return is(firmware ? firmware : text_of(b->hints, "firmware"), "uefi");
}

static bool is_windows(const struct build *b)
{
    const char *hint = text_of(b->description, "os_hint");

    return hint && (strstr(hint, "microsoft") || strstr(hint, "windows"));
}

/* Versions of machine types are the source's business; the family decides what the guest sees. */
static const char *machine_family(const struct build *b)
{
    static const char *const families[] = {"any", "q35", "pc", NULL};
    const char *machine = text_of(b->description, "machine");
    const char *wanted = hinted(b, "machine", families);

    if (!is_x86(b))
        return "virt";
    if (!is(wanted, "any"))
        return wanted;
    return machine && strstr(machine, "q35") ? "q35" : "pc";
}

static void add_firmware(const struct build *b, xmlNodePtr os)
{
    bool secure = json_is_true(json_object_get(b->description, "secure_boot"));
    xmlNodePtr firmware;

    set(os, "firmware", "efi");
    firmware = add(os, "firmware");
    set(set(add(firmware, "feature"), "enabled", secure ? "yes" : "no"), "name", "secure-boot");
    set(set(add(firmware, "feature"), "enabled", secure ? "yes" : "no"), "name", "enrolled-keys");
}

static void add_os(const struct build *b, xmlNodePtr domain)
{
    const char *arch = text_of(b->description, "arch");
    xmlNodePtr os = add(domain, "os");

    set(set(add_text(os, "type", "hvm"), "arch", arch ? arch : "x86_64"), "machine",
        machine_family(b));
    if (is_uefi(b))
        add_firmware(b, os);
}

/* What Windows asks a hypervisor for, so that idle VMs stay idle and clocks right. */
static void add_hyperv(xmlNodePtr features)
{
    xmlNodePtr hyperv = set(add(features, "hyperv"), "mode", "custom");

    set(add(hyperv, "relaxed"), "state", "on");
    set(add(hyperv, "vapic"), "state", "on");
    set(set(add(hyperv, "spinlocks"), "state", "on"), "retries", "8191");
    set(add(hyperv, "vpindex"), "state", "on");
    set(add(hyperv, "synic"), "state", "on");
    set(add(hyperv, "stimer"), "state", "on");
}

static void add_features(const struct build *b, xmlNodePtr domain)
{
    xmlNodePtr features = add(domain, "features");

    add(features, "acpi");
    if (is_x86(b))
        add(features, "apic");
    if (is_uefi(b) && json_is_true(json_object_get(b->description, "secure_boot")))
        set(add(features, "smm"), "state", "on");
    if (wants_hyperv(b))
        add_hyperv(features);
}

/* Without KVM every feature of a rich CPU model costs time: qemu64 boots fastest. */
static void add_cpu(const struct build *b, xmlNodePtr domain)
{
    xmlNodePtr cpu;

    if (on_kvm(b)) {
        set(add(domain, "cpu"), "mode", "host-model");
    } else if (is_x86(b)) {
        cpu = set(set(add(domain, "cpu"), "mode", "custom"), "match", "exact");
        set(cpu, "check", "none");
        set(add_text(cpu, "model", "qemu64"), "fallback", "forbid");
    }
}

static void add_life_cycle(const struct build *b, xmlNodePtr domain)
{
    const char *const offsets[] = {is_windows(b) ? "localtime" : "utc", "utc", "localtime", NULL};
    xmlNodePtr clock = set(add(domain, "clock"), "offset", hinted(b, "clock", offsets));

    if (wants_hyperv(b)) {
        set(set(add(clock, "timer"), "name", "hypervclock"), "present", "yes");
        set(set(add(clock, "timer"), "name", "rtc"), "tickpolicy", "catchup");
        set(set(add(clock, "timer"), "name", "pit"), "tickpolicy", "delay");
        set(set(add(clock, "timer"), "name", "hpet"), "present", "no");
    }
    add_text(domain, "on_poweroff", "destroy");
    add_text(domain, "on_reboot", "restart");
    add_text(domain, "on_crash", "destroy");
}

/* Where a guest cannot have virtio; IDE is on the old chipset only, and has room for four. */
static const char *disk_bus(const struct build *b)
{
    static const char *const buses[] = {"virtio", "scsi", "sata", "ide", NULL};
    const char *bus = hinted(b, "disk_bus", buses);

    if (is(bus, "ide") && (!is(machine_family(b), "pc") ||
                           json_array_size(json_object_get(b->description, "disks")) > 4))
        return "sata";
    return bus;
}

/* "vda" … "vdz", "vdaa" …; "sda" or "hda" on other buses. */
static void disk_target(size_t index, const char *bus, char name[16])
{
    char letters[8];
    size_t n = 0, at = 2;

    for (size_t i = index + 1; i > 0 && n < sizeof(letters); i = (i - 1) / 26)
        letters[n++] = (char)('a' + (i - 1) % 26);
    memcpy(name, is(bus, "virtio") ? "vd" : is(bus, "ide") ? "hd" : "sd", 2);
    while (n > 0)
        name[at++] = letters[--n];
    name[at] = '\0';
}

/* nbd+unix:///EXPORT?socket=PATH or nbd://HOST[:PORT]/EXPORT, as our own programs write them. */
static int add_nbd_source(const struct build *b, xmlNodePtr disk, const char *uri)
{
    xmlNodePtr source = set(add(disk, "source"), "protocol", "nbd"), host = add(source, "host");
    const char *rest = strstr(uri, "://"), *slash, *query, *colon;
    _cleanup_free_ char *name = NULL, *export = NULL;

    rest = rest ? rest + 3 : "";
    slash = strchr(rest, '/');
    if (!slash)
        return error_set(b->err, EINVAL, "\"%s\" is not an NBD URI with an export", uri);
    query = strchr(slash, '?');
    export = query ? str_format("%.*s", (int)(query - slash - 1), slash + 1) : str_dup(slash + 1);
    set(source, "name", export);
    if (str_starts(uri, "nbd+unix://") && query && str_starts(query, "?socket=")) {
        set(set(host, "transport", "unix"), "socket", query + strlen("?socket="));
    } else if (str_starts(uri, "nbd://") && slash > rest) {
        colon = memchr(rest, ':', (size_t)(slash - rest));
        name = str_format("%.*s", (int)((colon ? colon : slash) - rest), rest);
        set(host, "name", name);
        if (colon) {
            _cleanup_free_ char *port = str_format("%.*s", (int)(slash - colon - 1), colon + 1);

            set(host, "port", port);
        }
    } else {
        return error_set(b->err, EINVAL,
                         "\"%s\" is not an NBD URI that QEMU can open; "
                         "use nbd+unix:///EXPORT?socket=PATH",
                         uri);
    }
    set(add(source, "reconnect"), "delay", RECONNECT_DELAY);
    return 0;
}

static void add_file_source(xmlNodePtr disk, xmlNodePtr driver, const json_t *place)
{
    const char *path = text_of(place, "path");
    bool block = str_starts(path, "/dev/");
    bool direct = !json_is_false(json_object_get(place, "direct"));

    set(driver, "cache", direct ? "none" : "writeback");
    if (direct)
        set(driver, "io", "native");
    set(disk, "type", block ? "block" : "file");
    set(add(disk, "source"), block ? "dev" : "file", path);
}

static const json_t *find_named(const json_t *array, const char *name)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(array, i, entry) if (is(text_of(entry, "name"), name)) return entry;
    return NULL;
}

static int add_disk(const struct build *b, xmlNodePtr devices, const json_t *from, size_t index,
                    json_int_t boot_order)
{
    const char *name = text_of(from, "name"), *format;
    const json_t *place = find_named(json_object_get(b->placement, "disks"), name);
    const char *path = text_of(place, "path"), *uri = text_of(place, "nbd_uri");
    xmlNodePtr disk, driver;
    char target[16], order[24];
    int r = 0;

    if (!path && !uri)
        return error_set(b->err, EINVAL, "disk %s of VM \"%s\" has no place on the destination",
                         name, text_of(b->description, "name"));
    disk = set(add(devices, "disk"), "device", "disk");
    format = text_of(place, "format");
    driver = set(set(add(disk, "driver"), "name", "qemu"), "type", format ? format : "raw");
    if (path) {
        add_file_source(disk, driver, place);
    } else {
        /* The guest stands still rather than see errors while the engine is away. */
        set(set(driver, "cache", "none"), "error_policy", "stop");
        set(driver, "rerror_policy", "stop");
        set(disk, "type", "network");
        r = add_nbd_source(b, disk, uri);
    }
    set(driver, "discard", "unmap");
    disk_target(index, disk_bus(b), target);
    set(set(add(disk, "target"), "dev", target), "bus", disk_bus(b));
    snprintf(order, sizeof(order), "%lld", (long long)boot_order);
    if (boot_order > 0)
        set(add(disk, "boot"), "order", order);
    return r;
}

/* Orders of the source are kept; a source that has none boots from its first disk. */
static int add_disks(const struct build *b, xmlNodePtr devices)
{
    const json_t *disks = json_object_get(b->description, "disks"), *disk;
    bool ordered = false;
    size_t i;
    int r = 0;

    json_array_foreach(disks, i, disk) ordered = ordered || json_object_get(disk, "boot_order");
    json_array_foreach(disks, i, disk)
    {
        json_int_t order = json_integer_value(json_object_get(disk, "boot_order"));

        if (!ordered && i == 0)
            order = 1;
        if (r == 0)
            r = add_disk(b, devices, disk, i, order);
    }
    return r;
}

static void plug_nic(xmlNodePtr nic, const char *to)
{
    if (is(to, "isolated")) {
        /* The link is up, and whatever is sent goes to the discard port of this host, where nobody
         * listens. */
        xmlNodePtr source = set(set(add(set(nic, "type", "udp"), "source"), "address", "127.0.0.1"),
                                "port", "9");

        set(set(add(source, "local"), "address", "127.0.0.1"), "port", "0");
    } else if (is(to, "user") || is(to, "none")) {
        set(nic, "type", "user");
    } else if (str_starts(to, "bridge:")) {
        set(nic, "type", "bridge");
        set(add(nic, "source"), "bridge", to + strlen("bridge:"));
    } else {
        set(nic, "type", "network");
        set(add(nic, "source"), "network", to);
    }
}

static int add_nic(const struct build *b, xmlNodePtr devices, const json_t *from)
{
    static const char *const models[] = {"virtio", "e1000e", "e1000", "rtl8139", NULL};
    const char *network = text_of(from, "network"), *mac = text_of(from, "mac");
    const char *to = network ? text_of(json_object_get(b->placement, "networks"), network) : NULL;
    xmlNodePtr nic;

    if (!to)
        return error_set(b->err, EINVAL,
                         "network \"%s\" of VM \"%s\" is not mapped to one of the destination; "
                         "add --map-network %s=NETWORK (or bridge:NAME, user, none)",
                         network ? network : "", text_of(b->description, "name"),
                         network ? network : "NAME");
    nic = add(devices, "interface");
    plug_nic(nic, to);
    if (mac)
        set(add(nic, "mac"), "address", mac);
    set(add(nic, "model"), "type", hinted(b, "nic_model", models));
    /* The guest keeps a NIC that nobody hears, so that nothing waits for a missing device. */
    if (is(to, "none"))
        set(add(nic, "link"), "state", "down");
    return 0;
}

static int add_nics(const struct build *b, xmlNodePtr devices)
{
    const json_t *nic;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(b->description, "nics"), i, nic) if (r == 0) r =
        add_nic(b, devices, nic);
    return r;
}

static void add_serial(const struct build *b, xmlNodePtr devices)
{
    const char *log = text_of(b->placement, "console_log");
    xmlNodePtr serial;

    if (!json_is_true(json_object_get(b->description, "serial")) && !log)
        return;
    serial = set(add(devices, "serial"), "type", "pty");
    if (log)
        set(set(add(serial, "log"), "file", log), "append", "on");
    set(add(serial, "target"), "port", "0");
    set(set(add(set(add(devices, "console"), "type", "pty"), "target"), "type", "serial"), "port",
        "0");
}

static void add_tpm(xmlNodePtr devices)
{
    xmlNodePtr tpm = set(add(devices, "tpm"), "model", "tpm-crb");

    set(set(add(tpm, "backend"), "type", "emulator"), "version", "2.0");
}

static void add_extras(const struct build *b, xmlNodePtr devices)
{
    static const char *const models[] = {"vga", "virtio", NULL};
    xmlNodePtr channel = set(add(devices, "channel"), "type", "unix");
    xmlNodePtr rng, graphics;

    set(set(add(channel, "target"), "type", "virtio"), "name", "org.qemu.guest_agent.0");
    rng = set(add(devices, "rng"), "model", "virtio");
    set(add_text(rng, "backend", "/dev/urandom"), "model", "random");
    if (is_x86(b)) {
        graphics = set(set(add(devices, "graphics"), "type", "vnc"), "autoport", "yes");
        set(graphics, "listen", "127.0.0.1");
        set(add(add(devices, "video"), "model"), "type", hinted(b, "video", models));
    }
    set(add(devices, "memballoon"), "model", "virtio");
    if (hinted_true(b, "tpm"))
        add_tpm(devices);
    if (is(disk_bus(b), "scsi"))
        set(set(set(add(devices, "controller"), "type", "scsi"), "index", "0"), "model",
            "virtio-scsi");
}

/* For tools that show and tune VMs by it. */
static void add_osinfo(const struct build *b, xmlNodePtr domain)
{
    const char *id = text_of(b->hints, "osinfo");
    xmlNodePtr info;
    xmlNsPtr ns;

    if (!id || !*id)
        return;
    info = xmlNewNode(NULL, (const xmlChar *)"libosinfo");
    ns = xmlNewNs(info, (const xmlChar *)"http://libosinfo.org/xmlns/libvirt/domain/1.0",
                  (const xmlChar *)"libosinfo");
    xmlSetNs(info, ns);
    set(xmlNewChild(info, ns, (const xmlChar *)"os", NULL), "id", id);
    xmlAddChild(add(domain, "metadata"), info);
}

static int fill_domain(const struct build *b, xmlNodePtr domain)
{
    const char *name = text_of(b->placement, "name"), *uuid = text_of(b->placement, "uuid");
    xmlNodePtr devices;
    int r;

    if (!name)
        name = text_of(b->description, "name");
    if (!uuid)
        uuid = text_of(b->description, "uuid");
    if (!name)
        return error_set(b->err, EINVAL, "the VM for the destination has no name");
    set(domain, "type", on_kvm(b) ? "kvm" : "qemu");
    add_text(domain, "name", name);
    if (uuid)
        add_text(domain, "uuid", uuid);
    add_osinfo(b, domain);
    set(add_number(domain, "memory", size_of(b, "memory_bytes") >> 10), "unit", "KiB");
    add_number(domain, "vcpu", size_of(b, "vcpus"));
    add_os(b, domain);
    add_features(b, domain);
    add_cpu(b, domain);
    add_life_cycle(b, domain);
    devices = add(domain, "devices");
    r = add_disks(b, devices);
    if (r == 0)
        r = add_nics(b, devices);
    add_serial(b, devices);
    add_extras(b, devices);
    return r;
}

static char *dump(xmlDocPtr doc)
{
    xmlBufferPtr buffer = xmlBufferCreate();
    char *text;

    xmlNodeDump(buffer, doc, xmlDocGetRootElement(doc), 0, 1);
    text = str_format("%s\n", (const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

int node_domain_xml(const json_t *description, const json_t *placement, char **ret_xml,
                    struct error **err)
{
    struct build b = {.description = description,
                      .placement = placement,
                      .hints = json_object_get(placement, "hints"),
                      .err = err};
    xmlDocPtr doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNodePtr domain = xmlNewNode(NULL, (const xmlChar *)"domain");
    int r;

    xmlDocSetRootElement(doc, domain);
    r = fill_domain(&b, domain);
    if (r == 0)
        *ret_xml = dump(doc);
    xmlFreeDoc(doc);
    return r;
}

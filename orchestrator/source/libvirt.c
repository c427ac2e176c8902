/* SPDX-License-Identifier: Apache-2.0 */
/* The libvirt provider: its table, its connection, and what its parts share. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/node/node.h"
#include "orchestrator/source/libvirt-xml.h"

int virt_domain(struct source *source, const char *vm, virDomainPtr *ret_domain, struct error **err)
{
    *ret_domain = virDomainLookupByUUIDString(source->conn, vm);
    if (!*ret_domain)
        *ret_domain = virDomainLookupByName(source->conn, vm);
    if (*ret_domain)
        return 0;
    if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return error_set(err, ENOENT,
                         "there is no VM \"%s\" on %s; the list of VMs shows what is there", vm,
                         source->uri);
    return virt_error(err, "cannot look up VM \"%s\" on %s", vm, source->uri);
}

enum source_power virt_power(virDomainPtr domain)
{
    int state = VIR_DOMAIN_NOSTATE, reason;

    if (virDomainIsActive(domain) == 0)
        return SOURCE_OFF;
    virDomainGetState(domain, &state, &reason, 0);
    switch (state) {
    case VIR_DOMAIN_SHUTOFF:
        return SOURCE_OFF;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
    case VIR_DOMAIN_CRASHED: /* active and crashed: QEMU is there and stands still */
        return SOURCE_PAUSED;
    default:
        return SOURCE_RUNNING;
    }
}

int virt_note(struct source *source, json_t *thing, int64_t *ret_key, struct error **err)
{
    int r = 0;

    *ret_key = 0;
    if (source->journal.add)
        r = source->journal.add(source->journal.context, thing, ret_key, err);
    json_decref(thing);
    return r;
}

int virt_forget(struct source *source, int64_t key, struct error **err)
{
    if (!source->journal.remove || key <= 0)
        return 0;
    return source->journal.remove(source->journal.context, key, err);
}

static bool accepts(const char *uri)
{
    return str_starts(uri, "qemu:") || str_starts(uri, "qemu+");
}

static void source_close(struct source *source)
{
    if (!source)
        return;
    if (source->conn)
        virConnectClose(source->conn);
    host_done(&source->host);
    free(source->uri);
    free(source->qemu_owner);
    free(source);
}
DEFINE_CLEANUP(struct source *, source_close)

static int source_connect(struct source *source, struct error **err)
{
    _cleanup_free_ char *capabilities = NULL;

    node_expect(source->uri);
    source->conn = virConnectOpen(source->uri);
    if (!source->conn)
        return virt_error(err, "cannot connect to source %s", source->uri);
    /* Detects a dead host; without effect (and not supported) on local connections. */
    virConnectSetKeepAlive(source->conn, 10, 6);
    capabilities = virConnectGetCapabilities(source->conn);
    if (!capabilities)
        return virt_error(err, "cannot read the capabilities of source %s", source->uri);
    source->qemu_owner = xml_qemu_owner(capabilities);
    source->qemu_confined = xml_qemu_confined(capabilities);
    return 0;
}

static int source_open(const char *uri, const char *password, const struct source_journal *journal,
                       struct source **ret_source, struct error **err)
{
    _cleanup_(source_closep) struct source *source = mem_new(1, sizeof(*source));
    int r;

    source->uri = str_dup(uri);
    if (journal)
        source->journal = *journal;
    r = host_init(&source->host, uri, err);
    if (r < 0)
        return r;
    if (password && *password)
        return error_set(err, EINVAL,
                         "source %s takes no password; for qemu+ssh use a key (ssh-agent or "
                         "&keyfile=PATH in the URI)",
                         uri);
    virt_be_silent();
    r = node_events_start(err);
    if (r == 0)
        r = source_connect(source, err);
    if (r < 0)
        return r;
    *ret_source = steal_ptr(source);
    return 0;
}

const struct source_ops source_libvirt_ops = {
    .name = "libvirt",
    .accepts = accepts,
    .open = source_open,
    .close = source_close,
    .list = virt_list,
    .describe = virt_describe,
    .facts = virt_facts,
    .snapshot_begin = virt_snapshot_begin,
    .snapshot_end = virt_snapshot_end,
    .power = virt_power_get,
    .shutdown = virt_shutdown,
    .start = virt_start,
    .cleanup = virt_cleanup,
    .guard_read = virt_guard_read,
    .guard_set = virt_guard_set,
    .hold = virt_hold,
    .write_begin = virt_write_begin,
    .retire = virt_retire,
    .room = virt_room,
};

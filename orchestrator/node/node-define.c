/* SPDX-License-Identifier: Apache-2.0 */
/* Making, starting and removing the VM on the destination. */
#include "orchestrator/node/node-libvirt.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"

#define STOP_TIMEOUT (120 * NS_PER_S)
#define STOP_ASK_AGAIN (20 * NS_PER_S)

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static int check_free(struct node *node, const char *name, const char *uuid, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr by_name = NULL, by_uuid = NULL;
    int r = node_find(node, name, &by_name, err);

    if (r < 0)
        return r;
    if (by_name)
        return error_set(err, EEXIST,
                         "destination %s has a VM \"%s\" already; choose another name, or remove "
                         "that VM",
                         node->uri, name);
    by_uuid = uuid ? virDomainLookupByUUIDString(node->conn, uuid) : NULL;
    if (by_uuid)
        return error_set(err, EEXIST,
                         "destination %s has a VM with uuid %s already (\"%s\"); remove it, or "
                         "migrate to another destination",
                         node->uri, uuid, virDomainGetName(by_uuid));
    return 0;
}

static int check_bridge(const char *bridge, struct error **err)
{
    _cleanup_free_ char *path = str_format("/sys/class/net/%s", bridge);
    struct stat st;

    if (!strchr(bridge, '/') && stat(path, &st) == 0)
        return 0;
    return error_set(err, ENOENT,
                     "there is no bridge \"%s\" on this host; make it, or map the "
                     "network to another one",
                     bridge);
}

static int check_network(struct node *node, const char *network, struct error **err)
{
    virNetworkPtr found;
    int active;

    if (strcmp(network, "none") == 0 || strcmp(network, "user") == 0 ||
        strcmp(network, "isolated") == 0)
        return 0;
    if (str_starts(network, "bridge:"))
        return check_bridge(network + strlen("bridge:"), err);
    found = virNetworkLookupByName(node->conn, network);
    if (!found)
        return error_set(err, ENOENT,
                         "destination %s has no network \"%s\"; define it, or map to "
                         "bridge:NAME, user or none",
                         node->uri, network);
    active = virNetworkIsActive(found);
    virNetworkFree(found);
    if (active == 0)
        return error_set(err, EPERM,
                         "network \"%s\" of destination %s is not started; start it "
                         "with virsh net-start",
                         network, node->uri);
    return 0;
}

int node_check(struct node *node, const json_t *description, const json_t *placement,
               struct error **err)
{
    const char *name = text_of(placement, "name"), *uuid = text_of(placement, "uuid");
    json_t *networks = json_object_get(placement, "networks"), *network;
    const char *from;
    int r;

    if (!uuid)
        uuid = text_of(description, "uuid");
    if (!name)
        name = text_of(description, "name");
    r = check_free(node, name, uuid, err);
    json_object_foreach(networks, from, network) if (r == 0 && json_is_string(network)) r =
        check_network(node, json_string_value(network), err);
    return r;
}

int node_define(struct node *node, const char *xml, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = virDomainDefineXML(node->conn, xml);

    return domain ? 0 : virt_error(err, "cannot define the VM on %s", node->uri);
}

int node_start(struct node *node, const char *name, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    _cleanup_error_ struct error *failure = NULL;
    int r = node_need(node, name, &domain, err);

    if (r < 0 || virDomainIsActive(domain) == 1 || virDomainCreate(domain) == 0)
        return r;
    virt_error(&failure, "cannot start VM \"%s\" on %s", name, node->uri);
    return virDomainIsActive(domain) == 1 ? 0 : error_move(err, &failure);
}

int node_resume(struct node *node, const char *name, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int r = node_find(node, name, &domain, err);

    if (r < 0 || !domain || !node_stopped_by_disk(domain))
        return r;
    if (virDomainResume(domain) == 0)
        return 1;
    return virt_error(err, "cannot let VM \"%s\" on %s go on", name, node->uri);
}

static int stop_gracefully(struct node *node, virDomainPtr domain, const char *name,
                           struct error **err)
{
    uint64_t end = clock_now_ns() + STOP_TIMEOUT, next = 0;

    while (virDomainIsActive(domain) == 1) {
        uint64_t now = clock_now_ns();

        if (now >= end)
            return error_set(err, ETIMEDOUT,
                             "VM \"%s\" on %s does not shut down; stop it by force "
                             "or from inside",
                             name, node->uri);
        if (now >= next) {
            virDomainShutdown(domain);
            next = now + STOP_ASK_AGAIN;
        }
        clock_sleep_ns(250 * NS_PER_MS);
    }
    return 0;
}

int node_stop(struct node *node, const char *name, bool force, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    _cleanup_error_ struct error *failure = NULL;
    int r = node_find(node, name, &domain, err);

    if (r < 0 || !domain || virDomainIsActive(domain) != 1)
        return r;
    if (!force)
        return stop_gracefully(node, domain, name, err);
    if (virDomainDestroy(domain) == 0)
        return 0;
    virt_error(&failure, "cannot switch off VM \"%s\" on %s", name, node->uri);
    return virDomainIsActive(domain) == 1 ? error_move(err, &failure) : 0;
}

int node_ask_off(struct node *node, const char *name, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int r = node_find(node, name, &domain, err);

    /* A guest that refuses now may obey later; whoever waits asks again. */
    if (r == 0 && domain && virDomainIsActive(domain) == 1)
        virDomainShutdown(domain);
    return r;
}

int node_undefine(struct node *node, const char *name, struct error **err)
{
    const unsigned flags = VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                           VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                           VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int r = node_find(node, name, &domain, err);

    if (r < 0 || !domain || virDomainUndefineFlags(domain, flags) == 0)
        return r;
    return virt_error(err, "cannot remove the definition of VM \"%s\" from %s", name, node->uri);
}

bool node_has_tpm(struct node *node, const char *arch)
{
    _cleanup_free_ char *caps =
        virConnectGetDomainCapabilities(node->conn, NULL, arch, NULL, NULL, 0);
    const char *tpm = caps ? strstr(caps, "<tpm supported='yes'") : NULL;
    const char *end = tpm ? strstr(tpm, "</tpm>") : NULL, *emulator;

    emulator = end ? strstr(tpm, "<value>emulator</value>") : NULL;
    return emulator && emulator < end;
}

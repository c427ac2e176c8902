/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of node/; nobody else includes this. */
#pragma once

#include <libvirt/libvirt.h>

#include "base/cleanup.h"
#include "orchestrator/node/node.h"
#include "orchestrator/node/virterror.h"

struct node {
    virConnectPtr conn;
    char *uri;
};

static inline void node_domain_freep(virDomainPtr *d)
{
    if (*d)
        virDomainFree(*d);
}
#define _cleanup_node_domain_ _cleanup_(node_domain_freep)

/* *ret_domain is NULL when it is absent; -errno only when libvirt cannot say. */
int node_find(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err);

/* As node_find, but absence is ENOENT. */
int node_need(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err);

/* node-embed.c: makes the directory of an embedded driver and its configuration, and ends what a
 * killed process left in it.  To be called before the driver is opened. */
int node_embed_prepare(const char *root, struct error **err);

/* True when it is paused by the error policy of a disk. */
bool node_stopped_by_disk(virDomainPtr domain);

/* Static text; see node_state. */
const char *node_domain_state(virDomainPtr domain);

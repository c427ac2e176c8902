/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of node/; nobody else includes this. */
#pragma once

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/cleanup.h"
#include "orchestrator/node/node.h"

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

/*
 * The sentence, ": " and libvirt's own last message.  Code EIO, or what libvirt's code stands for.
 * The message is taken before the other arguments are evaluated: every call of libvirt forgets it.
 */
#define node_error(err, ...)                                                                       \
    ({                                                                                             \
        virErrorPtr node_last_ = virSaveLastError();                                               \
        node_error_saved(node_last_, err, __VA_ARGS__);                                            \
    })

/* Frees saved, which may be NULL. */
int node_error_saved(virErrorPtr saved, struct error **err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* *ret_domain is NULL when it is absent; -errno only when libvirt cannot say. */
int node_find(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err);

/* As node_find, but absence is ENOENT. */
int node_need(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err);

/* node-embed.c: makes the directory of an embedded driver and its configuration, and ends what a
 * killed process left in it.  To be called before the driver is opened. */
int node_embed_prepare(const char *root, struct error **err);

/* Static text; see node_state. */
const char *node_domain_state(virDomainPtr domain);

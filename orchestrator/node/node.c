/* SPDX-License-Identifier: Apache-2.0 */
/* Connection to the destination, a libvirtd or libvirt's embedded driver. */
#include "orchestrator/node/node-libvirt.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"

#define SYSTEM_URI "qemu:///system"

/* libvirt wants an absolute path, and in a URI only harmless characters stand for themselves. */
static char *embed_uri(const char *root)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~";
    char path[PATH_MAX], *text = NULL;
    size_t size;
    FILE *out;

    if (!realpath(root, path))
        return NULL;
    out = open_memstream(&text, &size);
    if (!out)
        abort();
    fputs("qemu:///embed?root=", out);
    for (const char *p = path; *p; p++)
        if (strchr(plain, *p))
            fputc(*p, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*p);
    fclose(out);
    return text;
}

static int connect_embed(struct node *node, const char *root, struct error **err)
{
    int r = node_embed_prepare(root, err);

    if (r < 0)
        return r;
    node->uri = embed_uri(root);
    if (!node->uri)
        return error_set_errno(err, errno, "cannot use %s for libvirt's embedded driver", root);
    node_expect(node->uri);
    node->conn = virConnectOpen(node->uri);
    if (node->conn)
        return 0;
    return virt_error(err,
                      "cannot open libvirt's embedded driver in %s (a second process cannot "
                      "use the same directory)",
                      root);
}

/* An embedded driver that is named by its URI gets its configuration as well. */
static int prepare_uri(const char *uri, struct error **err)
{
    static const char start[] = "qemu:///embed?root=";
    _cleanup_free_ char *root = NULL;

    if (!str_starts(uri, start))
        return 0;
    uri += strlen(start);
    root = str_unescape(uri, strcspn(uri, "&"));
    return node_embed_prepare(root, err);
}

static int connect_uri(struct node *node, const char *uri, struct error **err)
{
    int r = prepare_uri(uri, err);

    if (r < 0)
        return r;
    node->uri = str_dup(uri);
    node_expect(uri);
    node->conn = virConnectOpen(uri);
    return node->conn ? 0 : virt_error(err, "cannot connect to destination %s", uri);
}

static int node_connect(struct node *node, const char *uri, const char *embed_root,
                        struct error **err)
{
    if (uri)
        return connect_uri(node, uri, err);
    if (connect_uri(node, SYSTEM_URI, NULL) == 0)
        return 0;
    free(steal_ptr(node->uri));
    if (!embed_root)
        return error_set(err, ECONNREFUSED,
                         "no libvirtd answers at %s; start it, or name another "
                         "destination URI",
                         SYSTEM_URI);
    return connect_embed(node, embed_root, err);
}

int node_open(const char *uri, const char *embed_root, struct node **ret_node, struct error **err)
{
    struct node *node;
    int r = node_events_start(err);

    if (r < 0)
        return r;
    virt_be_silent();
    node = mem_new(1, sizeof(*node));
    r = node_connect(node, uri, embed_root, err);
    if (r < 0)
        node_close(node);
    else
        *ret_node = node;
    return r;
}

void node_close(struct node *node)
{
    if (!node)
        return;
    if (node->conn)
        virConnectClose(node->conn);
    free(node->uri);
    free(node);
}

const char *node_uri(const struct node *node)
{
    return node->uri;
}

int node_find(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err)
{
    *ret_domain = virDomainLookupByName(node->conn, name);
    if (*ret_domain || virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return 0;
    return virt_error(err, "cannot look up VM \"%s\" on %s", name, node->uri);
}

int node_need(struct node *node, const char *name, virDomainPtr *ret_domain, struct error **err)
{
    int r = node_find(node, name, ret_domain, err);

    if (r < 0 || *ret_domain)
        return r;
    return error_set(err, ENOENT, "VM \"%s\" is not defined on %s", name, node->uri);
}

bool node_stopped_by_disk(virDomainPtr domain)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    return virDomainGetState(domain, &state, &reason, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
           reason == VIR_DOMAIN_PAUSED_IOERROR;
}

const char *node_domain_state(virDomainPtr domain)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    virDomainGetState(domain, &state, &reason, 0);
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN:
        return "running";
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
        return "paused";
    case VIR_DOMAIN_CRASHED:
        return "crashed";
    case VIR_DOMAIN_SHUTOFF:
        return reason == VIR_DOMAIN_SHUTOFF_CRASHED || reason == VIR_DOMAIN_SHUTOFF_FAILED
                   ? "crashed"
                   : "off";
    default:
        return "off";
    }
}

int node_state(struct node *node, const char *name, const char **ret_state, struct error **err)
{
    _cleanup_node_domain_ virDomainPtr domain = NULL;
    int r = node_find(node, name, &domain, err);

    if (r == 0)
        *ret_state = domain ? node_domain_state(domain) : "absent";
    return r;
}

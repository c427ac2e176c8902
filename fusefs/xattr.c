/* SPDX-License-Identifier: Apache-2.0 */
/* user.slipway.generation, .mode, .source and .digest of a disk's file. */
#include "fusefs/fs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PREFIX "user.slipway."

static const char names[] = PREFIX "generation\0" PREFIX "mode\0" PREFIX "source\0" PREFIX "digest";

static char *generation_of(const struct node *n)
{
    return n->writable ? str_dup("") : str_format("%" PRIu64, n->generation);
}

static char *mode_of(const struct node *n, const struct vm_state *s)
{
    return str_dup(n->draft ? "draft" : s->mode);
}

/* The identity of the point in time; known of the latest generation. */
static char *source_of(const struct node *n, const struct vm_state *s)
{
    return str_dup(n->writable || (s->mirror && n->generation == s->generation) ? s->snapshot : "");
}

/* Asked once: a generation does not change. */
static char *digest_of(struct fs *fs, struct node *n, const char *store)
{
    char *digest;

    pthread_mutex_lock(nodes_lock(fs->nodes));
    digest = str_dup(n->digest);
    pthread_mutex_unlock(nodes_lock(fs->nodes));
    if (digest || n->writable)
        return digest;
    digest = vm_digest(store, n->disk, n->generation);
    LOCK_FOR_SCOPE(nodes_lock(fs->nodes));
    if (!n->digest)
        n->digest = str_dup(digest);
    return digest;
}

/* The value, owned by the caller; NULL: no such attribute. */
static char *value_of(struct fs *fs, struct node *n, const char *name)
{
    _cleanup_free_ char *store = n->vm ? fs_store(fs, n->vm) : NULL;
    _cleanup_vm_state_ struct vm_state *s = NULL;

    if (n->kind != NODE_DISK || !str_starts(name, PREFIX) || vm_state_get(store, &s, NULL) < 0)
        return NULL;
    name += strlen(PREFIX);
    return strcmp(name, "generation") == 0 ? generation_of(n)
           : strcmp(name, "mode") == 0     ? mode_of(n, s)
           : strcmp(name, "source") == 0   ? source_of(n, s)
           : strcmp(name, "digest") == 0   ? digest_of(fs, n, store)
                                           : NULL;
}

static void reply(fuse_req_t req, const char *bytes, size_t length, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, length);
    else if (length > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, bytes, length);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct fs *fs = fs_of(req);
    _cleanup_free_ char *value = value_of(fs, node_of(fs, ino), name);

    if (value)
        reply(req, value, strlen(value), size);
    else
        fuse_reply_err(req, ENODATA);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    const struct node *n = node_of(fs_of(req), ino);
    size_t length = n->kind == NODE_DISK ? sizeof(names) : 0;

    if (n->kind == NODE_DISK && n->writable) /* what changes has no digest */
        length -= sizeof(PREFIX "digest");
    reply(req, names, length, size);
}

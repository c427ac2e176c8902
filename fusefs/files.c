/* SPDX-License-Identifier: Apache-2.0 */
/* What is open.  Requests of disks are answered when the engine has answered; no thread waits. */
#include "fusefs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "fusefs/disk.h"

/* A text that is open: as it was then. */
struct text {
    char *bytes;
    size_t size;
};

struct call {
    struct disk_request request;
    fuse_req_t req;
    struct disk *disk;
    struct node *node;        /* of an open */
    struct fuse_file_info fi; /* of an open */
    size_t length;
    char data[];
};

static struct call *call_of(struct disk_request *r)
{
    return (struct call *)((char *)r - offsetof(struct call, request));
}

static struct call *call_new(fuse_req_t req, enum disk_what what, uint64_t offset, uint64_t length,
                             size_t data)
{
    struct call *c = malloc(sizeof(*c) + data);

    if (!c)
        return NULL;
    *c = (struct call){.request = {.what = what, .offset = offset, .length = length,
                                   .data = c->data},
                       .req = req, .length = (size_t)length};
    return c;
}

static bool is_disk(const struct node *n)
{
    return n->kind == NODE_DISK;
}

/* ---- interrupts ---- */

static void interrupted(fuse_req_t req, void *data)
{
    struct call *c = data;

    disk_interrupt(c->disk, &c->request);
}

static void submit_call(struct call *c, struct disk *d)
{
    c->disk = d;
    fuse_req_interrupt_func(c->req, interrupted, c);
    disk_submit(d, &c->request);
}

/* Afterwards nobody interrupts it any more, nor is about to. */
static struct call *settled(struct disk_request *r)
{
    struct call *c = call_of(r);

    fuse_req_interrupt_func(c->req, NULL, NULL);
    return c;
}

/* ---- open, release ---- */

static struct disk *connect_disk(struct fs *fs, const struct node *n)
{
    _cleanup_free_ char *socket = fs_store_file(fs, n->vm, "nbd.sock");
    _cleanup_free_ char *export_name = fs_export(n), *label = fs_label(n);

    return disk_new(&(struct disk_options){.socket = socket, .export_name = export_name,
                                           .label = label, .size = n->size,
                                           .fixed = !n->writable || n->draft,
                                           .wait_ns = fs->options->wait_ns});
}

static struct disk *acquire(struct fs *fs, struct node *n)
{
    LOCK_FOR_SCOPE(nodes_lock(fs->nodes));
    if (!n->open)
        n->open = connect_disk(fs, n);
    n->opens += n->open != NULL;
    return n->open;
}

static void release_disk(struct fs *fs, struct node *n)
{
    struct disk *ended = NULL;

    pthread_mutex_lock(nodes_lock(fs->nodes));
    if (n->opens == 1)
        ended = steal_ptr(n->open);
    pthread_mutex_unlock(nodes_lock(fs->nodes));
    disk_end(ended);
    nodes_closed(fs->nodes, n);
}

static void opened(struct disk_request *r, int error)
{
    struct call *c = settled(r);
    struct fs *fs = fs_of(c->req);

    if (error) {
        release_disk(fs, c->node);
        fuse_reply_err(c->req, error);
    } else if (fuse_reply_open(c->req, &c->fi) < 0) {
        release_disk(fs, c->node); /* whoever opened it was interrupted */
    }
    free(c);
}

static void open_disk(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct call *c = call_new(req, DISK_OPEN, 0, 0, 0);
    struct disk *d = c ? acquire(fs, n) : NULL;

    if (!d) {
        free(c);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    c->request.done = opened;
    c->node = n;
    c->fi = *fi;
    c->fi.keep_cache = !n->writable;
    c->fi.direct_io = n->writable;
    c->fi.noflush = 1;
    submit_call(c, d);
}

static void open_text(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;
    _cleanup_free_ char *store = NULL;
    struct fs *fs = fs_of(req);
    struct text *t = mem_new(1, sizeof(*t));

    if (n->kind == NODE_ABOUT) {
        t->bytes = fs_about(fs);
    } else {
        store = fs_store(fs, n->vm);
        if (vm_state_get(store, &s, NULL) == 0)
            t->bytes = steal_ptr(s->text);
    }
    t->size = t->bytes ? strlen(t->bytes) : 0;
    fi->fh = (uint64_t)(uintptr_t)t;
    fi->direct_io = 1; /* longer or shorter the next time */
    if (t->bytes && fuse_reply_open(req, fi) == 0)
        return;
    if (!t->bytes)
        fuse_reply_err(req, ENOENT);
    free(t->bytes);
    free(t);
}

void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);

    if ((fi->flags & O_ACCMODE) != O_RDONLY && !n->writable)
        fuse_reply_err(req, EROFS);
    else if (is_disk(n))
        open_disk(req, n, fi);
    else
        open_text(req, n, fi);
}

void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);
    struct text *t = (struct text *)(uintptr_t)fi->fh;

    if (is_disk(n)) {
        release_disk(fs_of(req), n);
    } else {
        free(t->bytes);
        free(t);
    }
    fuse_reply_err(req, 0);
}

/* ---- requests ---- */

static void was_read(struct disk_request *r, int error)
{
    struct call *c = settled(r);

    if (error)
        fuse_reply_err(c->req, error);
    else
        fuse_reply_buf(c->req, c->data, c->length);
    free(c);
}

static void was_written(struct disk_request *r, int error)
{
    struct call *c = settled(r);

    if (error)
        fuse_reply_err(c->req, error);
    else
        fuse_reply_write(c->req, c->length);
    free(c);
}

static void was_done(struct disk_request *r, int error)
{
    struct call *c = settled(r);

    fuse_reply_err(c->req, error);
    free(c);
}

static void was_found(struct disk_request *r, int error)
{
    struct call *c = settled(r);

    if (error)
        fuse_reply_err(c->req, error);
    else
        fuse_reply_lseek(c->req, (off_t)r->found);
    free(c);
}

static void submit(struct node *n, struct call *c, fuse_req_t req,
                   void (*done)(struct disk_request *, int))
{
    if (!c) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    c->request.done = done;
    submit_call(c, n->open);
}

void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
             struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);
    const struct text *t = (struct text *)(uintptr_t)fi->fh;
    uint64_t total = is_disk(n) ? n->size : t->size;
    uint64_t from = MIN((uint64_t)offset, total), length = MIN((uint64_t)size, total - from);

    if (!is_disk(n) || length == 0)
        fuse_reply_buf(req, is_disk(n) ? NULL : t->bytes + from, length);
    else
        submit(n, call_new(req, DISK_READ, from, length, length), req, was_read);
}

/* Past the end there is nothing, as on any disk. */
static bool fits(const struct node *n, off_t offset, uint64_t length)
{
    return (uint64_t)offset <= n->size && length <= n->size - (uint64_t)offset;
}

void fs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);
    struct call *c;

    if (!fits(n, offset, size)) {
        if ((uint64_t)offset >= n->size) {
            fuse_reply_err(req, ENOSPC);
            return;
        }
        size = n->size - (uint64_t)offset;
    }
    c = call_new(req, DISK_WRITE, (uint64_t)offset, size, size);
    if (c)
        memcpy(c->data, data, size);
    if (c)
        c->request.durable = fi->flags & (O_SYNC | O_DSYNC);
    submit(n, c, req, was_written);
}

void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);

    if (!n->writable)
        fuse_reply_err(req, 0); /* a generation is durable */
    else
        submit(n, call_new(req, DISK_FLUSH, 0, 0, 0), req, was_done);
}

void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi)
{
    const int known = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
    struct node *n = node_of(fs_of(req), ino);

    if (!n->writable)
        fuse_reply_err(req, EROFS);
    else if (mode & ~known || !(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
        fuse_reply_err(req, EOPNOTSUPP);
    else if (!fits(n, offset, (uint64_t)length))
        fuse_reply_err(req, EFBIG);
    else
        submit(n, call_new(req, DISK_ZERO, (uint64_t)offset, (uint64_t)length, 0), req, was_done);
}

void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
              struct fuse_file_info *fi)
{
    struct node *n = node_of(fs_of(req), ino);

    if (!is_disk(n) || (whence != SEEK_DATA && whence != SEEK_HOLE))
        fuse_reply_err(req, EINVAL);
    else if (offset < 0 || (uint64_t)offset >= n->size)
        fuse_reply_err(req, ENXIO);
    else
        submit(n, call_new(req, whence == SEEK_DATA ? DISK_SEEK_DATA : DISK_SEEK_HOLE,
                           (uint64_t)offset, n->size - (uint64_t)offset, 0), req, was_found);
}

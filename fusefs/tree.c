/* SPDX-License-Identifier: Apache-2.0 */
/* Names, folders and attributes.  VMs, generations and drafts come and go: every look-up asks. */
#include "fusefs/fs.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "fusefs/disk.h"

#define SUFFIX ".raw"
#define ABOUT ".slipwayfs.json"
#define STATUS "status.json"
#define DRAFTS "draft"
#define INO_UNKNOWN 0xffffffff  /* until it is looked up; 0 would hide the name */
#define FIXED_S 3600.0          /* how long the kernel may keep what does not change */
#define BLOCKS_NS (2 * NS_PER_S) /* ... and we what does */

/* ---- attributes ---- */

static bool is_folder(const struct node *n)
{
    return n->kind != NODE_DISK && n->kind != NODE_STATUS && n->kind != NODE_ABOUT;
}

static bool is_fixed(const struct node *n)
{
    return n->kind == NODE_DISK && !n->writable;
}

/* Asked once for a generation, and now and then for what changes. */
static uint64_t blocks_of(struct fs *fs, struct node *n)
{
    _cleanup_free_ char *socket = NULL, *name = NULL;
    uint64_t now = clock_now_ns(), bytes = 0;

    pthread_mutex_lock(nodes_lock(fs->nodes));
    if (n->blocks_ns && (is_fixed(n) || now - n->blocks_ns < BLOCKS_NS)) {
        bytes = n->blocks * 512;
        pthread_mutex_unlock(nodes_lock(fs->nodes));
        return bytes / 512;
    }
    pthread_mutex_unlock(nodes_lock(fs->nodes));
    socket = fs_store_file(fs, n->vm, "nbd.sock");
    name = fs_export(n);
    if (disk_count_data(socket, name, &bytes) < 0)
        return div_up(n->size, 512); /* as if it had no holes */
    LOCK_FOR_SCOPE(nodes_lock(fs->nodes));
    n->blocks = div_up(bytes, 512);
    n->blocks_ns = now;
    return n->blocks;
}

static void fill_attr(struct fs *fs, struct node *n, struct stat *st)
{
    *st = (struct stat){.st_ino = n->number, .st_nlink = 1, .st_gid = fs->group,
                        .st_blksize = 65536};
    st->st_atime = st->st_mtime = st->st_ctime = (time_t)fs->mounted_s;
    if (is_folder(n)) {
        st->st_mode = S_IFDIR | 0750;
        st->st_nlink = 2;
        return;
    }
    st->st_mode = S_IFREG | (n->writable ? 0660 : 0440);
    st->st_size = (off_t)n->size;
    st->st_blocks = n->kind == NODE_DISK ? (blkcnt_t)blocks_of(fs, n) : 0;
}

/* ---- finding ---- */

/* The disk's name in "<disk>.raw"; owned by the caller, or NULL. */
static char *disk_name(const char *file)
{
    size_t length = strlen(file), suffix = strlen(SUFFIX);

    if (length <= suffix || strcmp(file + length - suffix, SUFFIX) != 0)
        return NULL;
    return str_format("%.*s", (int)(length - suffix), file);
}

static int find_in_root(struct fs *fs, const char *name, struct node **ret_node)
{
    _cleanup_free_ char *super = NULL, *about = NULL;

    if (strcmp(name, ABOUT) == 0) {
        about = fs_about(fs);
        *ret_node = nodes_get(fs->nodes, NODE_ABOUT, NULL, NULL, false, 0, NULL, strlen(about));
        return 0;
    }
    super = fs_store_file(fs, name, "super");
    if (name[0] == '.' || access(super, F_OK) < 0)
        return -ENOENT;
    *ret_node = nodes_get(fs->nodes, NODE_VM, name, NULL, false, 0, NULL, 0);
    return 0;
}

static int find_disk(struct fs *fs, const struct vm_state *s, const char *vm, const char *draft,
                     bool writable, uint64_t generation, const char *file, struct node **ret_node)
{
    _cleanup_free_ char *name = disk_name(file);
    const struct vm_disk *d = name ? vm_state_disk(s, name) : NULL;

    if (!d)
        return -ENOENT;
    *ret_node = nodes_get(fs->nodes, NODE_DISK, vm, draft, writable, generation, name, d->size);
    return 0;
}

/* "@12" */
static bool is_generation(const char *name, uint64_t *ret_generation)
{
    char again[32];

    if (sscanf(name, "@%" SCNu64, ret_generation) != 1)
        return false;
    snprintf(again, sizeof(again), "@%" PRIu64, *ret_generation);
    return strcmp(name, again) == 0;
}

static int find_in_vm(struct fs *fs, const struct vm_state *s, const char *vm, const char *name,
                      struct node **ret_node)
{
    uint64_t generation;

    if (strcmp(name, STATUS) == 0) {
        *ret_node = nodes_get(fs->nodes, NODE_STATUS, vm, NULL, false, 0, NULL, strlen(s->text));
        return 0;
    }
    if (!s->running)
        return -ENOENT;
    if (strcmp(name, DRAFTS) == 0) {
        *ret_node = nodes_get(fs->nodes, NODE_DRAFTS, vm, NULL, false, 0, NULL, 0);
        return 0;
    }
    if (is_generation(name, &generation)) {
        if (!s->mirror || !vm_state_retains(s, generation))
            return -ENOENT;
        *ret_node = nodes_get(fs->nodes, NODE_GENERATION, vm, NULL, false, generation, NULL, 0);
        return 0;
    }
    if (!s->mirror && !s->owner)
        return -ENOENT;
    return find_disk(fs, s, vm, NULL, s->owner, s->generation, name, ret_node);
}

static int find(struct fs *fs, const struct node *parent, const char *name,
                struct node **ret_node)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;
    _cleanup_free_ char *store = NULL;
    int r;

    if (parent->kind == NODE_ROOT)
        return find_in_root(fs, name, ret_node);
    if (!is_folder(parent))
        return -ENOTDIR;
    store = fs_store(fs, parent->vm);
    r = vm_state_get(store, &s, NULL);
    if (r < 0)
        return r;
    if (parent->kind == NODE_VM)
        return find_in_vm(fs, s, parent->vm, name, ret_node);
    if (parent->kind == NODE_GENERATION)
        return !vm_state_retains(s, parent->generation)
                   ? -ENOENT
                   : find_disk(fs, s, parent->vm, NULL, false, parent->generation, name, ret_node);
    if (parent->kind == NODE_DRAFT)
        return !vm_state_has_draft(s, parent->draft)
                   ? -ENOENT
                   : find_disk(fs, s, parent->vm, parent->draft, true, 0, name, ret_node);
    if (!vm_state_has_draft(s, name))
        return -ENOENT;
    *ret_node = nodes_get(fs->nodes, NODE_DRAFT, parent->vm, name, false, 0, NULL, 0);
    return 0;
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param e = {0};
    struct node *n = NULL;
    int r = find(fs, node_of(fs, parent), name, &n);

    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    e.ino = (fuse_ino_t)(uintptr_t)n;
    e.generation = n->number;
    e.attr_timeout = is_fixed(n) ? FIXED_S : 0;
    fill_attr(fs, n, &e.attr);
    if (fuse_reply_entry(req, &e) < 0)
        nodes_forget(fs->nodes, n, 1);
}

void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    struct fs *fs = fs_of(req);

    nodes_forget(fs->nodes, node_of(fs, ino), count);
    fuse_reply_none(req);
}

void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct fs *fs = fs_of(req);

    for (size_t i = 0; i < count; i++)
        nodes_forget(fs->nodes, node_of(fs, forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

/* ---- attributes, asked for ---- */

static void refresh_size(struct fs *fs, struct node *n)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;
    _cleanup_free_ char *store = NULL, *about = NULL;

    if (n->kind == NODE_ABOUT) {
        about = fs_about(fs);
        n->size = strlen(about);
    } else if (n->kind == NODE_STATUS) {
        store = fs_store(fs, n->vm);
        if (vm_state_get(store, &s, NULL) == 0)
            n->size = strlen(s->text);
    }
}

void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct node *n = node_of(fs, ino);
    struct stat st;

    refresh_size(fs, n);
    fill_attr(fs, n, &st);
    fuse_reply_attr(req, &st, is_fixed(n) ? FIXED_S : 0);
}

/* A disk has the size it has; its times and its owner are nobody's. */
void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct node *n = node_of(fs, ino);
    const int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW |
                      FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME;

    if (!n->writable)
        fuse_reply_err(req, EROFS);
    else if (to_set & FUSE_SET_ATTR_SIZE && (uint64_t)attr->st_size != n->size)
        fuse_reply_err(req, EPERM);
    else if (to_set & ~(FUSE_SET_ATTR_SIZE | times))
        fuse_reply_err(req, EPERM);
    else
        fs_getattr(req, ino, fi);
}

void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs v = {.f_bsize = 65536, .f_frsize = 512, .f_namemax = 255};

    fuse_reply_statfs(req, &v);
}

/* ---- listing ---- */

struct listing {
    fuse_req_t req;
    char *bytes;
    size_t size;
};

static void add(struct listing *l, const char *name, mode_t type)
{
    struct stat st = {.st_mode = type, .st_ino = INO_UNKNOWN};
    size_t more = fuse_add_direntry(l->req, NULL, 0, name, NULL, 0);
    char *bytes = realloc(l->bytes, l->size + more);

    if (!bytes)
        return; /* a name that is not listed */
    l->bytes = bytes;
    l->size += more;
    fuse_add_direntry(l->req, bytes + l->size - more, more, name, &st, (off_t)l->size);
}

static void list_vms(struct fs *fs, struct listing *l)
{
    DIR *dir = opendir(fs->options->stores);
    const struct dirent *e;

    add(l, ABOUT, S_IFREG);
    while (dir && (e = readdir(dir))) {
        _cleanup_free_ char *super = fs_store_file(fs, e->d_name, "super");

        if (e->d_name[0] != '.' && access(super, F_OK) == 0)
            add(l, e->d_name, S_IFDIR);
    }
    if (dir)
        closedir(dir);
}

static void list_disks(const struct vm_state *s, struct listing *l)
{
    for (size_t i = 0; i < s->disk_count; i++) {
        _cleanup_free_ char *name = str_format("%s" SUFFIX, s->disks[i].name);

        add(l, name, S_IFREG);
    }
}

static void list_vm(const struct vm_state *s, struct listing *l)
{
    char name[32];

    add(l, STATUS, S_IFREG);
    if (!s->running)
        return;
    add(l, DRAFTS, S_IFDIR);
    if (s->mirror || s->owner)
        list_disks(s, l);
    for (size_t i = 0; s->mirror && i < s->retained_count; i++) {
        snprintf(name, sizeof(name), "@%" PRIu64, s->retained[i]);
        add(l, name, S_IFDIR);
    }
}

static int list(struct fs *fs, const struct node *n, struct listing *l)
{
    _cleanup_vm_state_ struct vm_state *s = NULL;
    _cleanup_free_ char *store = NULL;
    int r;

    add(l, ".", S_IFDIR);
    add(l, "..", S_IFDIR);
    if (n->kind == NODE_ROOT) {
        list_vms(fs, l);
        return 0;
    }
    store = fs_store(fs, n->vm);
    r = vm_state_get(store, &s, NULL);
    if (r == 0 && n->kind == NODE_VM)
        list_vm(s, l);
    else if (r == 0 && n->kind == NODE_DRAFTS)
        for (size_t i = 0; i < s->draft_count; i++)
            add(l, s->drafts[i], S_IFDIR);
    else if (r == 0)
        list_disks(s, l);
    return r;
}

void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct node *n = node_of(fs, ino);
    struct listing *l;
    int r;

    if (!is_folder(n)) {
        fuse_reply_err(req, ENOTDIR);
        return;
    }
    l = mem_new(1, sizeof(*l));
    l->req = req;
    r = list(fs, n, l);
    fi->fh = (uint64_t)(uintptr_t)l;
    if (r < 0 || fuse_reply_open(req, fi) < 0) {
        free(l->bytes);
        free(l);
    }
    if (r < 0)
        fuse_reply_err(req, -r);
}

void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi)
{
    const struct listing *l = (struct listing *)(uintptr_t)fi->fh;
    size_t from = MIN((size_t)offset, l->size);

    fuse_reply_buf(req, l->bytes + from, MIN(size, l->size - from));
}

void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct listing *l = (struct listing *)(uintptr_t)fi->fh;

    free(l->bytes);
    free(l);
    fuse_reply_err(req, 0);
}

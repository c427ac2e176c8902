/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipwayfs: every VM's disks as files.
 *
 *   /.slipwayfs.json                  about this file system
 *   /<vm>/status.json                 what the engine says
 *   /<vm>/<disk>.raw                  the latest generation of a mirror; an owner's disk, writable
 *   /<vm>/@<generation>/<disk>.raw    a generation that is retained
 *   /<vm>/draft/<name>/<disk>.raw     an open draft, writable
 *
 *   main.c, options.c  the program                  tree.c   names, folders, attributes
 *   files.c            what is open                 xattr.c  extended attributes
 *   node.c             inodes                       disk.c   connections and requests
 *   vmstate.c          what there is of a VM        link.c   connecting
 *   refuse.c           what nobody may do
 */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fusefs/node.h"
#include "fusefs/options.h"
#include "fusefs/vmstate.h"

struct fs {
    const struct fs_options *options;
    struct nodes *nodes;
    gid_t group;           /* of all files: "slipway", when there is such a group */
    uint64_t mounted_s;    /* Unix time */
    struct fuse_session *session;
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static inline struct node *node_of(struct fs *fs, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? nodes_root(fs->nodes) : (struct node *)(uintptr_t)ino;
}

/* Path of the VM's store, and of a file in it; owned by the caller. */
char *fs_store(const struct fs *fs, const char *vm);
char *fs_store_file(const struct fs *fs, const char *vm, const char *name);

/* What the engine exports the disk as, and what people call it; owned by the caller. */
char *fs_export(const struct node *disk);
char *fs_label(const struct node *disk);

/* The file system itself, as JSON; owned by the caller. */
char *fs_about(const struct fs *fs);

/* What the build and the kernel allow beyond plain requests: "" or why not. */
const char *fs_passthrough(void);
const char *fs_over_uring(void);

/* Handlers of requests, as struct fuse_lowlevel_ops has them; each answers its request once, now or
 * when the engine has answered. */
void fs_init(void *userdata, struct fuse_conn_info *conn);

/* tree.c */
void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void fs_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                struct fuse_file_info *fi);
void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi);
void fs_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_statfs(fuse_req_t req, fuse_ino_t ino);

/* files.c */
void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
             struct fuse_file_info *fi);
void fs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
              struct fuse_file_info *fi);
void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                  struct fuse_file_info *fi);
void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
              struct fuse_file_info *fi);

/* refuse.c: EPERM */
void fs_refuse_name(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device);
void fs_refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi);
void fs_refuse_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void fs_refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void fs_refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags);
void fs_refuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags);

/* xattr.c */
void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

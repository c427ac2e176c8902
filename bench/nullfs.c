/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   nullfs SOCKET EXPORT MOUNTPOINT     one read-only file, "disk", that is the NBD export
 *
 * The least that a file system over NBD can be, for comparison: libfuse's threads ask libnbd, each
 * over a connection of its own, and wait for the answer.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_INO 2
#define REQUEST_MAX (1 << 20)

static const char *socket_path, *export_name;
static uint64_t size;
static __thread struct nbd_handle *own;
static __thread char *buffer;

static struct nbd_handle *connection(void)
{
    if (own)
        return own;
    own = nbd_create();
    buffer = malloc(REQUEST_MAX);
    if (!own || !buffer || nbd_set_export_name(own, export_name) < 0 ||
        nbd_set_pread_initialize(own, false) < 0 || nbd_connect_unix(own, socket_path) < 0) {
        fprintf(stderr, "nullfs: %s\n", nbd_get_error());
        exit(1);
    }
    return own;
}

static void fill(fuse_ino_t ino, struct stat *st)
{
    *st = (struct stat){.st_ino = ino, .st_nlink = 1};
    st->st_mode = ino == FILE_INO ? S_IFREG | 0444 : S_IFDIR | 0555;
    st->st_size = ino == FILE_INO ? (off_t)size : 0;
}

static void null_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param e = {.ino = FILE_INO, .attr_timeout = 3600, .entry_timeout = 3600};

    if (strcmp(name, "disk") != 0) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fill(FILE_INO, &e.attr);
    fuse_reply_entry(req, &e);
}

static void null_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st;

    fill(ino, &st);
    fuse_reply_attr(req, &st, 3600);
}

static void null_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void null_read(fuse_req_t req, fuse_ino_t ino, size_t length, off_t offset,
                      struct fuse_file_info *fi)
{
    struct nbd_handle *nbd = connection();
    uint64_t left = (uint64_t)offset < size ? size - (uint64_t)offset : 0;

    length = length < left ? length : left;
    if (length > 0 && nbd_pread(nbd, buffer, length, (uint64_t)offset, 0) < 0)
        fuse_reply_err(req, EIO);
    else
        fuse_reply_buf(req, buffer, length);
}

static void null_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->max_write = conn->max_read = REQUEST_MAX;
    conn->max_background = 256;
    conn->congestion_threshold = 192;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_AUTO_INVAL_DATA);
}

static const struct fuse_lowlevel_ops operations = {.init = null_init,
                                                    .lookup = null_lookup,
                                                    .getattr = null_getattr,
                                                    .open = null_open,
                                                    .read = null_read};

int main(int argc, char **argv)
{
    char option[] = "-omax_read=1048576";
    char *words[] = {argv[0], option};
    struct fuse_args args = FUSE_ARGS_INIT(2, words);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fuse_session *session;

    if (argc != 4)
        return 2;
    socket_path = argv[1];
    export_name = argv[2];
    size = (uint64_t)nbd_get_size(connection());
    session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
    if (!session || fuse_session_mount(session, argv[3]) < 0 ||
        fuse_set_signal_handlers(session) < 0)
        return 1;
    fuse_loop_cfg_set_clone_fd(config, 1);
    fuse_loop_cfg_set_max_threads(config, 16);
    fuse_session_loop_mt(session, config);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return 0;
}

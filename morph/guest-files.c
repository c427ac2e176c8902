/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's files: struct tree over the appliance, and what writes. */
#include "morph/guest-inside.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/buffer.h"

/* Files are read by messages.  libguestfs's transfers, which it has for large ones, come in pieces
 * of 8 KiB: a third of the speed under emulation.  A message has at most 4 MiB. */
#define MESSAGE ((size_t)3 << 20)

/* Up to `size` bytes of a file from `offset`. */
static int read_pieces(struct guest *guest, const char *path, uint64_t offset, size_t size,
                       char **ret_data, size_t *ret_length, struct error **err)
{
    _cleanup_free_ char *data = malloc(size + 1);
    size_t at = 0, length = 1;

    if (!data)
        return error_set(err, ENOMEM, "no memory for %zu bytes of %s", size, path);
    while (at < size && length > 0) {
        char *piece = guestfs_pread(guest->g, path, (int)MIN(size - at, MESSAGE),
                                    (int64_t)(offset + at), &length);

        if (!piece)
            return guest_error(guest, err, path);
        memcpy(data + at, piece, MIN(length, size - at));
        at += MIN(length, size - at);
        free(piece);
    }
    data[at] = '\0';
    *ret_length = at;
    *ret_data = steal_ptr(data);
    return 0;
}

static int op_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                   struct error **err)
{
    struct guest *guest = self;
    struct guestfs_statns *st;
    bool regular;
    int64_t size;

    if (guest_name_is_missing(guest, path))
        return -ENOENT;
    st = guestfs_statns(guest->g, path);
    if (!st)
        return guest_errno(guest) == ENOENT || guest_errno(guest) == ENOTDIR
                   ? -ENOENT
                   : guest_error(guest, err, path);
    regular = S_ISREG(st->st_mode);
    size = st->st_size;
    guestfs_free_statns(st);
    if (!regular)
        return -ENOENT;
    if (size < 0 || (uint64_t)size > max)
        return error_set(err, EFBIG, "the guest's file %s is larger than %zu bytes", path, max);
    return read_pieces(guest, path, 0, (size_t)size, ret_data, ret_length, err);
}

static int op_list(void *self, const char *path, char ***ret_names, struct error **err)
{
    struct guest *guest = self;
    char **names = guestfs_ls(guest->g, path);

    if (!names && (guest_errno(guest) == ENOENT || guest_errno(guest) == ENOTDIR))
        names = mem_new(1, sizeof(char *));
    if (!names)
        return guest_error(guest, err, path);
    *ret_names = names;
    return 0;
}

static int op_readlink(void *self, const char *path, char **ret_target)
{
    struct guest *guest = self;
    char *target;

    if (guest_name_is_missing(guest, path))
        return -ENOENT;
    target = guestfs_readlink(guest->g, path);
    if (!target)
        return -guest_errno(guest);
    *ret_target = target;
    return 0;
}

static enum tree_kind op_kind(void *self, const char *path)
{
    struct guest *guest = self;
    struct guestfs_statns *st;
    enum tree_kind kind = TREE_NONE;

    if (guest_name_is_missing(guest, path))
        return TREE_NONE;
    st = guestfs_lstatns(guest->g, path);
    if (!st)
        return TREE_NONE;
    if (S_ISREG(st->st_mode))
        kind = TREE_FILE;
    else if (S_ISDIR(st->st_mode))
        kind = TREE_DIR;
    else if (S_ISLNK(st->st_mode))
        kind = TREE_LINK;
    else
        kind = TREE_OTHER;
    guestfs_free_statns(st);
    return kind;
}

static const struct tree_ops guest_tree_ops = {
    .read = op_read,
    .list = op_list,
    .readlink = op_readlink,
    .kind = op_kind,
};

struct tree guest_tree(struct guest *guest)
{
    return (struct tree){.ops = &guest_tree_ops, .self = guest};
}

int guest_space(struct guest *guest, const char *directory, struct guest_space *ret_space,
                struct error **err)
{
    struct guestfs_statvfs *st = guestfs_statvfs(guest->g, directory);

    if (!st)
        return guest_error(guest, err, directory);
    *ret_space = (struct guest_space){
        .bytes = (uint64_t)st->bavail * (uint64_t)(st->frsize > 0 ? st->frsize : st->bsize),
        .inodes = st->files > 0 ? (uint64_t)st->favail : UINT64_MAX,
        .id = (uint64_t)st->fsid,
    };
    guestfs_free_statvfs(st);
    return 0;
}

static int make_parent(struct guest *guest, const char *path, struct error **err)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = str_format("%.*s", (int)(slash - path), path);

    if (!*parent || guestfs_mkdir_p(guest->g, parent) == 0)
        return 0;
    return guest_error(guest, err, parent);
}

#define LABEL "security.selinux"

int guest_label(struct guest *guest, const char *path, const char *label, struct error **err)
{
    /* As setfilecon(3) stores it: with the NUL byte. */
    if (guestfs_lsetxattr(guest->g, LABEL, label, (int)strlen(label) + 1, path) < 0 &&
        guest_errno(guest) != ENOTSUP)
        return guest_error(guest, err, path);
    return 0;
}

int guest_check_label(struct guest *guest, const char *path, const char *label, struct error **err)
{
    size_t length = 0;
    _cleanup_free_ char *found = guestfs_lgetxattr(guest->g, path, LABEL, &length);

    if (found ? length == strlen(label) + 1 && memcmp(found, label, length) == 0
              : guest_errno(guest) == ENOTSUP)
        return 0;
    return error_set(err, EIO, "%s does not have the SELinux context %s", path, label);
}

/* Owner, mode and label of what was just made. */
static int dress(struct guest *guest, const char *path, const struct guest_new *as, bool is_link,
                 struct error **err)
{
    if ((as->uid || as->gid) && guestfs_lchown(guest->g, (int)as->uid, (int)as->gid, path) < 0)
        return guest_error(guest, err, path);
    if (as->mode && !is_link && guestfs_chmod(guest->g, as->mode, path) < 0)
        return guest_error(guest, err, path);
    return as->label ? guest_label(guest, path, as->label, err) : 0;
}

/* `data` goes to `path` from `offset` on; what stood behind it is cut off when offset is 0. */
static int upload(struct guest *guest, const char *path, uint64_t offset, const void *data,
                  size_t length, struct error **err)
{
    _cleanup_close_ int fd = memfd_create("slipway-upload", MFD_CLOEXEC);
    char local[32];
    int r = fd < 0 ? -errno : fdio_write_all(fd, data, length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot keep %zu bytes for %s", length, path);
    snprintf(local, sizeof(local), "/proc/self/fd/%d", fd);
    r = offset > 0 ? guestfs_upload_offset(guest->g, local, path, (int64_t)offset)
                   : guestfs_upload(guest->g, local, path);
    return r < 0 ? guest_error(guest, err, path) : 0;
}

int guest_write(struct guest *guest, const char *path, const void *data, size_t length,
                const struct guest_new *as, struct error **err)
{
    int r = make_parent(guest, path, err);
    struct guestfs_statns *st;

    /* Writing to a pipe that the guest left there would wait for ever. */
    st = r == 0 ? guestfs_statns(guest->g, path) : NULL;
    if (st && !S_ISREG(st->st_mode))
        r = error_set(err, EINVAL, "%s in the guest is not a regular file", path);
    if (r == 0 && length > MESSAGE)
        r = upload(guest, path, 0, data, length, err);
    else if (r == 0 && guestfs_write(guest->g, path, data, length) < 0)
        r = guest_error(guest, err, path);
    if (r == 0 && !st)
        r = dress(guest, path, as, false, err);
    guestfs_free_statns(st);
    return r;
}

int guest_directory(struct guest *guest, const char *path, const struct guest_new *as,
                    struct error **err)
{
    int r = make_parent(guest, path, err);

    if (r < 0 || op_kind(guest, path) == TREE_DIR)
        return r;
    if (guestfs_mkdir(guest->g, path) < 0)
        return guest_error(guest, err, path);
    return dress(guest, path, as, false, err);
}

int guest_append(struct guest *guest, const char *path, uint64_t offset, const void *data,
                 size_t length, struct error **err)
{
    int r = upload(guest, path, offset, data, length, err);

    if (r == 0 && guestfs_filesize(guest->g, path) != (int64_t)(offset + length))
        return error_set(err, EIO, "%s did not get the size it should have after appending", path);
    return r;
}

int guest_link(struct guest *guest, const char *path, const char *target,
               const struct guest_new *as, struct error **err)
{
    int r = make_parent(guest, path, err);

    if (r == 0 && op_kind(guest, path) == TREE_LINK && guestfs_rm(guest->g, path) < 0)
        r = guest_error(guest, err, path);
    if (r == 0 && guestfs_ln_s(guest->g, target, path) < 0)
        r = guest_error(guest, err, path);
    return r < 0 ? r : dress(guest, path, as, true, err);
}

int guest_remove_link(struct guest *guest, const char *path, struct error **err)
{
    if (op_kind(guest, path) != TREE_LINK)
        return error_set(err, EINVAL, "%s in the guest is no longer a symbolic link", path);
    return guestfs_rm(guest->g, path) < 0 ? guest_error(guest, err, path) : 0;
}

int guest_delete(struct guest *guest, const char *path, struct error **err)
{
    if (op_kind(guest, path) != TREE_FILE)
        return error_set(err, EINVAL, "%s in the guest is no longer a regular file", path);
    return guestfs_rm(guest->g, path) < 0 ? guest_error(guest, err, path) : 0;
}

#define WORDS_MAX 64

int guest_run(struct guest *guest, const char *words, size_t length, struct error **err)
{
    char *argv[WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    char *output;

    for (size_t at = 0; at < length && count < WORDS_MAX; at += strlen(words + at) + 1)
        argv[count++] = (char *)words + at;
    output = guestfs_command(guest->g, argv);
    if (!output)
        return guest_error(guest, err, argv[0] ? argv[0] : "(no program)");
    free(output);
    return 0;
}

int guest_check_bytes(struct guest *guest, const char *path, uint64_t offset, const void *data,
                      size_t length, struct error **err)
{
    _cleanup_free_ char *found = NULL;
    size_t found_length;
    int r = read_pieces(guest, path, offset, length + 1, &found, &found_length, err);

    if (r < 0)
        return error_prefix(err, "%s cannot be read back", path);
    if (found_length != length || memcmp(found, data, length) != 0)
        return error_set(err, EIO, "%s does not hold what was written to it", path);
    return 0;
}

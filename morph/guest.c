/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/guest.h"

#include <ctype.h>
#include <guestfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/buffer.h"

#define CONSOLE_TAIL 4096
#define MOUNTS 8

/* Files up to SMALL bytes are read by messages, which cost a hundredth of starting a transfer. */
#define SMALL ((size_t)8 << 20)
#define MESSAGE ((size_t)2 << 20)

struct guest {
    guestfs_h *g;
    int disks;
    char console[CONSOLE_TAIL + 1]; /* what QEMU and the appliance said last */
    size_t console_length;
    struct {
        char *device, *directory, *options;
    } mounts[MOUNTS]; /* what is mounted, in order, to mount it again */
    size_t mount_count;
};

static void strings_free(char ***list)
{
    tree_names_free(*list);
}
#define _cleanup_strings_ _cleanup_(strings_free)

/* errno of the last failure; EIO where the appliance gave none. */
static int guest_errno(const struct guest *guest)
{
    int code = guestfs_last_errno(guest->g);

    return code > 0 ? code : EIO;
}

/* Sets a sentence "CONTEXT: what libguestfs says". */
static int guest_error(struct guest *guest, struct error **err, const char *context)
{
    const char *text = guestfs_last_error(guest->g);

    return error_set(err, guest_errno(guest), "%s: %s", context, text ? text : "unknown error");
}

static void on_console(guestfs_h *g, void *opaque, uint64_t event, int handle, int flags,
                       const char *buf, size_t length, const uint64_t *array, size_t array_length)
{
    struct guest *guest = opaque;

    if (length > CONSOLE_TAIL) {
        buf += length - CONSOLE_TAIL;
        length = CONSOLE_TAIL;
    }
    if (guest->console_length + length > CONSOLE_TAIL) {
        size_t drop = guest->console_length + length - CONSOLE_TAIL;

        memmove(guest->console, guest->console + drop, guest->console_length - drop);
        guest->console_length -= drop;
    }
    memcpy(guest->console + guest->console_length, buf, length);
    guest->console_length += length;
    guest->console[guest->console_length] = '\0';
}

/*
 * What QEMU itself wrote last, for people; NULL when it wrote nothing.  Its line is
 * "qemu-system-x86_64: -drive file=…,id=hd1,…: SENTENCE"; hd1 is our second disk.
 */
static char *qemu_complaint(const struct guest *guest)
{
    const char *found = NULL, *at = guest->console, *sentence, *disk;
    char *line;

    while ((at = strstr(at, "qemu-system-")))
        found = at++;
    if (!found)
        return NULL;
    found += strcspn(found, ": \n");
    found += strspn(found, ": ");
    disk = strstr(found, "=hd");
    sentence = *found == '-' ? strstr(found, ": ") : NULL;
    sentence = sentence ? sentence + 2 : found;
    if (disk && disk < sentence)
        line = str_format("disk %d: %.*s", atoi(disk + 3) + 1, (int)strcspn(sentence, "\r\n"),
                          sentence);
    else
        line = str_format("%.*s", (int)strcspn(sentence, "\r\n"), sentence);
    for (char *p = line; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
    return line;
}

static int add_disk(struct guest *guest, const struct disk_spec *disk, bool read_only,
                    struct error **err)
{
    struct guestfs_add_drive_opts_argv opts = {
        .bitmask = GUESTFS_ADD_DRIVE_OPTS_FORMAT_BITMASK | GUESTFS_ADD_DRIVE_OPTS_READONLY_BITMASK,
        .format = "raw",
        .readonly = read_only,
    };
    _cleanup_free_ char *server = NULL;
    char *servers[2] = {NULL, NULL};

    if (disk->file) {
        if (guestfs_add_drive_opts_argv(guest->g, disk->file, &opts) < 0)
            return guest_error(guest, err, disk->file);
        return 0;
    }
    if (disk->socket)
        server = str_format("unix:%s", disk->socket);
    else
        server = str_format(strchr(disk->host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", disk->host,
                            disk->port);
    servers[0] = server;
    opts.bitmask |= GUESTFS_ADD_DRIVE_OPTS_PROTOCOL_BITMASK | GUESTFS_ADD_DRIVE_OPTS_SERVER_BITMASK;
    opts.protocol = "nbd";
    opts.server = servers;
    if (guestfs_add_drive_opts_argv(guest->g, disk->export_name, &opts) < 0)
        return guest_error(guest, err, server);
    return 0;
}

static int configure(struct guest *guest, const struct guest_options *options, struct error **err)
{
    guestfs_h *g = guest->g;
    int r = fdio_make_dirs(options->cache_dir, 0755);

    if (r < 0)
        return error_set_errno(err, -r, "cannot make the appliance's cache directory '%s'",
                               options->cache_dir);
    if (guestfs_set_backend(g, "direct") < 0 ||
        guestfs_set_backend_setting(g, options->kvm ? "force_kvm" : "force_tcg", "1") < 0 ||
        guestfs_set_cachedir(g, options->cache_dir) < 0)
        return guest_error(guest, err, "cannot set libguestfs up");
    for (size_t i = 0; i < options->disk_count; i++) {
        r = add_disk(guest, &options->disks[i], options->read_only, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int guest_open(const struct guest_options *options, struct guest **ret_guest, struct error **err)
{
    struct guest *guest = mem_new(1, sizeof(*guest));
    int r;

    guest->disks = (int)options->disk_count;
    guest->g = guestfs_create();
    if (!guest->g) {
        free(guest);
        return error_set(err, ENOMEM, "cannot make a libguestfs handle");
    }
    guestfs_set_error_handler(guest->g, NULL, NULL);
    guestfs_set_event_callback(guest->g, on_console, GUESTFS_EVENT_APPLIANCE, 0, guest);
    r = configure(guest, options, err);
    if (r == 0 && guestfs_launch(guest->g) < 0) {
        _cleanup_free_ char *complaint = qemu_complaint(guest);

        r = error_set(err, EIO,
                      "the appliance that opens the disks did not start: %s; see that every --disk "
                      "can be opened for writing, and LIBGUESTFS_DEBUG=1 for details",
                      complaint ? complaint : guestfs_last_error(guest->g));
    }
    if (r < 0) {
        guest_abandon(guest);
        return r;
    }
    *ret_guest = guest;
    return 0;
}

static void forget_mounts(struct guest *guest)
{
    for (size_t i = 0; i < guest->mount_count; i++) {
        free(guest->mounts[i].device);
        free(guest->mounts[i].directory);
        free(guest->mounts[i].options);
    }
    guest->mount_count = 0;
}

void guest_abandon(struct guest *guest)
{
    if (!guest)
        return;
    forget_mounts(guest);
    guestfs_close(guest->g);
    free(guest);
}

int guest_close(struct guest *guest, struct error **err)
{
    int r = 0;

    if (guestfs_umount_all(guest->g) < 0)
        r = guest_error(guest, err, "cannot unmount the guest's filesystems");
    if (r == 0 && guestfs_sync(guest->g) < 0)
        r = guest_error(guest, err, "cannot flush the guest's disks");
    if (r == 0 && guestfs_shutdown(guest->g) < 0)
        r = guest_error(guest, err, "the appliance did not end cleanly");
    guest_abandon(guest);
    return r;
}

/* Only what can stand in fstab without harm. */
static bool uuid_is_sane(const char *uuid)
{
    size_t n = strspn(uuid, "0123456789abcdefABCDEF-");

    return n >= 4 && n <= 64 && !uuid[n];
}

static void probe(struct guest *guest, struct volume *v)
{
    _cleanup_strings_ char **tags = guestfs_blkid(guest->g, v->device);

    for (char **t = tags; t && t[0] && t[1]; t += 2) {
        if (strcmp(t[0], "TYPE") == 0)
            str_replace(&v->type, t[1]);
        else if (strcmp(t[0], "UUID") == 0 && uuid_is_sane(t[1]))
            str_replace(&v->uuid, t[1]);
        else if (strcmp(t[0], "LABEL") == 0)
            str_replace(&v->label, t[1]);
        else if (strcmp(t[0], "PART_ENTRY_UUID") == 0)
            str_replace(&v->partuuid, t[1]);
    }
}

static int add_disk_volumes(struct guest *guest, struct volume_list *list, struct error **err)
{
    _cleanup_strings_ char **partitions = guestfs_list_partitions(guest->g);
    _cleanup_strings_ char **devices = guestfs_list_devices(guest->g);
    bool used[256] = {false};

    if (!partitions || !devices)
        return guest_error(guest, err, "cannot list the guest's disks");
    for (char **p = partitions; *p; p++) {
        _cleanup_free_ char *device = guestfs_part_to_dev(guest->g, *p);
        int number = guestfs_part_to_partnum(guest->g, *p);
        int disk = device ? guestfs_device_index(guest->g, device) : -1;

        if (disk < 0 || number < 1)
            continue;
        if (disk < (int)sizeof(used))
            used[disk] = true;
        probe(guest, volume_add(list, *p, disk, number));
    }
    for (int disk = 0; devices[disk] && disk < (int)sizeof(used); disk++)
        if (!used[disk])
            probe(guest, volume_add(list, devices[disk], disk, 0));
    return 0;
}

int guest_volumes(struct guest *guest, struct volume_list *ret_list, struct error **err)
{
    struct volume_list list = {.disks = guest->disks};
    char *lvm[] = {(char *)"lvm2", NULL};
    int r = add_disk_volumes(guest, &list, err);

    if (r == 0) {
        _cleanup_strings_ char **md = guestfs_list_md_devices(guest->g);
        _cleanup_strings_ char **lvs =
            guestfs_feature_available(guest->g, lvm) > 0 ? guestfs_lvs(guest->g) : NULL;

        for (char **d = md; d && *d; d++)
            probe(guest, volume_add(&list, *d, -1, 0));
        for (char **d = lvs; d && *d; d++)
            probe(guest, volume_add(&list, *d, -1, 0));
        *ret_list = list;
        return 0;
    }
    volume_list_done(&list);
    return r;
}

int guest_subvolumes(struct guest *guest, const char *device, char ***ret_names, struct error **err)
{
    struct guestfs_btrfssubvolume_list *list;
    char **names;
    int r = guest_mount(guest, device, "/", "", err);

    if (r < 0)
        return r;
    list = guestfs_btrfs_subvolume_list(guest->g, "/");
    guest_unmount_all(guest, NULL);
    if (!list)
        return guest_error(guest, err, device);
    names = mem_new(list->len + 1, sizeof(char *));
    for (uint32_t i = 0; i < list->len; i++)
        names[i] = str_format("btrfsvol:%s/%s", device, list->val[i].btrfssubvolume_path);
    guestfs_free_btrfssubvolume_list(list);
    *ret_names = names;
    return 0;
}

int guest_check_filesystem(struct guest *guest, const struct volume *volume, struct error **err)
{
    _cleanup_strings_ char **facts = NULL;

    if (!str_starts(volume->type, "ext"))
        return 0;
    facts = guestfs_tune2fs_l(guest->g, volume->device);
    if (!facts)
        return guest_error(guest, err, volume->device);
    for (char **f = facts; f[0] && f[1]; f += 2)
        if (strcmp(f[0], "Filesystem state") == 0 && strcmp(f[1], "clean") != 0)
            return error_set(err, EUCLEAN,
                             "the guest's filesystem on %s (UUID %s) is marked '%s'; check it in "
                             "the source (fsck) and sync again",
                             volume->device, volume->uuid, f[1]);
    return 0;
}

static int mount_now(struct guest *guest, const char *device, const char *directory,
                     const char *options, struct error **err)
{
    _cleanup_free_ char *all = str_format("ro%s%s", *options ? "," : "", options);

    if (guestfs_mount_options(guest->g, all, device, directory) == 0)
        return 0;
    return guest_error(guest, err, "cannot mount a filesystem of the guest");
}

int guest_mount(struct guest *guest, const char *device, const char *directory, const char *options,
                struct error **err)
{
    size_t n = guest->mount_count;
    int r = n == MOUNTS ? error_set(err, ENFILE, "too many filesystems to mount")
                        : mount_now(guest, device, directory, options, err);

    if (r < 0)
        return r;
    guest->mounts[n].device = str_dup(device);
    guest->mounts[n].directory = str_dup(directory);
    guest->mounts[n].options = str_dup(options);
    guest->mount_count++;
    return 0;
}

int guest_mount_again(struct guest *guest, struct error **err)
{
    int r = 0;

    if (guestfs_sync(guest->g) < 0 || guestfs_umount_all(guest->g) < 0)
        return guest_error(guest, err, "cannot flush and unmount the guest's filesystems");
    for (size_t i = 0; r == 0 && i < guest->mount_count; i++)
        r = mount_now(guest, guest->mounts[i].device, guest->mounts[i].directory,
                      guest->mounts[i].options, err);
    return r;
}

int guest_make_writable(struct guest *guest, struct error **err)
{
    _cleanup_strings_ char **mounts = guestfs_mountpoints(guest->g); /* device, directory, … */

    if (!mounts)
        return guest_error(guest, err, "cannot list what is mounted");
    for (char **m = mounts; m[0] && m[1]; m += 2) {
        if (guestfs_remount(guest->g, m[1], GUESTFS_REMOUNT_RW, 1, -1) == 0)
            continue;
        return error_set(err, EROFS,
                         "the guest's filesystem for %s cannot be made writable (%s); see that the "
                         "disk is writable and the filesystem not damaged",
                         m[1], guestfs_last_error(guest->g));
    }
    return 0;
}

int guest_unmount_all(struct guest *guest, struct error **err)
{
    forget_mounts(guest);
    return guestfs_umount_all(guest->g) < 0 ? guest_error(guest, err, "cannot unmount") : 0;
}

/* Up to `size` bytes of a file from `offset`, in pieces that fit into a message. */
static int read_pieces(struct guest *guest, const char *path, uint64_t offset, size_t size,
                       char **ret_data, size_t *ret_length, struct error **err)
{
    _cleanup_buffer_ struct buffer data = {0};

    while (data.length < size) {
        size_t length;
        char *piece = guestfs_pread(guest->g, path, (int)MIN(size - data.length, MESSAGE),
                                    (int64_t)(offset + data.length), &length);

        if (!piece)
            return guest_error(guest, err, path);
        buffer_add(&data, piece, length);
        free(piece);
        if (length == 0)
            break;
    }
    *ret_length = data.length;
    *ret_data = buffer_steal(&data);
    return 0;
}

static int op_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                   struct error **err)
{
    struct guest *guest = self;
    struct guestfs_statns *st = guestfs_statns(guest->g, path);
    bool regular;
    int64_t size;
    char *data;

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
    if ((size_t)size <= SMALL)
        return read_pieces(guest, path, 0, (size_t)size, ret_data, ret_length, err);
    data = guestfs_read_file(guest->g, path, ret_length);
    if (!data)
        return guest_error(guest, err, path);
    *ret_data = data; /* libguestfs ends it with a NUL byte */
    return 0;
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
    char *target = guestfs_readlink(guest->g, path);

    if (!target)
        return -guest_errno(guest);
    *ret_target = target;
    return 0;
}

static enum tree_kind op_kind(void *self, const char *path)
{
    struct guest *guest = self;
    struct guestfs_statns *st = guestfs_lstatns(guest->g, path);
    enum tree_kind kind = TREE_NONE;

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

int guest_write(struct guest *guest, const char *path, const void *data, size_t length,
                struct error **err)
{
    int r = make_parent(guest, path, err);
    struct guestfs_statns *st;

    /* Writing to a pipe that the guest left there would wait for ever. */
    st = r == 0 ? guestfs_statns(guest->g, path) : NULL;
    if (st && !S_ISREG(st->st_mode))
        r = error_set(err, EINVAL, "%s in the guest is not a regular file", path);
    guestfs_free_statns(st);
    if (r == 0 && guestfs_write(guest->g, path, data, length) < 0)
        r = guest_error(guest, err, path);
    return r;
}

int guest_append(struct guest *guest, const char *path, uint64_t offset, const void *data,
                 size_t length, struct error **err)
{
    _cleanup_close_ int fd = memfd_create("slipway-append", MFD_CLOEXEC);
    char local[32];
    int r = fd < 0 ? -errno : fdio_write_all(fd, data, length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot keep %zu bytes for %s", length, path);
    snprintf(local, sizeof(local), "/proc/self/fd/%d", fd);
    if (guestfs_upload_offset(guest->g, local, path, (int64_t)offset) < 0)
        return guest_error(guest, err, path);
    if (guestfs_filesize(guest->g, path) != (int64_t)(offset + length))
        return error_set(err, EIO, "%s did not get the size it should have after appending", path);
    return 0;
}

int guest_link(struct guest *guest, const char *path, const char *target, struct error **err)
{
    int r = make_parent(guest, path, err);

    if (r == 0 && op_kind(guest, path) == TREE_LINK && guestfs_rm(guest->g, path) < 0)
        r = guest_error(guest, err, path);
    if (r == 0 && guestfs_ln_s(guest->g, target, path) < 0)
        r = guest_error(guest, err, path);
    return r;
}

int guest_remove_link(struct guest *guest, const char *path, struct error **err)
{
    if (op_kind(guest, path) != TREE_LINK)
        return error_set(err, EINVAL, "%s in the guest is no longer a symbolic link", path);
    return guestfs_rm(guest->g, path) < 0 ? guest_error(guest, err, path) : 0;
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

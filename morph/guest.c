/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/guest-inside.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"

int guest_errno(const struct guest *guest)
{
    int code = guestfs_last_errno(guest->g);

    return code > 0 ? code : EIO;
}

int guest_error(struct guest *guest, struct error **err, const char *context)
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
        guestfs_set_cachedir(g, options->cache_dir) < 0 ||
        (options->memory_mib > 0 && guestfs_set_memsize(g, options->memory_mib) < 0))
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
    guest_remember_names(guest, false);
    tree_names_free(guest->devices);
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

static int mount_now(struct guest *guest, const char *device, const char *directory,
                     const char *options)
{
    _cleanup_free_ char *all = str_format("ro%s%s", *options ? "," : "", options);

    return guestfs_mount_options(guest->g, all, device, directory);
}

/* What mount(8) said: libguestfs's text is "CALL: …: mount: /sysroot…: WHY." and hints on further
 * lines.  Owned by the caller. */
static char *mount_complaint(const struct guest *guest)
{
    const char *text = guestfs_last_error(guest->g), *why, *colon;
    size_t length;

    text = text ? text : "unknown error";
    why = strstr(text, "mount: /sysroot");
    colon = why ? strstr(why + strlen("mount: "), ": ") : NULL;
    why = colon ? colon + 2 : text;
    length = strcspn(why, "\r\n");
    length -= length > 0 && why[length - 1] == '.';
    return str_format("%.*s", (int)length, why);
}

static int mount_error(struct guest *guest, const struct volume *volume, const char *directory,
                       struct error **err)
{
    _cleanup_free_ char *why = mount_complaint(guest);

    return error_set(err, guest_errno(guest),
                     "the guest's filesystem on %s (%s, for %s) cannot be mounted: %s; if it is "
                     "damaged, check it in the source (fsck) and sync again",
                     volume->device, *volume->type ? volume->type : "of unknown type", directory,
                     why);
}

int guest_mount(struct guest *guest, const struct volume *volume, const char *directory,
                const char *options, struct error **err)
{
    size_t n = guest->mount_count;

    if (n == MOUNTS)
        return error_set(err, ENFILE, "too many filesystems to mount");
    if (mount_now(guest, volume->device, directory, options) < 0)
        return mount_error(guest, volume, directory, err);
    guest->mounts[n].device = str_dup(volume->device);
    guest->mounts[n].directory = str_dup(directory);
    guest->mounts[n].options = str_dup(options);
    guest->mounts[n].ntfs = strcmp(volume->type, "ntfs") == 0;
    guest->mount_count++;
    return 0;
}

int guest_mount_again(struct guest *guest, struct error **err)
{
    if (guestfs_sync(guest->g) < 0 || guestfs_umount_all(guest->g) < 0)
        return guest_error(guest, err, "cannot flush and unmount the guest's filesystems");
    for (size_t i = 0; i < guest->mount_count; i++)
        if (mount_now(guest, guest->mounts[i].device, guest->mounts[i].directory,
                      guest->mounts[i].options) < 0)
            return guest_error(guest, err, "cannot mount a filesystem of the guest again");
    return 0;
}

/* ntfs-3g takes a remount for done without doing it: all is mounted anew. */
static int mount_writable(struct guest *guest)
{
    int r = guestfs_umount_all(guest->g);

    for (size_t i = 0; r == 0 && i < guest->mount_count; i++)
        r = guestfs_mount_options(guest->g, guest->mounts[i].options, guest->mounts[i].device,
                                  guest->mounts[i].directory);
    return r;
}

/* "cannot be made writable" of the filesystem that is or was mounted there. */
static int not_writable(struct guest *guest, const char *directory, struct error **err)
{
    _cleanup_free_ char *why = mount_complaint(guest);

    return error_set(err, EROFS,
                     "the guest's filesystem for %s cannot be made writable: %s; see that the disk "
                     "or logical volume is writable and the filesystem not damaged",
                     directory, why);
}

int guest_make_writable(struct guest *guest, struct error **err)
{
    if (guest->mount_count > 0 && guest->mounts[0].ntfs)
        return mount_writable(guest) == 0 ? 0 : not_writable(guest, "/", err);
    for (size_t i = 0; i < guest->mount_count; i++)
        if (guestfs_remount(guest->g, guest->mounts[i].directory, GUESTFS_REMOUNT_RW, 1, -1) < 0)
            return not_writable(guest, guest->mounts[i].directory, err);
    return 0;
}

int guest_unmount_all(struct guest *guest, struct error **err)
{
    forget_mounts(guest);
    return guestfs_umount_all(guest->g) < 0 ? guest_error(guest, err, "cannot unmount") : 0;
}


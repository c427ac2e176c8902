/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's disks and files through libguestfs.  guest.c is the only file that sees guestfs.h.
 *
 * The guest is not trusted: its filesystems are mounted by the kernel of a small VM (libguestfs's
 * appliance), never by the host's.  Programs of the guest run only there, and only where the plan says
 * so (EDIT_RUN).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/error.h"
#include "morph/disk.h"
#include "morph/roots.h"
#include "morph/tree.h"
#include "morph/volume.h"

struct guest;

struct guest_options {
    const struct disk_spec *disks;
    size_t disk_count;
    bool read_only;        /* all writes go to a throw-away overlay */
    bool kvm;              /* false: emulate */
    int memory_mib;        /* of the appliance; 0: libguestfs's own */
    const char *cache_dir; /* where libguestfs keeps its appliance; made when missing */
};

/* Starts the appliance with the disks.  Takes seconds (KVM) to tens of seconds (TCG). */
int guest_open(const struct guest_options *options, struct guest **ret_guest, struct error **err);

/*
 * The disks hold something else now than when the appliance was started (they read as zeros before):
 * forgets what it cached, and finds partitions, MD devices and logical volumes.
 */
int guest_look_again(struct guest *guest, struct error **err);

/* Unmounts, flushes and ends the appliance; an error means that writes may not have arrived.
 * The guest is freed in any case. */
int guest_close(struct guest *guest, struct error **err);

/* Ends the appliance without caring about writes; NULL is fine. */
void guest_abandon(struct guest *guest);

/* Partitions, whole-disk filesystems, logical volumes and MD devices with their UUIDs. */
int guest_volumes(struct guest *guest, struct volume_list *ret_list, struct error **err);

/*
 * Opens an encrypted volume (LUKS) as /dev/mapper/NAME with a key, which may hold any bytes.
 * -EKEYREJECTED without a sentence when it is the wrong one.  Takes as long as whoever made the
 * volume wanted it to take on his machine, and under emulation many times that.
 */
int guest_unlock(struct guest *guest, const struct volume *volume, const char *name,
                 const void *key, size_t length, struct error **err);

/* Adds what was opened from the encrypted volume `outer`, and the logical volumes in it. */
int guest_add_opened(struct guest *guest, struct volume_list *list, const char *outer,
                     const char *device, struct error **err);

/* The subvolumes of the btrfs filesystem whose top level is mounted, that one first, and which of
 * them is mounted when none is named.  The caller frees the paths and the array. */
int guest_subvolumes(struct guest *guest, struct subvolume **ret_items, size_t *ret_count,
                     unsigned long long *ret_default, struct error **err);

/* -EUCLEAN with a sentence when an ext filesystem is marked as having errors. */
int guest_check_filesystem(struct guest *guest, const struct volume *volume, struct error **err);

/* Mounts read-only; guest_make_writable() turns all mounts read-write once the plan is made, so
 * that a run that changes nothing leaves the disks as they were (but for journal replay). */
int guest_mount(struct guest *guest, const struct volume *volume, const char *directory,
                const char *options, struct error **err);
int guest_make_writable(struct guest *guest, struct error **err);
int guest_unmount_all(struct guest *guest, struct error **err);

/* Flushes, unmounts and mounts the same read-only, so that what is read next comes from the disks:
 * the kernel reports lost writes at unmount to nobody. */
int guest_mount_again(struct guest *guest, struct error **err);

/* on: from now until it is called again nothing changes in the mounted filesystems, so that names of
 * directories may be remembered.  off: what is remembered is forgotten. */
void guest_remember_names(struct guest *guest, bool on);

/* The mounted files; valid as long as the guest. */
struct tree guest_tree(struct guest *guest);

/* `length` bytes of a volume from `offset` on. */
int guest_read_device(struct guest *guest, const char *device, uint64_t offset, void *ret_data,
                      size_t length, struct error **err);

/* The first bytes of a file; -ENODATA without a sentence when it is shorter. */
int guest_read_start(struct guest *guest, const char *path, void *ret_data, size_t length,
                     struct error **err);

struct guest_space {
    uint64_t bytes;  /* free */
    uint64_t inodes; /* free; UINT64_MAX where the filesystem has no fixed number */
    uint64_t id;     /* of the filesystem */
};

int guest_space(struct guest *guest, const char *directory, struct guest_space *ret_space,
                struct error **err);

/* Writes.  Paths are absolute inside the guest; missing directories are made. */

/* What a file, link or directory that is new is given; one that exists keeps what it has. */
struct guest_new {
    int mode; /* 0: 0644, of a directory 0755; links have none */
    uint32_t uid, gid;
    const char *label; /* SELinux context, or NULL */
};

int guest_write(struct guest *guest, const char *path, const void *data, size_t length,
                const struct guest_new *as, struct error **err);
int guest_directory(struct guest *guest, const char *path, const struct guest_new *as,
                    struct error **err);
int guest_append(struct guest *guest, const char *path, uint64_t offset, const void *data,
                 size_t length, struct error **err);
int guest_link(struct guest *guest, const char *path, const char *target,
               const struct guest_new *as, struct error **err);
int guest_remove_link(struct guest *guest, const char *path, struct error **err);
int guest_delete(struct guest *guest, const char *path, struct error **err);

/* Runs a program of the guest inside the appliance, with the guest's root as its root; words: each
 * ended by NUL.  The sentence of a failure has the last line the program printed. */
int guest_run(struct guest *guest, const char *words, size_t length, struct error **err);

/*
 * Runs a script of the caller (not of the guest) in the same way; it is in the guest only while it
 * runs.  *ret_output: what it said on both streams, its first 256 KiB; the caller frees.  -EIO with a
 * sentence that has its last line when it does not end with 0.
 */
int guest_script(struct guest *guest, const char *name, const void *data, size_t length,
                 char **ret_output, struct error **err);

/* Sets the SELinux context of what path itself is; nothing on a filesystem that keeps none. */
int guest_label(struct guest *guest, const char *path, const char *label, struct error **err);

/* -EIO with a sentence unless path itself has this SELinux context. */
int guest_check_label(struct guest *guest, const char *path, const char *label, struct error **err);

/* -EIO with a sentence unless the file is `length` bytes longer than offset, and these are data. */
int guest_check_bytes(struct guest *guest, const char *path, uint64_t offset, const void *data,
                      size_t length, struct error **err);

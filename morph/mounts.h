/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which filesystems of a guest have to be mounted besides its root: those that hold a file that is
 * read or changed, no others.
 */
#pragma once

#include "morph/tree.h"
#include "morph/volume.h"

/* A filesystem and where it belongs. */
struct mount {
    const struct volume *volume;
    char *directory;
    char *options; /* "subvol=…" or "subvolid=…" for btrfs, otherwise "" */
};

#define MOUNTS_MAX 8

struct mount_list {
    struct mount items[MOUNTS_MAX];
    size_t count;
};

/*
 * Where /usr, /var, /root, /boot and the EFI system partition are when they are not on the root
 * filesystem, in the order they have to be mounted; from fstab, and where that does not tell of an
 * EFI system partition, from the place that systemd-gpt-auto-generator gives it.  -ENOENT with a
 * sentence when fstab names something that is on none of the disks or is still encrypted.
 */
int mounts_of_fstab(const struct tree *tree, const struct volume_list *volumes,
                    struct mount_list *ret_mounts, struct error **err);
void mount_list_done(struct mount_list *mounts);

/* Adds what fstab mounts on `path` and on directories above it, outermost first, where it is on a disk
 * of the VM.  0, or -ENOENT as mounts_of_fstab() says it. */
int mounts_add_above(const struct tree *tree, const struct volume_list *volumes, const char *path,
                     struct mount_list *mounts, struct error **err);

/*
 * What the guest mounts as its root, by its own fstab: a btrfs subvolume without a leading slash
 * (*ret_path, owned by the caller) or its number (*ret_id); NULL and 0 when fstab does not tell.
 */
int mounts_root_subvolume(const struct tree *tree, char **ret_path, unsigned long long *ret_id,
                          struct error **err);

/*
 * The names that the guest's crypttab gives to encrypted volumes become names of the volumes that
 * were opened from them, so that /dev/mapper/NAME in fstab is understood.
 */
int mounts_name_opened(const struct tree *tree, struct volume_list *volumes, struct error **err);

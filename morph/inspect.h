/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the facts from a guest whose root is mounted. */
#pragma once

#include "morph/facts.h"

/* True when the tree looks like the root of a Linux system. */
int inspect_is_root(const struct tree *tree);

/* os-release into *ret_os (owned by the caller: os_done()). */
int inspect_os(const struct tree *tree, struct os *ret_os, struct error **err);
void os_done(struct os *os);
enum family inspect_family(const struct os *os);

/* A filesystem of fstab that has to be mounted as well. */
struct mount {
    const struct volume *volume;
    char *directory;
    char *options; /* "subvol=…" for btrfs, otherwise "" */
};

#define MOUNTS_MAX 4

struct mount_list {
    struct mount items[MOUNTS_MAX];
    size_t count;
};

/*
 * Where /usr, /var, /boot and /boot/efi are when they are not on the root filesystem, in the order
 * they have to be mounted.  -ENOENT with a sentence when fstab names something that is on none of
 * the disks.
 */
int inspect_mounts(const struct tree *tree, const struct volume_list *volumes,
                   struct mount_list *ret_mounts, struct error **err);
void mount_list_done(struct mount_list *mounts);

#define KERNELS_MAX 64

/* Kernels with modules in /lib/modules and an image, oldest first.  -ENOENT when none. */
int inspect_kernels(const struct tree *tree, struct kernel **ret_kernels, size_t *ret_count,
                    struct error **err);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the filesystems on a VM's disks is the root of its system.
 *
 * On btrfs a root is a subvolume, and its snapshots look just like it.  The one that is meant is
 * the default subvolume where one is set (openSUSE, after snapper's rollback too), otherwise the
 * one whose own fstab says that it is mounted as / (a snapshot's fstab names another), otherwise
 * one that is not kept where snapshots and containers are.
 */
#pragma once

#include "morph/tree.h"
#include "morph/volume.h"

struct root {
    const struct volume *volume;
    unsigned long long subvolume; /* number of the btrfs subvolume; 0: none has to be named */
    char *path;                   /* of the subvolume; "" otherwise */
    char *pretty;                 /* what system it is, for people */
};

struct root_list {
    struct root *items;
    size_t count;
};

/* Adds the root that the tree is when it is one; the path of its subvolume may be NULL. */
int root_list_look(struct root_list *list, const struct tree *tree, const struct volume *volume,
                   unsigned long long subvolume, const char *path, struct error **err);
void root_list_done(struct root_list *list);

struct subvolume {
    unsigned long long id;
    char *path; /* below the top level, without a leading slash; "" is the top level */
};

#define TOP_LEVEL_ID 5 /* btrfs's number for the top level */

/* Adds the roots of a btrfs volume, with `top` its top level: more than one only when several
 * systems share it.  default_id: the subvolume that is mounted when none is named. */
int root_list_look_btrfs(struct root_list *list, const struct tree *top,
                         const struct volume *volume, const struct subvolume *subvolumes,
                         size_t count, unsigned long long default_id, struct error **err);

/*
 * What --root means: a device, UUID=… or LABEL=…, with [SUBVOLUME] behind it when several systems
 * share a btrfs volume (as findmnt(8) writes it).  *ret_subvolume is owned by the caller, NULL when
 * none is named.  -ENOENT with a sentence that tells what the disks hold.
 */
int root_wanted(const struct volume_list *volumes, const char *wanted,
                const struct volume **ret_volume, char **ret_subvolume, struct error **err);

/* The root to take among those found.  -ENOTUNIQ with a sentence that lists them, -ENOENT with one
 * that says what there is instead. `wanted`: --root or NULL.  complaint: why a filesystem could not
 * be looked at, or NULL.  keys: how many were given. */
int root_choose(const struct root_list *list, const struct volume_list *volumes, const char *wanted,
                const char *complaint, size_t keys, const struct root **ret_root,
                struct error **err);

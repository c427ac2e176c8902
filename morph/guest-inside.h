/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest*.c files share.  Only they may include this, and guestfs.h with it. */
#pragma once

#include <guestfs.h>
#include "morph/guest.h"

#define CONSOLE_TAIL 4096
#define MOUNTS 16

struct guest {
    guestfs_h *g;
    int disks;
    char **devices;    /* their names in the appliance; NULL: not asked yet */
    bool looked_again; /* the disks held nothing when the appliance started */
    char console[CONSOLE_TAIL + 1]; /* what QEMU and the appliance said last */
    size_t console_length;
    struct {
        char *device, *directory, *options;
        bool ntfs;
    } mounts[MOUNTS]; /* what is mounted, in order, to mount it again */
    size_t mount_count;
    bool remembers; /* names of directories, see guest-names.c */
    struct guest_directory_names *known;
    size_t known_count;
};

/* guest-names.c: true when it is known that there is nothing at path. */
bool guest_name_is_missing(struct guest *guest, const char *path);

static inline void strings_free(char ***list)
{
    tree_names_free(*list);
}
#define _cleanup_strings_ _cleanup_(strings_free)

/* errno of the last failure; EIO where the appliance gave none. */
int guest_errno(const struct guest *guest);

/* Sets a sentence "CONTEXT: what libguestfs says"; returns -guest_errno(). */
int guest_error(struct guest *guest, struct error **err, const char *context);

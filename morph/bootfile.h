/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's files that hold kernel command lines: those that the boot loader reads (GRUB 2, GRUB
 * legacy, systemd-boot, extlinux), and those from which the guest's own tools write them anew.
 */
#pragma once

#include "morph/bootline.h"
#include "morph/facts.h"
#include "morph/plan.h"

struct bootfile {
    char *path;
    enum bootline_form form;
    bool live; /* the boot loader reads it; false: the guest's tools do */
};

struct bootfile_list {
    struct bootfile *items;
    size_t count;
};

/* All that exist, each once: a path that is a link, or is in a directory that is one, is left out
 * (distributions link only to places that are looked at, too). */
int bootfile_list(const struct tree *tree, struct bootfile_list *ret_list, struct error **err);
void bootfile_list_done(struct bootfile_list *list);

/*
 * Plans the new bytes of a boot file for `change`; takes what and why, empties out.  An environment
 * block keeps its size; when it cannot, there is a warning instead.
 */
void bootfile_write(struct plan *plan, const char *change, const struct bootfile *file,
                    const char *old, struct buffer *out, char *what, const char *why);

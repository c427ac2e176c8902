/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drivers of the virtio platform: whether a kernel has them, whether an initramfs has them, and
 * the archive that brings them into it.  That holds the modules as they are in /lib/modules, their
 * dependencies, and the index files of modules for old and new ones together.
 */
#pragma once

#include "morph/initramfs.h"
#include "morph/modules.h"
#include "morph/tree.h"

/* Every one that can be had; the kernel cannot do without the first DRIVERS_NEEDED. */
#define DRIVERS_NEEDED 2
#define DRIVERS_WANTED 5
extern const char *const drivers_wanted[DRIVERS_WANTED];

/* The modules of one kernel. */
struct drivers {
    const struct tree *tree;
    char *version;
    char *dep, *builtin, *alias, *softdep; /* the index files' text; "" when absent */
};

int drivers_read(const struct tree *tree, const char *version, struct drivers *ret_drivers,
                 struct error **err);
void drivers_done(struct drivers *drivers);
#define _cleanup_drivers_ _cleanup_(drivers_done)

/* The kernel has it built in or as a module. */
bool drivers_has(const struct drivers *drivers, const char *name);
/* … as a module. */
bool drivers_has_module(const struct drivers *drivers, const char *name);
/* It has all that a virtio disk needs. */
bool drivers_reach_disk(const struct drivers *drivers);
/* All that a virtio disk needs is built in. */
bool drivers_built_in(const struct drivers *drivers);

/* True when the initramfs lacks one of the modules that are wanted and that the kernel has. */
bool drivers_missing(const struct drivers *drivers, const struct initramfs *i);

/*
 * Adds what is missing to w, and what makes it be loaded, and the names of the modules to `names`
 * ("virtio, virtio_blk").  -ENOTSUP without a sentence where they cannot be loaded in this kind of
 * initramfs; -ENOENT with one when a module's file is not there.
 */
int drivers_add(const struct drivers *drivers, struct initramfs *i, struct cpio_writer *w,
                struct buffer *names, struct error **err);

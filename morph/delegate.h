/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virt-v2v-in-place as the engine that gives a Windows guest its drivers: a program of its own, on
 * the same disks, while nobody else has them open.
 */
#pragma once

#include <stdbool.h>
#include "base/error.h"
#include "morph/buffer.h"
#include "morph/disk.h"

struct delegate {
    const struct disk_spec *disks;
    size_t disk_count;
    const char *root;       /* device of the guest's root as the appliance names it: /dev/sda2 */
    const char *virtio_win; /* directory or ISO with the drivers */
    const char *cache_dir;  /* where libguestfs keeps its appliance; working files go there, too */
    bool kvm;               /* false: emulate */
};

/* True when virt-v2v-in-place and what it needs for Windows are installed; else *ret_why is a
 * clause that says what is missing, static. */
bool delegate_is_ready(const char **ret_why);

/*
 * Runs it to its end.  NBD disks become files through nbdfuse(1), because virt-v2v takes no others.
 * -EIO with its last error line on failure; the disks may be half changed then.
 */
int delegate_run(const struct delegate *d, struct error **err);

/* Pure parts. */

/* The domain that is handed over: these raw files as its disks. */
void delegate_write_xml(struct buffer *out, char *const *files, size_t count);

/* The URI of an NBD disk. */
char *delegate_uri(const struct disk_spec *disk);

/* The last line of the program's output that tells an error, or its last one; "" for nothing.
 * Without control characters, owned by the caller. */
char *delegate_last_words(const char *output);

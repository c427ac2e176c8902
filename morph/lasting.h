/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's configuration that its initramfs has copies of: what is changed in the root
 * filesystem has to be changed there, too, or the root is never found.
 */
#pragma once

#include "morph/facts.h"
#include "morph/initramfs.h"
#include "morph/plan.h"

/* Adds to the archive w what has to replace such copies in the initramfs (crypttab, lvm.conf, LVM's
 * list of devices), and says so in `added`.  Nothing when they are right. */
void lasting_copies(const struct facts *facts, struct plan *plan, struct initramfs *i,
                    struct cpio_writer *w, struct buffer *added);

/* A crypttab with lasting names in place of those of the source's hardware, owned; NULL when there
 * is nothing to change.  `name` is for warnings. */
char *fstab_lasting_crypttab(const struct facts *facts, struct plan *plan, const char *name,
                             const char *text);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which SELinux context a new file of the guest gets, by the guest's own policy.  selinux.c is the
 * only file that sees libselinux.
 *
 * Read are the text files, filtered (filecontexts.h), from a private copy; never the compiled *.bin
 * beside them, which libselinux would map and believe.
 */
#pragma once

#include "base/cleanup.h"
#include "morph/tree.h"

struct selinux;

/*
 * 1 and *ret when the guest has SELinux switched on and its policy can be read; 1 and NULL when it
 * is on but the policy is of no use; 0 when it is off.  -errno with a sentence when the guest's
 * files cannot be read.
 */
int selinux_open(const struct tree *tree, struct selinux **ret, struct error **err);
struct selinux *selinux_free(struct selinux *s);
DEFINE_CLEANUP(struct selinux *, selinux_free)
#define _cleanup_selinux_ _cleanup_(selinux_freep)

/* The context of path, of which there will be a file of this kind; the caller frees.  NULL when the
 * policy has none for it. */
char *selinux_label(struct selinux *s, const char *path, enum tree_kind kind);

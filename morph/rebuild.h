/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's own programs that make an initramfs: what they have to be told so that their next
 * result holds the drivers, and how they are called where nothing else helps.
 */
#pragma once

#include "morph/buffer.h"
#include "morph/initramfs.h"
#include "morph/plan.h"
#include "morph/tree.h"

/* Which of them the guest uses, by its files. */
enum initramfs_kind rebuild_kind(const struct tree *tree);

/* Proposes the edits of the configuration of `kind` after which it always takes in `names`.  None
 * when it does already. */
int rebuild_configure(const struct tree *tree, enum initramfs_kind kind, const char *const *names,
                      size_t count, struct plan *plan, struct error **err);

/* The words, each ended by NUL, of the command that makes the initramfs `path` of kernel `version`
 * anew.  -ENOENT when the guest has no program for it. */
int rebuild_command(const struct tree *tree, const char *version, const char *image,
                    const char *path, struct buffer *words);

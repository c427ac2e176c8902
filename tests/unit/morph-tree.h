/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's files in memory, for tests of morph/: implements struct tree and applies plans. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include "morph/plan.h"
#include "morph/tree.h"

struct fake_file {
    char *path;
    char *data; /* the target of a link */
    size_t length;
    bool is_link;
};

struct fake_tree {
    struct fake_file files[256]; /* unused ones have no path */
};

/* The tree over these files; directories exist where a file is below them, and empty ones where a
 * file's name ends with a slash.  Links are not followed: they are files of their own. */
struct tree fake_tree(struct fake_tree *fake);
void fake_put(struct fake_tree *fake, const char *path, const void *data, size_t length);
void fake_text(struct fake_tree *fake, const char *path, const char *text);
void fake_link(struct fake_tree *fake, const char *path, const char *target);
struct fake_file *fake_find(struct fake_tree *fake, const char *path);
void fake_apply(struct fake_tree *fake, const struct plan *plan);
void fake_done(struct fake_tree *fake);

/* Changes up to a few bytes of a copy of `text`, cuts it, and calls `parse` on it, `rounds` times
 * from a fixed seed: nothing must crash. */
void mutate(const char *text, size_t length, unsigned rounds,
            void (*parse)(const char *text, size_t length));

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's files, read-only, as everything above guest.c sees them: paths are absolute inside
 * the guest and symbolic links are followed inside the guest only.  guest.c implements it; tests
 * have an implementation in memory.
 */
#pragma once

#include <stddef.h>
#include "base/error.h"

enum tree_kind { TREE_NONE, TREE_FILE, TREE_DIR, TREE_LINK, TREE_OTHER };

struct tree {
    const struct tree_ops *ops;
    void *self;
};

struct tree_ops {
    /* A regular file of at most `max` bytes, NUL-terminated; the caller frees *ret_data.
     * -ENOENT (without a sentence) when there is none, -EFBIG when it is larger. */
    int (*read)(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                struct error **err);

    /* Names in a directory, sorted, ended by NULL; free with tree_names_free().
     * A directory that is not there is an empty one. */
    int (*list)(void *self, const char *path, char ***ret_names, struct error **err);

    /* The text of a symbolic link; -EINVAL or -ENOENT (without a sentence) when it is none. */
    int (*readlink)(void *self, const char *path, char **ret_target);

    /* What path itself is (a link is a link). */
    enum tree_kind (*kind)(void *self, const char *path);
};

/* The largest text file that is looked at; larger ones are refused. */
#define TREE_TEXT_MAX ((size_t)1 << 20)

static inline int tree_read(const struct tree *t, const char *path, size_t max, char **ret_data,
                            size_t *ret_length, struct error **err)
{
    return t->ops->read(t->self, path, max, ret_data, ret_length, err);
}

static inline int tree_list(const struct tree *t, const char *path, char ***ret_names,
                            struct error **err)
{
    return t->ops->list(t->self, path, ret_names, err);
}

static inline int tree_readlink(const struct tree *t, const char *path, char **ret_target)
{
    return t->ops->readlink(t->self, path, ret_target);
}

static inline enum tree_kind tree_kind(const struct tree *t, const char *path)
{
    return t->ops->kind(t->self, path);
}

static inline int tree_exists(const struct tree *t, const char *path)
{
    return tree_kind(t, path) != TREE_NONE;
}

/* As tree_read for a text file of up to TREE_TEXT_MAX bytes without NUL bytes.  1 and *ret_text
 * when it is there, 0 and NULL when not. */
int tree_text(const struct tree *t, const char *path, char **ret_text, struct error **err);

void tree_names_free(char **names);
static inline void tree_names_freep(char ***names)
{
    tree_names_free(*names);
}
#define _cleanup_names_ _cleanup_(tree_names_freep)

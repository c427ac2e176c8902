/* SPDX-License-Identifier: Apache-2.0 */
#include "morph-tree.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"

struct fake_file *fake_find(struct fake_tree *fake, const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(fake->files); i++)
        if (fake->files[i].path && strcmp(fake->files[i].path, path) == 0)
            return &fake->files[i];
    return NULL;
}

static void fake_remove(struct fake_file *f)
{
    free(f->path);
    free(f->data);
    *f = (struct fake_file){0};
}

void fake_put(struct fake_tree *fake, const char *path, const void *data, size_t length)
{
    struct fake_file *f = fake_find(fake, path);

    for (size_t i = 0; !f && i < ARRAY_SIZE(fake->files); i++)
        if (!fake->files[i].path)
            f = &fake->files[i];
    if (!f)
        abort();
    fake_remove(f);
    f->path = str_dup(path);
    f->data = mem_new(length + 1, 1);
    f->length = length;
    if (length > 0)
        memcpy(f->data, data, length);
}

void fake_text(struct fake_tree *fake, const char *path, const char *text)
{
    fake_put(fake, path, text, strlen(text));
}

void fake_link(struct fake_tree *fake, const char *path, const char *target)
{
    fake_text(fake, path, target);
    fake_find(fake, path)->is_link = true;
}

void fake_done(struct fake_tree *fake)
{
    for (size_t i = 0; i < ARRAY_SIZE(fake->files); i++)
        fake_remove(&fake->files[i]);
}

void fake_apply(struct fake_tree *fake, const struct plan *plan)
{
    for (size_t i = 0; i < plan->edit_count; i++) {
        const struct edit *e = &plan->edits[i];
        struct fake_file *f = fake_find(fake, e->path);

        if (e->kind == EDIT_WRITE) {
            fake_put(fake, e->path, e->data, e->length);
        } else if (e->kind == EDIT_LINK) {
            fake_link(fake, e->path, e->data);
        } else if (e->kind == EDIT_RUN || e->kind == EDIT_DIRECTORY || e->kind == EDIT_DONE) {
            continue; /* nothing here could run it; directories are where files are */
        } else if (!f) {
            abort();
        } else if (e->kind == EDIT_REMOVE || e->kind == EDIT_DELETE) {
            fake_remove(f);
        } else {
            size_t length = f->length + e->length;
            char *data = mem_new(length, 1);

            if (e->offset != f->length)
                abort();
            memcpy(data, f->data, f->length);
            memcpy(data + f->length, e->data, e->length);
            fake_put(fake, e->path, data, length);
            free(data);
        }
    }
}

static int op_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                   struct error **err)
{
    struct fake_file *f = fake_find(self, path);

    if (!f || f->is_link)
        return -ENOENT;
    if (f->length > max)
        return error_set(err, EFBIG, "%s is too large", path);
    *ret_data = mem_new(f->length + 1, 1);
    memcpy(*ret_data, f->data, f->length);
    *ret_length = f->length;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int op_list(void *self, const char *path, char ***ret_names, struct error **err)
{
    struct fake_tree *fake = self;
    size_t length = strcmp(path, "/") == 0 ? 0 : strlen(path), count = 0, kept = 0;
    char **names = mem_new(ARRAY_SIZE(fake->files) + 1, sizeof(char *));

    for (size_t i = 0; i < ARRAY_SIZE(fake->files); i++) {
        const char *p = fake->files[i].path;

        if (p && strncmp(p, path, length) == 0 && p[length] == '/' && p[length + 1])
            names[count++] = str_format("%.*s", (int)strcspn(p + length + 1, "/"), p + length + 1);
    }
    if (count > 0)
        qsort(names, count, sizeof(*names), by_text);
    for (size_t i = 0; i < count; i++) {
        char *name = names[i];

        names[i] = NULL;
        if (kept > 0 && strcmp(names[kept - 1], name) == 0)
            free(name);
        else
            names[kept++] = name;
    }
    *ret_names = names;
    return 0;
}

static int op_readlink(void *self, const char *path, char **ret_target)
{
    struct fake_file *f = fake_find(self, path);

    if (!f || !f->is_link)
        return f ? -EINVAL : -ENOENT;
    *ret_target = str_dup(f->data);
    return 0;
}

static enum tree_kind op_kind(void *self, const char *path)
{
    struct fake_tree *fake = self;
    struct fake_file *f = fake_find(fake, path);
    size_t length = strlen(path);

    if (f)
        return f->is_link ? TREE_LINK : TREE_FILE;
    for (size_t i = 0; i < ARRAY_SIZE(fake->files); i++)
        if (fake->files[i].path && strncmp(fake->files[i].path, path, length) == 0 &&
            fake->files[i].path[length] == '/')
            return TREE_DIR;
    return TREE_NONE;
}

static const struct tree_ops fake_ops = {
    .read = op_read,
    .list = op_list,
    .readlink = op_readlink,
    .kind = op_kind,
};

struct tree fake_tree(struct fake_tree *fake)
{
    return (struct tree){.ops = &fake_ops, .self = fake};
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void mutate(const char *text, size_t length, unsigned rounds,
            void (*parse)(const char *text, size_t length))
{
    uint32_t state = 2463534242u;

    for (unsigned round = 0; round < rounds; round++) {
        size_t n = next_random(&state) % 4 == 0 ? next_random(&state) % (length + 1) : length;
        char *copy = mem_new(n + 1, 1); /* exactly this long, so that a sanitizer sees overruns */

        memcpy(copy, text, n);
        for (unsigned changes = next_random(&state) % 6; n > 0 && changes > 0; changes--)
            copy[next_random(&state) % n] = (char)next_random(&state);
        parse(copy, n);
        free(copy);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/siminside.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"

static struct name **name_find(struct name **list, const char *path)
{
    while (*list && strcmp((*list)->path, path) != 0)
        list = &(*list)->next;
    return list;
}

void name_set(struct name **list, const char *path, struct inode *inode)
{
    struct name **at = name_find(list, path), *old = *at;

    if (inode && old) {
        old->inode = inode;
    } else if (inode) {
        *at = mem_new(1, sizeof(**at));
        **at = (struct name){.path = str_dup(path), .inode = inode};
    } else if (old) {
        *at = old->next;
        free(old->path);
        free(old);
    }
}

struct inode *name_lookup(struct sim *s, const char *path)
{
    struct name *n = *name_find(&s->names, path);

    return n ? n->inode : NULL;
}

void change_add(struct sim *s, enum change_kind kind, const char *path, struct inode *inode,
                bool more)
{
    struct change **at = &s->changes;

    while (*at)
        at = &(*at)->next;
    *at = mem_new(1, sizeof(**at));
    **at = (struct change){
        .kind = kind, .path = str_dup(path), .inode = inode, .more = more};
    name_set(&s->names, path, kind == CHANGE_ADD ? inode : NULL);
}

size_t name_parent_length(const char *path)
{
    return (size_t)(strrchr(path, '/') - path);
}

bool name_same_system(const char *a, const char *b)
{
    size_t n = 1 + strcspn(a + 1, "/");

    return strncmp(a, b, n) == 0 && (b[n] == '/' || b[n] == '\0');
}

struct change *change_take(struct change **at)
{
    struct change *c = *at;

    *at = c->next;
    return c;
}

void change_harden(struct sim *s, struct change *c, bool keep)
{
    if (keep)
        name_set(&s->durable_names, c->path, c->kind == CHANGE_ADD ? c->inode : NULL);
    free(c->path);
    free(c);
}

/* The changes of path's file system up to the last one inside the folder `path`. */
void name_harden(struct sim *s, const char *path)
{
    size_t length = strlen(path);
    struct change *last = NULL, *c, **at = &s->changes;

    for (c = s->changes; c; c = c->next)
        if (name_parent_length(c->path) == length && strncmp(c->path, path, length) == 0)
            last = c;
    for (bool done = last == NULL; !done;) {
        if (!name_same_system(path, (*at)->path)) {
            at = &(*at)->next;
            continue;
        }
        done = *at == last && !last->more;
        if (*at == last && last->more)
            last = last->next;
        change_harden(s, change_take(at), true);
    }
}

int inode_new(struct sim *s, const char *path, bool folder, struct inode **ret_inode)
{
    _cleanup_free_ char *parent = strndup(path, name_parent_length(path));
    struct inode *up = *parent ? name_lookup(s, parent) : NULL, *i;

    if (*parent && (!up || !up->folder))
        return -ENOENT;
    if (name_lookup(s, path))
        return -EEXIST;
    i = mem_new(1, sizeof(*i));
    i->number = ++s->next_inode;
    i->folder = folder;
    i->tear = str_starts(path, "/store/") ? s->store_tear : TEAR;
    i->last = &i->first;
    i->next = s->inodes;
    s->inodes = i;
    change_add(s, CHANGE_ADD, path, i, false);
    *ret_inode = i;
    return 0;
}

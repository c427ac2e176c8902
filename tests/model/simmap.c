/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mapped files.  Their bytes stay where they are until the simulation ends, so that what a dead
 * engine still points to is no wild pointer; nothing of them is counted or fails.
 */
#include "tests/model/siminside.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static struct sim *sim_of(struct io *io)
{
    return (struct sim *)io;
}

static struct shared *find(struct sim *s, const char *path)
{
    struct shared *x = s->shared;

    while (x && (!x->path || strcmp(x->path, path) != 0))
        x = x->next;
    return x;
}

static void forget(struct shared *x)
{
    free(x->path);
    x->path = NULL;
}

int sim_map(struct io *io, const char *path, size_t size, size_t reserve, void **ret_base)
{
    bool create = reserve > 0;
    struct sim *s = sim_of(io);
    struct shared *x = find(s, path);

    if (s->dead)
        return -EIO;
    if (!create && !x)
        return -ENOENT;
    if (!create && x->size != size)
        return -ESTALE;
    if (create) {
        if (x)
            forget(x);
        x = mem_new(1, sizeof(*x));
        *x = (struct shared){s->shared, str_dup(path), size, mem_new(1, size)};
        s->shared = x;
    }
    *ret_base = x->bytes;
    return 0;
}

void sim_unmap(struct io *io, void *base, size_t size)
{
}

void sim_map_drop(struct io *io, void *base, size_t size)
{
    memset(base, 0, size);
}

int sim_map_unlink(struct io *io, const char *path)
{
    struct shared *x = find(sim_of(io), path);

    if (sim_of(io)->dead)
        return -EIO;
    if (!x)
        return -ENOENT;
    forget(x);
    return 0;
}

int sim_boot_id(struct io *io, uint8_t ret_id[16])
{
    memset(ret_id, 0, 16);
    ret_id[0] = (uint8_t)(1 + sim_of(io)->boot);
    ret_id[1] = (uint8_t)(sim_of(io)->boot >> 8);
    return 0;
}

void shared_freeze(struct sim *s)
{
    for (struct shared *x = s->shared; x; x = x->next) {
        struct shared *kept;

        if (!x->path)
            continue;
        kept = mem_new(1, sizeof(*kept));
        *kept = (struct shared){s->shared, steal_ptr(x->path), x->size, mem_new(1, x->size)};
        memcpy(kept->bytes, x->bytes, x->size);
        s->shared = kept;
    }
}

void shared_forget(struct sim *s)
{
    for (struct shared *x = s->shared; x; x = x->next)
        forget(x);
    s->boot++;
}

void shared_free(struct sim *s)
{
    struct shared *x;

    while ((x = s->shared)) {
        s->shared = x->next;
        free(x->path);
        free(x->bytes);
        free(x);
    }
}

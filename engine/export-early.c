/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports "<draft>/<disk>+early": a disk of a draft that need not be there yet, so that a client
 * which takes long to start (a virtual machine that changes the guest) can be started before the
 * last delta has come.  Until a draft of that name is open it reads as zeros, holds nothing, and
 * refuses writes with EPERM.  The first request after that finds the draft, and stays with it: from
 * then on it is the export "<draft>/<disk>", and the connection one of the draft's users.
 *
 * Clients must not keep what they read before; who makes the draft tells them when it is there.
 */
#include "engine/draft.h"
#include "engine/export.h"

#include <string.h>

/* The draft, once it is there; it then cannot go away before the export is closed. */
static struct draft *draft_of(struct export *x)
{
    struct draft *dr = atomic_load_explicit(&x->early_draft, memory_order_acquire);

    if (dr)
        return dr;
    LOCK_FOR_SCOPE(&x->engine->lock);
    dr = atomic_load_explicit(&x->early_draft, memory_order_relaxed);
    if (dr)
        return dr;
    dr = draft_find_locked(x->engine, x->early_name, strlen(x->early_name));
    if (!dr || dr->state != DRAFT_OPEN)
        return NULL;
    dr->users++;
    atomic_store_explicit(&x->early_draft, dr, memory_order_release);
    return dr;
}

static int pread_early(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    struct draft *dr = draft_of(x);

    if (dr)
        return draft_pread(dr, x->disk, data, length, offset);
    memset(data, 0, length);
    return 0;
}

static int pwrite_early(struct export *x, const void *data, uint32_t length, uint64_t offset,
                        unsigned flags)
{
    struct draft *dr = draft_of(x);

    return dr ? draft_pwrite(dr, x->disk, data, length, offset) : -EPERM;
}

static int zero_early(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return pwrite_early(x, NULL, length, offset, flags);
}

static int extents_early(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                         void *context)
{
    struct draft *dr = draft_of(x);

    return dr ? draft_extents(dr, x->disk, length, offset, fn, context)
              : fn(offset, length, EXTENT_ZERO, context);
}

static void close_early(struct export *x)
{
    struct draft *dr = atomic_load_explicit(&x->early_draft, memory_order_relaxed);

    if (dr)
        dr->users--;
    free(x->early_name);
}

const struct export_ops export_early_ops = {
    .pread = pread_early,
    .pwrite = pwrite_early,
    .zero = zero_early,
    .trim = zero_early,
    .extents = extents_early,
    .close_locked = close_early,
};

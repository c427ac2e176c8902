/* SPDX-License-Identifier: Apache-2.0 */
/* Exports "<draft>/<disk>": read-write.  A draft's durability is its seal, so a flush does nothing.
 * A trim reads as zero, as a zero does. */
#include "engine/draft.h"
#include "engine/export.h"

static int pread_draft(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    return draft_pread(x->draft, x->disk, data, length, offset);
}

static int pwrite_draft(struct export *x, const void *data, uint32_t length, uint64_t offset,
                        unsigned flags)
{
    return draft_pwrite(x->draft, x->disk, data, length, offset);
}

static int zero_draft(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return draft_pwrite(x->draft, x->disk, NULL, length, offset);
}

static int extents_draft(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                         void *context)
{
    return draft_extents(x->draft, x->disk, length, offset, fn, context);
}

static void close_draft(struct export *x)
{
    x->draft->users--;
}

const struct export_ops export_draft_ops = {
    .pread = pread_draft,
    .pwrite = pwrite_draft,
    .zero = zero_draft,
    .trim = zero_draft,
    .extents = extents_draft,
    .close_locked = close_draft,
};

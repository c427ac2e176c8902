/* SPDX-License-Identifier: Apache-2.0 */
/* Export "<disk>" of an owner: read-write, the truth.  owner.h has what it does. */
#include "engine/export.h"
#include "engine/owner.h"

static int pread_owner(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    return owner_pread(x->disk->owner, data, length, offset);
}

static int pwrite_owner(struct export *x, const void *data, uint32_t length, uint64_t offset,
                        unsigned flags)
{
    return owner_pwrite(x->disk->owner, data, length, offset, flags);
}

static int zero_owner(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return owner_zero(x->disk->owner, length, offset, flags);
}

static int trim_owner(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return owner_trim(x->disk->owner, length, offset, flags);
}

static int flush_owner(struct export *x)
{
    return owner_flush(x->disk->owner);
}

static int cache_owner(struct export *x, uint32_t length, uint64_t offset)
{
    return owner_cache(x->disk->owner, length, offset);
}

static int extents_owner(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                         void *context)
{
    return owner_extents(x->disk->owner, length, offset, fn, context);
}

const struct export_ops export_owner_ops = {
    .pread = pread_owner,
    .pwrite = pwrite_owner,
    .zero = zero_owner,
    .trim = trim_owner,
    .flush = flush_owner,
    .cache = cache_owner,
    .extents = extents_owner,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Exports "<disk>+load": read-write, the push that is open. */
#include "engine/export.h"
#include "engine/load.h"

static int pread_load(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    return load_pread(x->load, x->disk, data, length, offset);
}

static int then_flush(struct export *x, int r, unsigned flags)
{
    return r == 0 && flags & EXPORT_FUA ? load_flush(x->load, x->disk) : r;
}

static int pwrite_load(struct export *x, const void *data, uint32_t length, uint64_t offset,
                       unsigned flags)
{
    return then_flush(x, load_pwrite(x->load, x->disk, data, length, offset), flags);
}

static int zero_load(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return then_flush(x, load_zero(x->load, x->disk, length, offset, flags), flags);
}

/* As zeroes: a client that trims has no data there. */
static int trim_load(struct export *x, uint32_t length, uint64_t offset, unsigned flags)
{
    return zero_load(x, length, offset, flags | EXPORT_MAY_TRIM);
}

static int flush_load(struct export *x)
{
    return load_flush(x->load, x->disk);
}

static int extents_load(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                        void *context)
{
    return load_extents(x->load, x->disk, length, offset, fn, context);
}

static void close_load(struct export *x)
{
    x->load->users--;
}

const struct export_ops export_load_ops = {
    .pread = pread_load,
    .pwrite = pwrite_load,
    .zero = zero_load,
    .trim = trim_load,
    .flush = flush_load,
    .extents = extents_load,
    .close_locked = close_load,
};

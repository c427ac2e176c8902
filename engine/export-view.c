/* SPDX-License-Identifier: Apache-2.0 */
/* Exports "<disk>" of a mirror and "<disk>@<generation>": read-only, pinned as long as they are open. */
#include "engine/export.h"

static int pread_view(struct export *x, void *data, uint32_t length, uint64_t offset)
{
    return view_pread(x->view, x->disk, data, length, offset);
}

static int extents_view(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                        void *context)
{
    return view_extents(x->view, x->disk, length, offset, fn, context);
}

static void close_view(struct export *x)
{
    view_put_locked(x->view);
}

const struct export_ops export_view_ops = {
    .pread = pread_view,
    .extents = extents_view,
    .close_locked = close_view,
};

/* SPDX-License-Identifier: Apache-2.0 */
/* What one NBD connection holds, and what each kind of export can do.  See engine.h for the names. */
#pragma once

#include "engine/vm.h"

struct export;

typedef int export_extent_fn(uint64_t offset, uint64_t length, unsigned flags, void *context);

/* Ranges are inside the disk; 0 or -errno; from any thread.  Without pwrite it is read-only; a NULL
 * trim or cache does nothing, and succeeds. */
struct export_ops {
    int (*pread)(struct export *x, void *data, uint32_t length, uint64_t offset);
    int (*pwrite)(struct export *x, const void *data, uint32_t length, uint64_t offset,
                  unsigned flags);
    int (*zero)(struct export *x, uint32_t length, uint64_t offset, unsigned flags);
    int (*trim)(struct export *x, uint32_t length, uint64_t offset, unsigned flags);
    int (*flush)(struct export *x);
    int (*cache)(struct export *x, uint32_t length, uint64_t offset);
    int (*extents)(struct export *x, uint64_t length, uint64_t offset, export_extent_fn *fn,
                   void *context);
    void (*close_locked)(struct export *x); /* under engine->lock; may be NULL */
};

struct export {
    struct export *next, *prev; /* engine->exports; guarded by engine->lock */
    struct engine *engine;
    struct disk *disk;
    const struct export_ops *ops;
    struct view *view;   /* export_view_ops */
    struct draft *draft; /* export_draft_ops */
    char *early_name;                    /* export_early_ops: of the draft; owned */
    _Atomic(struct draft *) early_draft; /* export_early_ops: NULL until it is there */
    struct load *load;   /* export_load_ops */
};

/* How many clients have a disk of the owner open now. */
unsigned export_count_owner_locked(const struct engine *engine);

extern const struct export_ops export_view_ops, export_owner_ops, export_draft_ops,
    export_early_ops, export_load_ops;

#define EARLY_SUFFIX "+early" /* of an export's name */

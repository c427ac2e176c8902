/* SPDX-License-Identifier: Apache-2.0 */
/* What one NBD connection holds.  See engine.h for the names. */
#pragma once

#include "engine/vm.h"

enum export_kind { EXPORT_VIEW, EXPORT_OWNER, EXPORT_DRAFT };

struct export {
    struct export *next, *prev; /* engine->exports; guarded by engine->lock */
    struct engine *engine;
    struct disk *disk;
    enum export_kind kind;
    struct view *view;   /* EXPORT_VIEW */
    struct draft *draft; /* EXPORT_DRAFT */
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The status object (docs/FORMATS.md): of a running engine, or of a store at rest. */
#pragma once

#include <jansson.h>
#include "engine/vm.h"

/* The parts that come from the superblock alone; new references. */
json_t *status_root(const struct super *super, const char *store, const char *vm);
json_t *status_disk(const struct super_disk *disk, const char *name, const char *target);

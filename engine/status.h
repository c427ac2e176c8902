/* SPDX-License-Identifier: Apache-2.0 */
/* The status object (docs/FORMATS.md): of a running engine, or of a store at rest. */
#pragma once

#include <jansson.h>
#include "engine/limitfile.h"
#include "engine/vm.h"

/* The parts that come from the superblock alone; new references. */
json_t *status_root(const struct super *super, const char *store, const char *vm);
/* {"vm": rates, "disks": {NAME: rates}}; names in the order of the superblock. */
json_t *status_limits(const struct limit_table *table, const struct limitfile_names *names);
json_t *status_disk(const struct super_disk *disk, const char *name, const char *target);

/* What is set of engine/room.h: {"keep", "when_full", "space_budget_bytes"}. */
json_t *status_policy(unsigned keep, enum when_full when_full, uint64_t space_budget);

/* The list "drafts". */
json_t *status_drafts_locked(const struct engine *engine);

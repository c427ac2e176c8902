/* SPDX-License-Identifier: Apache-2.0 */
/* T19 of the owner modes: what a killed engine or a power loss left. */
#pragma once

#include "engine/vm.h"

/* After the superblock, targets and layers are opened.  Decides from boot id, clean flag and live
 * files, makes the owners, and gives the nonce the next root has to carry.
 * EUCLEAN with a sentence when an operator must decide (options.accept_loss). */
int recover_owners(struct engine *engine, const uint8_t boot_id[16], uint8_t ret_nonce[16],
                   struct error **err);

/* The hydrators of what is missing, of disks that have none, with the source source.json names;
 * without threads before engine_start(). */
int recover_hydrators(struct engine *engine, struct error **err);

/* The same for owners that are not published yet, by disk. */
int engine_hydrators(struct engine *engine, struct owner *const owners[DISKS_MAX],
                     struct error **err);

/* Ends an owner's hydrator, if it has one; no client may be reading or writing. */
void engine_hydrator_end(struct engine *engine, struct owner *owner);

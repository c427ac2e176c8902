/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for generations: how many stay readable without anybody holding them, how much space the
 * layers that are not folded may take, and what gives way when there is no room for the next one.
 *
 * First whatever may be folded is; then the generations that are only kept; then, by the policy of
 * the store, either the new generation is refused, or the oldest readers are told to go: after a
 * grace, during which status shows it, their reads fail with -ESHUTDOWN.  A draft is never taken
 * away: it holds what somebody wrote.
 */
#pragma once

#include "engine/vm.h"

#define ROOM_GRACE_NS (UINT64_C(30) * 1000000000)

/* What there is room for, durable in the superblock. */
struct room_policy {
    uint16_t keep;         /* older generations that stay readable, at most KEEP_MAX */
    enum when_full when_full;
    uint64_t space_budget; /* bytes in layers that are not folded; 0: no limit */
};

/* Takes the policy of the superblock into effect. */
void room_open(struct engine *engine);

struct room_policy room_policy(struct engine *engine);

/* Changes the policy, durably.  EIO when the root cannot be written, EINVAL. */
int room_set(struct engine *engine, const struct room_policy *policy, struct error **err);

/* Bytes in layers that are not folded, of all disks. */
uint64_t room_layer_bytes_locked(const struct engine *engine);

/* Something must be folded before there is room for another generation. */
bool room_is_short_locked(const struct engine *engine);

/* Must the fold leave the oldest layer of this disk alone, because its generation is kept, or is not
 * wanted in the target by a flip?  For want of room kept generations go one by one, oldest first. */
bool room_keeps_locked(const struct engine *engine, const struct disk *disk);

/*
 * Waits until there is room for one more generation; revokes pins if that is the policy.  EBUSY with
 * a sentence that names what is in the way; ECANCELED (*cancel, which may be NULL); or why nothing
 * can be folded.
 */
int room_make(struct engine *engine, atomic_bool *cancel, struct error **err);

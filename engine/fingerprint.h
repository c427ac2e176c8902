/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fingerprint of a disk at a generation: the same for the same bytes, wherever and however they
 * are stored.  The digests of 4096 blocks (zeros included) one behind the other are digested, and the
 * digests of these groups again.  Nearly all of it is known already: blocks are read only when the
 * digest that was taken when they landed is not there.
 */
#pragma once

#include "engine/view.h"

/* In bounded memory, from any thread; looks at *cancel between groups.  0, -ECANCELED, -ESHUTDOWN
 * (the view was revoked) or -errno. */
int fingerprint_view(struct view *view, struct disk *disk, const atomic_bool *cancel,
                     uint8_t ret_digest[DIGEST_SIZE]);

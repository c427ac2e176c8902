/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives a Windows guest its drivers: virt-v2v-in-place or this program. */
#pragma once

#include "morph/windows.h"

/*
 * Sets facts->windows->by_v2v, and ->engine_why (a clause) when it was not a matter of course.  A
 * guest that reaches a virtio disk already is left to this program, which has nothing to do then.
 * -ENOENT with a sentence when virt-v2v is asked for but cannot be had.
 */
int windows_choose_engine(struct facts *facts, struct error **err);

/* After virt-v2v-in-place: -EIO with a sentence unless the disk driver is there that it had. */
int windows_check_v2v(const struct facts *facts, struct error **err);

/* True when virt-v2v-in-place has been at this guest, now or earlier. */
bool windows_was_v2v(const struct facts *facts);

/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of an open disk (disk.h), the thread that moves it, and the requests it has. */
#pragma once

#include "fusefs/disk.h"

struct lane;

/* Copies the options; connects in the background.  tells: writes to the log what becomes of the
 * engine.  NULL: no memory or no thread. */
struct lane *lane_new(const struct disk_options *options, bool tells);

/* As disk_submit(). */
void lane_submit(struct lane *lane, struct disk_request *request);

/* Has a look at interrupted requests. */
void lane_wake(struct lane *lane);

/* Requests that are not done. */
unsigned lane_load(struct lane *lane);

/* Ends it in the background; its requests fail with EIO. */
void lane_end(struct lane *lane);

/* Waits until all that were ended have gone, up to timeout_ns. */
void lanes_wait(uint64_t timeout_ns);

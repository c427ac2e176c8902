/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of one disk: the raw file or block device that becomes the VM's disk.  Two open file
 * descriptions: `fd` (O_DIRECT where possible) carries the bulk writes and the lock that fences
 * them, `buffered_fd` serves readers, the owner's guest, and edges that O_DIRECT cannot write.
 */
#pragma once

#include "engine/io.h"

struct target {
    struct io *io;
    char *path;
    int fd;
    int buffered_fd;
    uint32_t alignment; /* of offset, length and memory on fd; bytes */
    bool block_device;
    uint8_t id[16];
};

/*
 * Opens, checks that it holds at least `size` bytes, and takes the fence: waits up to
 * fence_ns for the writes of a dead engine.  EBUSY names the living owner.
 */
int target_open(struct io *io, const char *path, uint64_t size, uint64_t fence_ns,
                struct target *ret_target, struct error **err);
void target_close(struct target *target);

/* fdatasync; covers writes through both descriptions. */
int target_sync(struct target *target);

/* Makes a range read as zero; holes of a file of `size` bytes are left alone.  Through the page
 * cache. */
int target_clear(struct target *target, uint64_t size, uint64_t offset, uint64_t length);

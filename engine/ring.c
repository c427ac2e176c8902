/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ring.h"

#include <string.h>

#ifndef HAVE_URING
int ring_new_uring(unsigned depth, struct ring_buffers buffers, struct ring **ret_ring)
{
    return -ENOSYS;
}
#endif

static bool uring_wanted(void)
{
    const char *io = getenv("SLIPWAY_IO");

    return !io || strcmp(io, "threads") != 0;
}

int ring_new(struct io *io, unsigned depth, struct ring_buffers buffers, struct ring **ret_ring)
{
    if (io->ops->ring)
        return io->ops->ring(io, ret_ring);
    if (io == io_posix() && uring_wanted() && ring_new_uring(depth, buffers, ret_ring) == 0)
        return 0;
    return ring_new_sync(io, ret_ring);
}

void ring_free(struct ring *ring)
{
    if (ring)
        ring->ops->free(ring);
}

const char *ring_kind(void)
{
    struct ring *ring;
    const char *name;

    if (ring_new(io_posix(), 8, (struct ring_buffers){0}, &ring) < 0)
        return "threads";
    name = ring->ops->name;
    ring_free(ring);
    return name;
}

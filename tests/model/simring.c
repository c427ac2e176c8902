/* SPDX-License-Identifier: Apache-2.0 */
/* A ring over the simulated disk: writes stay in flight until they are waited for, and complete in
 * any order. */
#include <string.h>

#include "base/str.h"
#include "engine/ring.h"
#include "tests/model/sim.h"

struct entry {
    struct entry *next;
    struct ring_op *op;
    struct sim_flight *flight; /* NULL: the result is known */
    int result;                /* of a flight: the length */
};

struct simring {
    struct ring ring;
    struct sim *sim;
    struct entry *entries;
};

static int add(struct simring *s, struct ring_op *op, struct sim_flight *flight, int result)
{
    struct entry *e = mem_new(1, sizeof(*e));

    *e = (struct entry){s->entries, op, flight, result};
    s->entries = e;
    s->ring.in_flight++;
    return 0;
}

static int simring_write(struct ring *ring, int fd, const void *data, uint32_t length,
                         uint64_t offset, struct ring_op *op)
{
    struct simring *s = (struct simring *)ring;
    int error;
    struct sim_flight *flight = sim_submit(s->sim, fd, data, length, offset, &error);

    return add(s, op, flight, flight ? (int)length : error);
}

static int simring_read(struct ring *ring, int fd, void *data, uint32_t length, uint64_t offset,
                        struct ring_op *op)
{
    struct simring *s = (struct simring *)ring;
    int r = io_read(sim_io(s->sim), fd, data, length, offset);

    return add(s, op, NULL, r < 0 ? r : (int)length);
}

static void complete(struct simring *s, struct entry **at)
{
    struct entry *e = *at;
    int r = e->result;

    *at = e->next;
    if (e->flight) {
        r = sim_complete(s->sim, e->flight);
        r = r < 0 ? r : e->result;
    }
    s->ring.in_flight--;
    e->op->done(e->op, r);
    free(e);
}

static int simring_wait(struct ring *ring, int fd, short events, int timeout_ms)
{
    struct simring *s = (struct simring *)ring;
    unsigned n = ring->in_flight ? 1 + random_below(sim_random(s->sim), ring->in_flight) : 0;

    if (sim_dead(s->sim))
        n = ring->in_flight;
    while (n-- > 0) {
        struct entry **at = &s->entries;

        for (unsigned k = random_below(sim_random(s->sim), ring->in_flight); k > 0; k--)
            at = &(*at)->next;
        complete(s, at);
    }
    return 0;
}

static void simring_free(struct ring *ring)
{
    free(ring);
}

static const struct ring_ops simring_ops = {
    .name = "simulated",
    .free = simring_free,
    .write = simring_write,
    .read = simring_read,
    .wait = simring_wait,
};

int simring_new(struct io *io, struct ring **ret_ring)
{
    struct simring *s = mem_new(1, sizeof(*s));

    s->ring.ops = &simring_ops;
    s->sim = (struct sim *)io;
    *ret_ring = &s->ring;
    return 0;
}

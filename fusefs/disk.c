/* SPDX-License-Identifier: Apache-2.0 */
/* An open disk spreads its requests over a few lanes: the copying of one connection keeps a CPU busy.
 * One request at a time stays on the first lane; the others come when there is more to do. */
#include "fusefs/disk.h"

#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/align.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "fusefs/lane.h"
#include "fusefs/link.h"

#define LANES_MAX 4
#define STATUS_CHUNK (UINT64_C(1) << 31)

struct disk {
    struct disk_options options;
    pthread_mutex_t lock;
    struct lane *lanes[LANES_MAX]; /* the first is there from the beginning */
    unsigned count;
};

static atomic_uint open_count;

struct disk *disk_new(const struct disk_options *o)
{
    struct disk *d = mem_new(1, sizeof(*d));

    d->options = *o;
    d->options.socket = str_dup(o->socket);
    d->options.export_name = str_dup(o->export_name);
    d->options.label = str_dup(o->label);
    pthread_mutex_init(&d->lock, NULL);
    atomic_fetch_add(&open_count, 1);
    d->lanes[0] = lane_new(&d->options, true);
    d->count = d->lanes[0] ? 1 : 0;
    if (d->count == 1)
        return d;
    disk_end(d);
    return NULL;
}

static struct lane *choose(struct disk *d, enum disk_what what)
{
    struct lane *best = d->lanes[0];

    LOCK_FOR_SCOPE(&d->lock);
    if (what == DISK_OPEN)
        return best;
    for (unsigned i = 1; i < d->count; i++)
        if (lane_load(d->lanes[i]) < lane_load(best))
            best = d->lanes[i];
    if (lane_load(best) > 0 && d->count < LANES_MAX) {
        d->lanes[d->count] = lane_new(&d->options, false);
        if (d->lanes[d->count])
            best = d->lanes[d->count++];
    }
    return best;
}

void disk_submit(struct disk *d, struct disk_request *r)
{
    lane_submit(choose(d, r->what), r);
}

void disk_interrupt(struct disk *d, struct disk_request *r)
{
    atomic_store(&r->interrupted, true);
    LOCK_FOR_SCOPE(&d->lock);
    for (unsigned i = 0; i < d->count; i++)
        lane_wake(d->lanes[i]);
}

void disk_end(struct disk *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->count; i++)
        lane_end(d->lanes[i]);
    pthread_mutex_destroy(&d->lock);
    free((char *)d->options.socket);
    free((char *)d->options.export_name);
    free((char *)d->options.label);
    free(d);
    atomic_fetch_sub(&open_count, 1);
}

void disks_wait(uint64_t timeout_ns)
{
    lanes_wait(timeout_ns);
}

unsigned disks_open(void)
{
    return atomic_load(&open_count);
}

/* ---- how much of it is data ---- */

struct tally {
    uint64_t next, data;
};

static int add_extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries,
                       size_t n, int *error)
{
    struct tally *t = opaque;

    for (size_t i = 0; i + 1 < n; i += 2) {
        t->next += entries[i];
        if (!(entries[i + 1] & LIBNBD_STATE_ZERO))
            t->data += entries[i];
    }
    return 0;
}

static bool never(void *context)
{
    return false;
}

int disk_count_data(const char *socket, const char *export_name, uint64_t *ret_bytes)
{
    nbd_extent_callback callback = {.callback = add_extents};
    struct nbd_handle *nbd = NULL;
    struct tally t = {0};
    uint64_t size = 0;
    int r = link_open(socket, export_name, never, NULL, &nbd);

    if (r < 0)
        return r;
    callback.user_data = &t;
    r = link_size(nbd, &size);
    while (r == 0 && t.next < size) {
        uint64_t before = t.next;

        if (nbd_block_status(nbd, MIN(STATUS_CHUNK, size - t.next), t.next, callback, 0) < 0 ||
            t.next == before)
            r = -EIO;
    }
    nbd_close(nbd);
    *ret_bytes = MIN(t.data, size);
    return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the missing blocks of one disk: on demand for a guest's request, as prefetch, and in the
 * background, in this order.  Local layers serve what they have at once, in the asking thread; the
 * rest comes over one or more connections to the remote source, each in a thread of its own that
 * runs a step machine (a test calls the steps itself and no thread exists).
 *
 * Source lost: a connection that fails is tried again with backoff.  A request that needs the
 * source waits at most `wait_ns` (15 s); then all that wait get -EIO and new ones fail at once,
 * until the source is back.  Everything that is here, or in a layer, goes on working.
 */
#pragma once

#include "engine/owner.h"
#include "engine/reader.h"

#define HYDRATE_WAIT_NS (UINT64_C(15) * 1000000000)

enum source_state {
    SOURCE_NONE,       /* nobody told where it is yet */
    SOURCE_CONNECTING, /* not here, requests wait */
    SOURCE_UP,
    SOURCE_LOST,       /* requests that need it fail */
};

struct hydrator_options {
    const struct reader_factory *readers;
    const char *uri;       /* NULL: not known yet */
    unsigned connections;  /* 0: 2 */
    uint64_t wait_ns;      /* 0: HYDRATE_WAIT_NS */
    bool zero_map;         /* ask the source which extents are zero and clear those first */
};

struct hydrator;

struct hydrator_status {
    enum source_state state;
    uint64_t since_ns;            /* clock_now_ns() of the last change of state */
    uint64_t missing_bytes;
    uint64_t fetched_bytes;       /* from the remote source */
    uint64_t local_bytes;         /* from layers */
    uint64_t demand_count, demand_ns; /* requests that waited, and how long in sum */
    uint64_t rate_bytes_s;        /* of the last seconds */
    char error[256];              /* why the source is not here; empty: it is */
};

int hydrator_new(struct owner *owner, const struct hydrator_options *options,
                 struct hydrator **ret_hydrator);
int hydrator_start(struct hydrator *hydrator); /* its threads */
void hydrator_stop(struct hydrator *hydrator); /* ends them; who waits gets -ESHUTDOWN */
void hydrator_free(struct hydrator *hydrator); /* NULL is fine */

/* Another place of the same source (an adapter that was restarted). */
int hydrator_set_source(struct hydrator *hydrator, const char *uri);

/* The orchestrator knows that the source is gone: who waits fails now (-EIO). */
void hydrator_source_lost(struct hydrator *hydrator);

/* Waits until nothing of the blocks is missing any more.  Without threads it does the work itself.
 * -EIO: the source is lost. */
int hydrator_need(struct hydrator *hydrator, uint64_t first_block, uint64_t last_block);

/* The range is wanted soon. */
void hydrator_prefetch(struct hydrator *hydrator, uint64_t first_block, uint64_t last_block);

/* One step of one connection, for tests without threads: 1: more to do, 0: nothing missing any
 * more, -errno: this connection failed (it is tried again by the next step). */
int hydrator_step(struct hydrator *hydrator, unsigned connection);

void hydrator_get_status(struct hydrator *hydrator, struct hydrator_status *ret_status);

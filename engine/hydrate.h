/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the missing blocks of one disk: on demand for a guest's request, as prefetch, and in the
 * background, in this order.  Local layers serve what they have at once, in the asking thread; the
 * rest comes over one or more connections to the remote source, each in a thread of its own that
 * runs a step machine (a test calls the steps itself and no thread exists).
 *
 * Source lost: a connection that fails is tried again with backoff.  A request that needs the
 * source waits at most `wait_ns` (15 s); then all that wait get -EIO and new ones fail at once,
 * until the source is back.  Everything that is here, or in a layer, goes on working.  A source
 * counts as back when it has delivered something, not when it accepts a connection.
 *
 *   hydrate.c        requests, what the source's state is, status
 *   hydrate-queue.c  which block next: demand, prefetch, sweep; no block twice
 *   hydrate-link.c   one connection's step machine
 *   hydrate-land.c   what arrived goes to the owner: digests, zeros, layers, zero extents
 *   hydrate-pace.c   how much the background may do
 *   hydrate-thread.c threads, waiting and backoff
 */
#pragma once

#include "engine/owner.h"
#include "engine/reader.h"

#define HYDRATE_WAIT_NS (UINT64_C(15) * 1000000000)
#define HYDRATE_LINKS_MAX 8

enum source_state {
    SOURCE_NONE,       /* nobody told where it is yet; requests wait */
    SOURCE_CONNECTING, /* not here, requests wait */
    SOURCE_UP,
    SOURCE_LOST,       /* requests that need it fail */
};

struct hydrator_options {
    const struct reader_factory *readers;
    const char *uri;       /* NULL: not known yet */
    unsigned connections;  /* 0: 2; at most HYDRATE_LINKS_MAX */
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
    uint64_t zero_bytes;          /* known to be zero without transfer */
    uint64_t demand_count, demand_ns; /* requests that waited, and how long in sum */
    uint64_t demand_errors;       /* of them, those that failed */
    uint64_t fetch_count;         /* reads sent to the source */
    uint64_t rate_bytes_s;        /* brought per second, of the last seconds */
    unsigned links;               /* connections open now */
    unsigned depth;               /* requests the background may have in flight */
    char error[256];              /* why the source is not here; empty: it is */
    char setback[256];            /* why some blocks could not be brought; they are tried again */
};

/* Threads do not run yet.  The owner and the engine stay the caller's, and outlive it. */
int hydrator_new(struct owner *owner, const struct hydrator_options *options,
                 struct hydrator **ret_hydrator);
int hydrator_start(struct hydrator *hydrator); /* its threads */
/* Ends them; who waits gets -ESHUTDOWN, and has left hydrator_need() when this returns. */
void hydrator_stop(struct hydrator *hydrator);
void hydrator_free(struct hydrator *hydrator); /* after hydrator_stop(); NULL is fine */

/* Where the source is.  Another place (an adapter that was restarted): all connections are made
 * anew, what was in flight is asked for again.  The same place again: those that failed are tried
 * at once.  -ENOMEM. */
int hydrator_set_source(struct hydrator *hydrator, const char *uri);

/* The orchestrator knows that the source is gone: who waits fails now (-EIO). */
void hydrator_source_lost(struct hydrator *hydrator);

/* Waits until nothing of the blocks is missing any more.  Without threads it does the work itself.
 * -EIO: the source is lost, or cannot read these blocks; -ESHUTDOWN: hydrator_stop(); others: the
 * target could not be written. */
int hydrator_need(struct hydrator *hydrator, uint64_t first_block, uint64_t last_block);

/* The range is wanted soon. */
void hydrator_prefetch(struct hydrator *hydrator, uint64_t first_block, uint64_t last_block);

/* One step of one connection, for tests without threads: 1: more to do, 0: nothing missing any
 * more, -errno: this connection failed (it is tried again by the next step). */
int hydrator_step(struct hydrator *hydrator, unsigned connection);

/* May be called under engine->lock. */
void hydrator_get_status(struct hydrator *hydrator, struct hydrator_status *ret_status);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may sync now, when not all may at the same time.  Pure.
 *
 * Each sync needs a place in several scopes: the daemon's, its source host's, the node's.  The one
 * with the highest rank that finds a place in all of them goes first; who finds none does not keep
 * others from places that it could not use.  Rank: the priority, and one more for each minute of
 * waiting, so that in the end everybody comes to the top.  There a place that becomes free is kept
 * for it once it has waited SLOTS_PATIENCE_NS: many small ones elsewhere cannot starve it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOTS_SCOPES_MAX 8 /* of one request */
#define SLOTS_PATIENCE_NS (INT64_C(300) * 1000000000)

struct slots_scope {
    unsigned most;    /* 0: any number */
    unsigned running;
};

struct slots_request {
    int priority;       /* higher first */
    int64_t waiting_ns; /* so long already */
    uint64_t ticket;    /* of equal ones the lower number first */
    size_t scopes[SLOTS_SCOPES_MAX];
    size_t scope_count;
    /* Set by slots_grant(). */
    bool granted;
    size_t blocked_by; /* not granted: the scope that had no place for it */
    bool kept_free;    /* ... because the place is kept for one that has waited longer */
};

/* Decides about all requests; those that are granted are counted as running.  Any order. */
void slots_grant(struct slots_scope *scopes, size_t scope_count, struct slots_request *requests,
                 size_t count);

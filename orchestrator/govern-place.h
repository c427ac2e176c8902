/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a sync runs, and so which limits are its.  Pure.
 *
 * Of the limits of one scope that with a name goes before the one of each (no name).  All networks
 * that its source's host is in count.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include "orchestrator/govern-limit.h"

#define GOVERN_PLACE_LIMITS 8 /* of one sync: all, source, host, node and up to 4 networks */

struct govern_place {
    char *source;  /* name */
    char *host;    /* of the source; "localhost": this machine */
    char *address; /* of the host; NULL: not known */
    char *node;
};

void govern_place_done(struct govern_place *place);

/* The host in a provider's URI: "qemu+ssh://root@HOST:22/system" → HOST; "localhost" without one.
 * The caller frees. */
char *govern_host_of_uri(const char *uri);

/* Indices of the limits that a sync at this place is under; how many (≤ GOVERN_PLACE_LIMITS). */
size_t govern_place_limits(const struct govern_place *place, struct govern_limit *const *limits,
                           size_t count, size_t ret[GOVERN_PLACE_LIMITS]);

/* What tells the syncs apart that are under a limit: its own name, or the place's; borrowed. */
const char *govern_place_key(const struct govern_place *place, const struct govern_limit *limit);

/* Several scopes of one kind, of all limits: an entry for each limit and key. */
struct govern_entry {
    const struct govern_limit *limit; /* NULL: slipwayd itself */
    char *key;
    struct govern_amount amount;
};

struct govern_entries {
    struct govern_entry *list;
    size_t count;
};

/* The entries a place is under at this time, added to the list where they are missing; indices into
 * it and how many. */
size_t govern_entries_add(struct govern_entries *entries, const struct govern_place *place,
                          struct govern_limit *const *limits, size_t count, int64_t wall_ns,
                          size_t ret[GOVERN_PLACE_LIMITS]);
void govern_entries_done(struct govern_entries *entries);

/* "host esx1", "each source (src)", "all": for people.  The caller frees. */
char *govern_entry_text(const struct govern_entry *entry);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A limit as an admin sets it: how much the syncs that run in a scope may use together, by time of
 * day.
 *
 *   {"scope": "all" | "source" | "host" | "network" | "node",
 *    "name": a source; a source's host; a network as ADDRESS/BITS, in which a source's host is;
 *            a node.  Absent: each source, host or node on its own.  None with "all".
 *    "rules": [{"when"?: window or [windows] of calendar.h, "bandwidth"?: bytes per second, "100M",
 *               "20Mbit", "medium" (20 Mbit/s), "fast" (30 Mbit/s) or "unlimited",
 *               "iops"?: reads per second, "syncs"?: how many at the same time}, …],
 *    "also_cutover"?: true: the last delta of a cutover, and hydration, keep to it too}
 *
 * The first rule whose time it is counts, with all its fields; what it does not name is not limited.
 * The limits that a sync runs under hold together.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

enum govern_scope {
    GOVERN_ALL,
    GOVERN_SOURCE,
    GOVERN_HOST,
    GOVERN_NETWORK,
    GOVERN_NODE,
    GOVERN_SCOPE_COUNT
};

#define GOVERN_RULES_MAX 32

struct govern_limit; /* what a limit says */

/* What a limit says at one time; 0: it does not limit that. */
struct govern_amount {
    uint64_t bytes_s;
    uint64_t iops;
    unsigned syncs;
};

/* Reads and checks the above.  EINVAL and a sentence naming field, value and what is allowed. */
int govern_limit_parse(const json_t *body, struct govern_limit **ret, struct error **err);
void govern_limit_free(struct govern_limit *limit); /* NULL is fine */

/* The same object with all its fields; new reference. */
json_t *govern_limit_json(const struct govern_limit *limit);

enum govern_scope govern_limit_scope(const struct govern_limit *limit);
const char *govern_limit_name(const struct govern_limit *limit); /* "": each */
bool govern_limit_also_cutover(const struct govern_limit *limit);

const char *govern_scope_name(enum govern_scope scope);
int govern_scope_from_name(const char *name); /* or -EINVAL */

/* Checks scope and name of a limit that need not exist. */
int govern_name_check(enum govern_scope scope, const char *name, struct error **err);

struct govern_amount govern_limit_at(const struct govern_limit *limit, int64_t wall_ns);

/* When it will say something else, INT64_MAX: never. */
int64_t govern_limit_change(const struct govern_limit *limit, int64_t wall_ns);

/* Bytes per second of "100M", "20Mbit", a class, or a number; 0: unlimited. */
int govern_bandwidth_parse(const json_t *value, uint64_t *ret, struct error **err);

/* True when an address (IPv4 or IPv6, as text) lies in ADDRESS/BITS. */
bool govern_network_has(const char *network, const char *address);

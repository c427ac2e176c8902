/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this VM be moved, as far as one can know without touching anything?  Pure: descriptions and
 * facts in, findings out, each {check, message}.  `check` is one of
 *   accel arch cbt cpu disks firmware guest memory name networks node params privileges
 *   schedule snapshots space targets uuid versions
 *
 * node: node_facts() of node.h; source: what the provider tells of itself (source_ops.facts), or NULL.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct findings {
    json_t *reasons;  /* why it is not ready; owned */
    json_t *warnings; /* what one should know; owned */
};

void findings_init(struct findings *findings);
void findings_done(struct findings *findings);

void finding_reason(struct findings *findings, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void finding_warning(struct findings *findings, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The VM itself: disks and how their changes are tracked, snapshots it has already, its guest. */
void check_source_vm(const json_t *description, struct findings *findings);

/* Whether the node can have it: networks, firmware, architecture, memory, CPUs, versions. params:
 * params_complete(). */
void check_placement(const json_t *params, const json_t *description, const json_t *node,
                     const json_t *source, struct findings *findings);

/* Whether its name and uuid are free on the node. */
void check_identity(const json_t *params, const json_t *description, const json_t *node,
                    struct findings *findings);

/* When it would be cut over: a time that is over, or that its windows do not allow. */
void check_schedule(const json_t *params, int64_t wall_ns, struct findings *findings);

/* The VM must have disks, each with a size: EINVAL. */
int check_disks(const json_t *description, struct error **err);

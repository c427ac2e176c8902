/* SPDX-License-Identifier: Apache-2.0 */
/* A picture of all migrations: a snapshot (GET /v1/status), kept up to date by the events that
 * follow it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct model {
    json_t *migrations; /* by name */
    json_t *notes;      /* the last note of each, by name */
    json_t *decisions;  /* what is done next with each, by name; empty when nobody has asked */
    char *cursor;       /* where the events go on; NULL: a snapshot is wanted */
    char *epoch;
    char *version;
};

void model_done(struct model *model);

/* Begins anew with a snapshot (borrowed). */
void model_take_snapshot(struct model *model, const json_t *snapshot);

/* Takes what GET /v1/schedule has answered (borrowed). */
void model_take_decisions(struct model *model, const json_t *schedule);

/* Takes one event.  False: the events cannot be followed any more, a new snapshot is needed. */
bool model_take_event(struct model *model, const json_t *event);

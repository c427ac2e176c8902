/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of groups share. */
#pragma once

#include "orchestrator/group.h"

enum group_phase {
    PHASE_CUTOVER,   /* members stop, copy, morph; any of them can take all back */
    PHASE_FLIPPED,   /* decided: forward only */
    PHASE_REVERTING, /* one failed: all go back */
    PHASE_SYNC       /* not in the journal: a sync that was interrupted goes on for each alone */
};

/* The work a group is at; there is none while nothing is done as one. */
struct group {
    struct group *next; /* daemon->groups */
    char *key;
    json_t *members; /* names */
    enum group_phase phase;
    char *reason;  /* of going back */
    bool deciding; /* somebody writes the decision */
};

const char *group_phase_name(enum group_phase phase);
struct group *group_find_locked(const struct daemon *d, const char *key);
struct group *group_of_locked(const struct daemon *d, const struct job *job);
bool group_has(const struct group *g, const char *name);

/* Durable first, then in memory. */
int group_set_phase(struct daemon *d, struct group *g, enum group_phase phase, const char *reason,
                    struct error **err);
void group_unlink_locked(struct daemon *d, struct group *g);
void group_free(struct group *g);

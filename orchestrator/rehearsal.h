/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rehearsals: a draft of the latest generation is morphed, booted with no network but an isolated
 * one, judged, and thrown away.  Syncs go on meanwhile.
 *
 *   drafting → morphing → booting → [kept] → discarding → passed | failed | stopped
 *
 * A rehearsal is beside the states of its migration: it has a thread of its own, and a row in the
 * journal that is written before anything is made.  A slipwayd that finds one that did not end
 * discards what is left of it and calls it stopped.  A migration has one at a time; a cutover, a
 * cancel and a removal end it first.
 *
 * What the morph did is kept as a recipe (slipway-morph --record) in STORE/recipe when the
 * rehearsal passes; the cutover replays it where the guest still is the same.
 */
#pragma once

#include <jansson.h>
#include "orchestrator/daemon.h"

struct run;

/*
 * body: {check?: "auto" | "agent" | "running" | "console:REGEX" |
 * "port:N", timeout_s?, keep?: bool,
 * connect?: bool: on the networks of the migration, not isolated} or NULL.
 * auto: the guest agent where the guest has one, else that the VM runs without a crash.  *ret is
 * the rehearsal as the API shows it.  EPERM: the migration has no generation, or is past the
 * mirror; EBUSY: one is going on.
 */
int rehearsal_begin(struct daemon *d, const char *name, const json_t *body, json_t **ret,
                    struct error **err);

/* Tells a rehearsal that runs, or is kept, to end, or tries again to clear away what one has left;
 * that happens in its own time.  ENOENT: none. */
int rehearsal_stop(struct daemon *d, const char *name, json_t **ret, struct error **err);

/* [{id, state, check, keep, generation, started_ns, seconds, morph_s, boot_s, how, error}], latest
 * first. */
int rehearsal_list(struct daemon *d, const char *name, json_t **ret, struct error **err);

/* The last one of a job, or null; new reference. */
json_t *rehearsal_json_locked(const struct job *job);

/* Ends the one that goes on and waits for it; at the begin of what may not be beside it.  What an
 * earlier one could not clear away is tried again; EBUSY: in vain. */
void rehearsal_end(struct run *run); /* the log has it */
int rehearsal_end_job(struct daemon *d, struct job *job, struct error **err);

/* At slipwayd's start: discards what rehearsals that did not end have left. */
int rehearsals_resume(struct daemon *d, struct error **err);

void rehearsal_free(struct rehearsal *rehearsal);

/* Should its steps give up? */
bool rehearsal_interrupted(const struct rehearsal *rehearsal);

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What slipwayd must not forget: sources, migrations, their passes, what exists on sources because
 * of us, and what happened.  A call that returned 0 is durable.
 *
 * Threads: any; one lock inside.  Rows travel as JSON objects whose fields are the columns named
 * in journal.c; columns that hold JSON text arrive parsed.  Times are struct stamp.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"

struct journal;

/* One instant: wall clock for people, CLOCK_MONOTONIC for differences within one boot. */
struct stamp {
    int64_t wall_ns;
    int64_t mono_ns;
    char boot_id[40];
};

void stamp_now(struct stamp *stamp);

/* Opens DIR/journal.db, making it when missing.  EPROTO: written by a newer slipwayd.  EBADMSG:
 * damaged (also: empty beside a copy); the sentence says how to go on.  Made anew beside a copy of an
 * older one: that is kept as journal.db.backup.TIME.  A copy of a sound journal is left in
 * DIR/journal.db.backup at each start. */
int journal_open(const char *dir, struct journal **ret_journal, struct error **err);
struct journal *journal_close(struct journal *journal);

/* Sources: {name, uri, secret: bool}. */
int journal_add_source(struct journal *journal, const char *name, const char *uri, bool secret,
                       struct error **err);
int journal_remove_source(struct journal *journal, const char *name, struct error **err);
int journal_get_source(struct journal *journal, const char *name, json_t **ret_row,
                       struct error **err); /* ENOENT */
int journal_list_sources(struct journal *journal, json_t **ret_rows, struct error **err);

/*
 * Migrations: {name, source, vm, state, failed_state, params, description, facts, error_code,
 * error, created_ns}.
 */
int journal_list_migrations(struct journal *journal, json_t **ret_rows, struct error **err);

/* Adds or replaces a migration, notes the transition and the event, all at once. `from` NULL: it
 * is new (EEXIST when the name is taken); from == state: a fact was added, no transition is
 * noted.  event may be NULL; *ret_seq its number. */
int journal_put_migration(struct journal *journal, const json_t *row, const char *from,
                          const json_t *event, int64_t *ret_seq, struct error **err);

/* Forgets it with its passes, transitions and events, and notes this last event; *ret_seq its
 * number. */
int journal_remove_migration(struct journal *journal, const char *name, const json_t *event,
                             int64_t *ret_seq, struct error **err);

/* [{from_state, to_state, wall_ns, mono_ns, boot_id}], oldest first. */
int journal_list_transitions(struct journal *journal, const char *migration, json_t **ret_rows,
                             struct error **err);

/*
 * Passes: {id, migration, kind: "initial"|"delta"|"final", since, snapshot, private, generation,
 * result, why_full, started_ns, started_mono_ns, boot_id, freeze_s, limited, seconds, ended}.  freeze_s:
 * from its begin until its snapshot was there.  At most one pass of a migration is not ended.
 */
int journal_begin_pass(struct journal *journal, const char *migration, const char *kind,
                       const char *since, int64_t *ret_id, struct error **err);
int journal_set_pass_snapshot(struct journal *journal, int64_t id, const char *snapshot,
                              const json_t *private, const char *why_full, struct error **err);
int journal_commit_pass(struct journal *journal, int64_t id, int64_t generation,
                        const json_t *result, double seconds, struct error **err);
int journal_end_pass(struct journal *journal, int64_t id, struct error **err);
int journal_drop_pass(struct journal *journal, int64_t id, struct error **err);

/* The pass that is not ended; *ret_row NULL when there is none. */
int journal_open_pass(struct journal *journal, const char *migration, json_t **ret_row,
                      struct error **err);
int journal_list_passes(struct journal *journal, const char *migration, json_t **ret_rows,
                        struct error **err);

/* A pass that was slower than the last one of a cutover would be, because of limits. */
int journal_set_pass_limited(struct journal *journal, int64_t id, struct error **err);

/* What a forecast is made of: the latest committed passes and the initial one, the latest
 * transitions without those of syncs, oldest first, and the latest rehearsals, latest first. */
int journal_list_recent(struct journal *journal, const char *migration, json_t **ret_passes,
                        json_t **ret_transitions, json_t **ret_rehearsals, struct error **err);

/* {pass: {wall_ns, mono_ns, boot_id, seconds} of the last committed one, syncs: {n} since the last
 * rehearsal began, failures: {n, wall_ns, mono_ns, boot_id} of syncs in a row and the last of them,
 * cutover_failed: {wall_ns, mono_ns, boot_id}: the last try of the cutover came back or failed,
 * window: {…} when that state began}; what never happened is missing.  New reference. */
int journal_get_past(struct journal *journal, const char *migration, json_t **ret_past,
                     struct error **err);

/* Rehearsals: {id, migration, state, params, result, started_ns, ended}; latest first, migration
 * NULL: of all.  Beginning one ends those of the migration that had not ended. */
int journal_begin_rehearsal(struct journal *journal, const char *migration, const json_t *params,
                            int64_t *ret_id, int64_t *ret_started_ns, struct error **err);
int journal_set_rehearsal(struct journal *journal, int64_t id, const char *state,
                          const json_t *result, bool ended, struct error **err);
int journal_list_rehearsals(struct journal *journal, const char *migration, json_t **ret_rows,
                            struct error **err);

/* Plans: {name, source, file, text, applied_ns}; put adds or replaces.  A list is without texts. */
int journal_put_plan(struct journal *journal, const char *name, const char *source,
                     const char *file, const char *text, struct error **err);
int journal_get_plan(struct journal *journal, const char *name, json_t **ret_row,
                     struct error **err); /* ENOENT */
int journal_list_plans(struct journal *journal, json_t **ret_rows, struct error **err);
int journal_remove_plan(struct journal *journal, const char *name, struct error **err);

/* What exists on a source because of a migration: {id, source, migration, pass, thing}. */
int journal_add_leftover(struct journal *journal, const char *source, const char *migration,
                         int64_t pass, const json_t *thing, int64_t *ret_id, struct error **err);
int journal_remove_leftover(struct journal *journal, int64_t id, struct error **err);

/* Those of one pass, or all of the migration (pass < 0); newest first. */
int journal_list_leftovers(struct journal *journal, const char *migration, int64_t pass,
                           json_t **ret_rows, struct error **err);

/* Cutovers of groups: {name, phase, members, reason}. */
int journal_put_group(struct journal *journal, const char *name, const char *phase,
                      const json_t *members, const char *reason, struct error **err);
int journal_remove_group(struct journal *journal, const char *name, struct error **err);
int journal_list_groups(struct journal *journal, json_t **ret_rows, struct error **err);

/* Limits of the governor: {body: govern-limit.h}. */
int journal_list_limits(struct journal *journal, json_t **ret_rows, struct error **err);
int journal_put_limit(struct journal *journal, const char *scope, const char *name,
                      const json_t *body, struct error **err);
int journal_remove_limit(struct journal *journal, const char *scope, const char *name,
                         struct error **err);

/* The limits that the engine of a migration had before the governor told it others; NULL: it has not
 * been told any. */
int journal_get_governed(struct journal *journal, const char *migration, json_t **ret_before,
                         struct error **err);
int journal_set_governed(struct journal *journal, const char *migration, const json_t *before,
                         struct error **err);

/* Events: {seq, time_ns, migration, body}. */
int journal_add_event(struct journal *journal, const char *migration, const json_t *body,
                      int64_t *ret_seq, struct error **err);

/* Those with seq > after, oldest first, at most `limit`; migration NULL: of all. */
int journal_list_events(struct journal *journal, const char *migration, int64_t after,
                        int64_t limit, json_t **ret_rows, struct error **err);

/* Number of the newest event there ever was (0: none), and of the oldest that is kept. */
int journal_newest_event(struct journal *journal, int64_t *ret_oldest, int64_t *ret_newest,
                         struct error **err);

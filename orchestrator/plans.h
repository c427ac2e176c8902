/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plans of slipwayd: read, checked against source and node, applied.
 *
 * A migration belongs to the plan that its field `plan` names.  Applying is done one plan at a time
 * and is idempotent: the text is journalled first, then each migration is made or changed, so a plan
 * that was interrupted is applied again and goes on.
 */
#pragma once

#include "orchestrator/daemon.h"
#include "orchestrator/plan.h"

/* What is known of a text before anything is done. */
struct plan_reading {
    char *file;           /* for sentences; owned */
    char *text;           /* owned */
    struct plan *plan;    /* NULL: not readable */
    json_t *source; /* {name, reachable, message?} and what the provider tells; NULL: not asked */
    json_t *descriptions; /* VM → description, of those that may be selected */
    json_t *migrations;   /* plan_expand(); NULL: there are problems */
    struct problems problems, warnings;
};

/*
 * body: {text, file?, check?}.  Parses the text, asks the source and expands.  What is wrong with the
 * plan, an unknown or unreachable source included, is in the problems; -errno is for a wrong body.
 * plan_reading_done() in any case.
 */
int plan_reading_make(struct daemon *d, const json_t *body, struct plan_reading *reading,
                      struct error **err);
void plan_reading_done(struct plan_reading *reading);

/* {name?, ok, problems, warnings, source, node, pools, vms: [{vm, migration, ready, reasons,
 * warnings}]}: all that can be known without touching anything (plans-check.c). */
int plans_check(struct daemon *d, const json_t *body, json_t **ret, struct error **err);

/*
 * {name, migrations: [{vm, name, did: "created" | "updated" | "unchanged" | "kept" | "failed" |
 * "left", why?, fields?}], limits: those that were not so before, warnings}.  With problems: EINVAL, and *ret is {problems}.
 * check: true in the body: plans_check() only.
 */
int plans_apply(struct daemon *d, const json_t *body, json_t **ret, struct error **err);

/* body: {text, file?, options?: as simulate_plan()}; {problems, warnings, report?} (plans-simulate.c). */
int plans_simulate(struct daemon *d, const json_t *body, json_t **ret, struct error **err);

/* [{name, source, file, applied_ns, migrations: COUNT, states: {STATE: COUNT}}] */
int plans_list(struct daemon *d, json_t **ret, struct error **err);

/* The same of one, with text and migrations: [{name, vm, state}]. */
int plans_get(struct daemon *d, const char *name, json_t **ret, struct error **err);

/* EBUSY while a migration of it is neither done nor cancelled. */
int plans_remove(struct daemon *d, const char *name, struct error **err);

/* Migrations of a plan: [{name, vm, state}]; new reference. */
json_t *plan_members(struct daemon *d, const char *plan);

/* One of these is done or cancelled. */
bool plan_member_is_over(const json_t *member);

/* Why a migration that is there, with these params, is not the plan's of the body; NULL: it is.  The
 * caller frees. */
char *plan_stranger(const json_t *params, const json_t *body);

/* Fields of new params that differ from the old; what a plan does not say any more has its default
 * again, where there is one.  A new object. */
json_t *plan_changes(const json_t *old, const json_t *new);

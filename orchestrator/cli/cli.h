/* SPDX-License-Identifier: Apache-2.0 */
/* The slipway command: one struct cli_verb per verb; main.c dispatches. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "orchestrator/cli/verbs.h"

/* One per verb, in the file that has its code; listed in verbs.c. */
extern const struct cli_verb verb_source_add, verb_source_list, verb_source_remove, verb_vm_list;
extern const struct cli_verb verb_migrate, verb_sync, verb_cutover, verb_cancel, verb_remove;
extern const struct cli_verb verb_set, verb_start, verb_commit, verb_rollback;
extern const struct cli_verb verb_status, verb_rehearse, verb_report, verb_diff;
extern const struct cli_verb verb_forecast, verb_limit_list, verb_limit_set, verb_limit_clear;
extern const struct cli_verb verb_pause, verb_resume;
extern const struct cli_verb verb_explain, verb_plan_simulate;
extern const struct cli_verb verb_plan_check, verb_plan_apply, verb_plan_list, verb_plan_show;
extern const struct cli_verb verb_plan_remove, verb_plan_schema;
extern const struct cli_verb verb_group_list, verb_group_cutover, verb_group_sync;
extern const struct cli_verb verb_group_commit, verb_group_rollback;
extern const struct cli_verb verb_mount, verb_engine;

/* For the completion of the shell, not for people: see complete.c. */
int cli_complete(int argc, char **argv);

/* Prints "slipway VERB: sentence" to standard error, frees err, returns its exit code.
 * verb NULL: "slipway: sentence".
 * json: prints {"error": {"code": NAME, "message": sentence}} to standard output instead. */
int cli_fail(const char *verb, struct error *err, bool json);

/*
 * progress.c: one line on a terminal, redrawn in place: "label  42% [#####     ] 1.2 GiB of 4 GiB  310 MiB/s  ETA 0:09";
 * off a terminal a plain line at most every 5 s.  Output goes to standard error.
 */
struct progress;
struct progress *progress_new(bool quiet);
void progress_update(struct progress *progress, const char *label, uint64_t done_bytes,
                     uint64_t total_bytes);
void progress_end(struct progress *progress); /* ends the line; frees */

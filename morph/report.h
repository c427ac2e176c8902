/* SPDX-License-Identifier: Apache-2.0 */
/* What the program tells: progress on standard error while it runs, the result on standard output.
 */
#pragma once

#include <stdbool.h>
#include "morph/facts.h"
#include "morph/hints.h"
#include "morph/plan.h"

#define REPORT_PHASES 16

/* A script of the caller that has run. */
struct script_run {
    const char *when; /* "pre", "post" */
    char *name, *output;
};

struct report {
    bool json;
    bool dry_run;
    bool rehearsed; /* what is done is what a recipe has recorded */
    uint64_t started_ns;
    struct {
        const char *name;
        uint64_t ns;
    } phases[REPORT_PHASES];
    size_t phase_count;
    struct script_run *scripts;
    size_t script_count;
};

void report_begin(struct report *report, bool json, bool dry_run);

void report_done(struct report *report);

/* The previous phase has ended and this one (static name) begins; NULL: the last one has ended.
 * With JSON, a line {"phase": "NAME", "state": "begin" | "end", "seconds": …} each. */
void report_phase(struct report *report, const char *name);

/* A line during a phase: one edit is done. */
void report_edit(const struct report *report, const struct edit *edit);

/* A script of the caller is done; the texts are copied. */
void report_script(struct report *report, const char *when, const char *name, const char *output);

/* The result, once everything it says is true.  -EIO when it cannot be written. */
int report_result(const struct report *report, const struct facts *facts, const struct plan *plan,
                  const struct hints *hints);

/* The sentence of a failure; `changed`: writes may have begun. */
void report_failure(const struct report *report, const struct error *err, bool changed);

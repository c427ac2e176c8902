/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --script-pre and --script-post: the caller's own scripts, run in the appliance before and after
 * the changes.  They may do what they like to the guest, so the plan is made twice where there is
 * one to run before: once to refuse while nothing is changed, and once more from what the script
 * left.
 */
#pragma once

#include "morph/facts.h"
#include "morph/guest.h"
#include "morph/report.h"

/* -ENOTSUP with a sentence when the guest cannot run them. */
int scripts_check(const struct facts *facts, struct error **err);

/* Makes the filesystems writable and runs them in order; when: "pre" or "post", static.  The first
 * one that fails ends it.  Output goes to the report. */
int scripts_run(struct guest *guest, const struct hostfiles *scripts, const char *when,
                struct report *report, struct error **err);

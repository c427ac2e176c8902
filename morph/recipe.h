/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rehearsal did, kept for the cutover.  A recipe is a folder: recipe.json lists the edits with
 * the hashes of their files before and after, made-N holds what programs of the guest made (an
 * initramfs that took minutes to build).
 *
 * At the cutover the plan is made anew from the guest as it is then.  When it is the recorded one,
 * edit by edit and hash by hash, the cutover does exactly what was rehearsed, and what programs of
 * the guest made is written instead of made again.  When it is not, the recipe is of no use, and
 * the note says which file differs.
 *
 * recipe.json: {"format": 1, "edits": [{"kind", "path", "before", "after", "made"?: "made-N"}]}
 */
#pragma once

#include <stdbool.h>
#include "morph/plan.h"
#include "morph/tree.h"

/*
 * Writes the recipe of a plan that was carried out and verified; tree reads what was made.  The
 * folder is made when it is missing (0700); what was in it before is replaced at the end, at once.
 */
int recipe_record(const char *folder, const struct plan *plan, const struct tree *tree,
                  struct error **err);

/*
 * True when the recipe fits the plan: then edits by programs have become writes of what was made in
 * the rehearsal.  False when it does not, is damaged, or is not there: the plan stays the full way,
 * and a note in it says why.
 */
bool recipe_replay(const char *folder, struct plan *plan);

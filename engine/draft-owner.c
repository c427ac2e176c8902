/* SPDX-License-Identifier: Apache-2.0 */
/* A draft over an owner: a cutover's morph, when the flip came before it. */
#include <inttypes.h>

#include "engine/draft.h"
#include "engine/export.h"
#include "engine/owner.h"

int draft_check_owner_locked(const struct engine *e, uint64_t gen, struct error **err)
{
    if (gen != NO_GENERATION && gen != e->cur_gen)
        return error_set(err, ENOENT, "%s is an owner, its only generation is %" PRIu64, e->store,
                         e->cur_gen);
    /* Sealing begins a new epoch under the feet of any other. */
    if (e->drafts)
        return error_set(err, EBUSY, "%s is an owner and has the draft '%s' already; seal or drop "
                                     "it first", e->store, e->drafts->name);
    if (export_count_owner_locked(e) > 0)
        return error_set(err, EBUSY, "the disks of %s are in use; stop the VM first", e->store);
    return 0;
}

/* The snapshot stays: it is where the missing blocks come from. */
static int root_seal(struct super *s, void *context)
{
    const struct draft *dr = context;

    s->cur_gen++;
    s->flags |= SUPER_LOCAL_CHANGES;
    if (dr->token)
        memcpy(s->token, dr->token, sizeof(s->token));
    return 0;
}

int draft_commit_owner(struct draft *dr, uint64_t *ret_generation, struct error **err)
{
    struct engine *e = dr->engine;
    int r = owner_add_layers(e, dr->layers, root_seal, dr, err);

    if (r < 0)
        return r;
    *ret_generation = e->cur_gen; /* the operation is ours: nobody else changes it */
    return 0;
}

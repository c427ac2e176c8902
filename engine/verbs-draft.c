/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/draft.h"
#include "engine/status.h"
#include "engine/verbcall.h"

static int verb_draft_create(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name;
    uint64_t gen;
    int r = need_name(c, &name, err);

    if (r == 0)
        r = generation_arg(c, &gen, err);
    if (r == 0)
        r = draft_create(c->engine, name, gen, &gen, err);
    if (r == 0)
        *ret_result = json_pack("{s:s, s:I}", "name", name, "generation", (json_int_t)gen);
    return r;
}

static int verb_draft_seal(struct call *c, json_t **ret_result, struct error **err)
{
    uint8_t token[16];
    const uint8_t *given;
    bool already = token_done(c, token, &given);
    const char *name;
    uint64_t gen = c->engine->cur_gen;
    int r = need_name(c, &name, err);

    if (r == 0 && !already)
        r = draft_seal(c->engine, name, given, &gen, err);
    if (r == 0)
        *ret_result = json_pack("{s:I, s:b}", "generation", (json_int_t)gen, "already", already);
    return r;
}

static int verb_draft_drop(struct call *c, json_t **ret_result, struct error **err)
{
    const char *name;
    int r = need_name(c, &name, err);

    if (r == 0)
        r = draft_drop(c->engine, name, err);
    if (r == 0)
        *ret_result = json_object();
    return r;
}

static int verb_draft_list(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;

    LOCK_FOR_SCOPE(&e->lock);
    *ret_result = json_pack("{s:o}", "drafts", status_drafts_locked(e));
    return 0;
}

const struct verb verbs_draft[] = {
    {"draft-create", verb_draft_create, " name generation "},
    {"draft-list", verb_draft_list, " "},
    {"draft-seal", verb_draft_seal, " name token "},
    {"draft-drop", verb_draft_drop, " name "},
    {0},
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/verbcall.h"

static int verb_flip(struct call *c, json_t **ret_result, struct error **err)
{
    int r = engine_flip(c->engine, grace_arg(c, 2), report_progress, c, err);

    if (r == 0)
        *ret_result = json_pack("{s:s, s:I}", "mode", store_mode_name(MODE_OWNER), "generation",
                                (json_int_t)c->engine->cur_gen);
    return r;
}

static int verb_detach(struct call *c, json_t **ret_result, struct error **err)
{
    int r = engine_detach(c->engine, grace_arg(c, 5), err);

    if (r == 0)
        *ret_result = json_pack("{s:s}", "mode", store_mode_name(MODE_DETACHED));
    return r;
}

const struct verb verbs_owner[] = {
    {"flip", verb_flip, " grace_s "},
    {"detach", verb_detach, " grace_s "},
    {0},
};

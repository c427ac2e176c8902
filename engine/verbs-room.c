/* SPDX-License-Identifier: Apache-2.0 */
/* The verb "set": what of old generations stays, and what gives way. */
#include <inttypes.h>

#include "engine/room.h"
#include "engine/status.h"
#include "engine/verbcall.h"

static int parse_keep(const struct call *c, struct room_policy *p, struct error **err)
{
    const json_t *j = json_object_get(c->args, "keep");

    if (!j)
        return 0;
    if (json_integer_value(j) < 0 || json_integer_value(j) > KEEP_MAX)
        return error_set(err, EINVAL, "keep must be 0 to %d generations", KEEP_MAX);
    p->keep = (uint16_t)json_integer_value(j);
    return 0;
}

static int parse_full(const struct call *c, struct room_policy *p, struct error **err)
{
    const char *text = text_arg(c, "when_full");

    for (unsigned i = 0; text && i < _WHEN_FULL_MAX; i++)
        if (strcmp(text, when_full_name(i)) == 0) {
            p->when_full = i;
            return 0;
        }
    if (!text)
        return 0;
    return error_set(err, EINVAL, "when_full must be 'wait' or 'revoke', not '%s'", text);
}

static int parse_budget(const struct call *c, struct room_policy *p, struct error **err)
{
    const json_t *j = json_object_get(c->args, "space_budget_bytes");

    if (j && json_integer_value(j) < 0)
        return error_set(err, EINVAL, "space_budget_bytes must be a number of bytes, 0 for no "
                                      "limit");
    if (j)
        p->space_budget = (uint64_t)json_integer_value(j);
    return 0;
}

static int verb_set(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;
    struct room_policy p = room_policy(e);
    int r;

    pthread_mutex_lock(&e->lock);
    r = engine_check_mode_locked(e, "set", 1u << MODE_INIT | 1u << MODE_MIRROR, err);
    pthread_mutex_unlock(&e->lock);
    if (r == 0)
        r = parse_keep(c, &p, err);
    if (r == 0)
        r = parse_full(c, &p, err);
    if (r == 0)
        r = parse_budget(c, &p, err);
    if (r == 0 && json_object_size(c->args) > 0)
        r = room_set(e, &p, err);
    if (r == 0)
        *ret_result = status_policy(p.keep, p.when_full, p.space_budget);
    return r;
}

const struct verb verbs_room[] = {
    {"set", verb_set, " keep space_budget_bytes when_full "},
    {0},
};

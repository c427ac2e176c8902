/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about plans. */
#include "orchestrator/api-handlers.h"

#include "orchestrator/fields.h"
#include "orchestrator/plans.h"

int get_plans(struct daemon *d, const struct api_request *request, const json_t *body,
              const char *name, struct api_answer *answer, struct error **err)
{
    json_t *plans;
    int r = plans_list(d, &plans, err);

    if (r == 0)
        answer->body = json_pack("{s:o}", "plans", plans);
    return r;
}

int post_plans(struct daemon *d, const struct api_request *request, const json_t *body,
               const char *name, struct api_answer *answer, struct error **err)
{
    int r = plans_apply(d, body, &answer->body, err);

    if (r == 0 && !field_bool(body, "check", false))
        events_record(d->events, NULL, json_pack("{s:s, s:s}", "event", "plan", "plan",
                                                 field_string(answer->body, "name", "")));
    return r;
}

int post_plans_check(struct daemon *d, const struct api_request *request, const json_t *body,
                     const char *name, struct api_answer *answer, struct error **err)
{
    return plans_check(d, body, &answer->body, err);
}

int get_plan(struct daemon *d, const struct api_request *request, const json_t *body,
             const char *name, struct api_answer *answer, struct error **err)
{
    return plans_get(d, name, &answer->body, err);
}

int delete_plan(struct daemon *d, const struct api_request *request, const json_t *body,
                const char *name, struct api_answer *answer, struct error **err)
{
    int r = plans_remove(d, name, err);

    if (r == 0)
        events_record(d->events, NULL, json_pack("{s:s, s:s}", "event", "plan-removed", "plan",
                                                 name));
    return r;
}

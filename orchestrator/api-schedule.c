/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about what is done next. */
#include "orchestrator/api-handlers.h"
#include "orchestrator/plans.h"
#include "orchestrator/scheduler.h"

int get_explain(struct daemon *d, const struct api_request *request, const json_t *body,
                const char *name, struct api_answer *answer, struct error **err)
{
    return scheduler_explain(d, name, &answer->body, err);
}

int get_schedule(struct daemon *d, const struct api_request *request, const json_t *body,
                 const char *name, struct api_answer *answer, struct error **err)
{
    json_t *all;
    int r = scheduler_explain(d, NULL, &all, err);

    if (r == 0)
        answer->body = json_pack("{s:o}", "decisions", all);
    return r;
}

int post_plans_simulate(struct daemon *d, const struct api_request *request, const json_t *body,
                        const char *name, struct api_answer *answer, struct error **err)
{
    return plans_simulate(d, body, &answer->body, err);
}

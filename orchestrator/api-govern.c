/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about forecasts, limits and pauses. */
#include "orchestrator/api-handlers.h"

#include "orchestrator/governor.h"

int get_forecast(struct daemon *d, const struct api_request *request, const json_t *body,
                 const char *name, struct api_answer *answer, struct error **err)
{
    struct forecast f;
    int r = forecast_update(d, name, &f, err);

    if (r < 0)
        return r;
    answer->body = forecast_json(&f);
    json_object_set_new(answer->body, "name", json_string(name));
    return 0;
}

int get_limits(struct daemon *d, const struct api_request *request, const json_t *body,
               const char *name, struct api_answer *answer, struct error **err)
{
    answer->body = governor_list(d);
    return 0;
}

int put_limit(struct daemon *d, const struct api_request *request, const json_t *body,
              const char *name, struct api_answer *answer, struct error **err)
{
    return governor_set(d, body, &answer->body, err);
}

int delete_limit(struct daemon *d, const struct api_request *request, const json_t *body,
                 const char *name, struct api_answer *answer, struct error **err)
{
    return governor_clear(d, body, err);
}

int post_pause(struct daemon *d, const struct api_request *request, const json_t *body,
               const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_PAUSE, NULL, &answer->body, err);
}

int post_resume(struct daemon *d, const struct api_request *request, const json_t *body,
                const char *name, struct api_answer *answer, struct error **err)
{
    return verb_run(d, name, VERB_RESUME, NULL, &answer->body, err);
}

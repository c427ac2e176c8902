/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/status: everything there is, as of one generation, so that the stream of events goes on
 * exactly there. */
#include "orchestrator/api-handlers.h"

#include "orchestrator/fields.h"
#include "orchestrator/governor.h"
#include "orchestrator/group.h"
#include "orchestrator/plans.h"
#include "orchestrator/version.h"

json_t *migrations_json_locked(const struct daemon *d)
{
    json_t *list = json_array();
    size_t count = 0;

    for (const struct job *job = d->jobs; job; job = job->next)
        count++;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_null());
    for (const struct job *job = d->jobs; job; job = job->next) /* the newest comes first */
        json_array_set_new(list, --count, job_json_locked(d, job));
    return list;
}

static json_t *node_json_locked(const struct daemon *d)
{
    return json_pack("{s:s?, s:s, s:I, s:I}", "uri", d->options->node_uri, "pool",
                     d->options->pool, "sync_slots", (json_int_t)d->options->max_syncs,
                     "sync_slots_used", (json_int_t)governor_running_locked(d));
}

int get_status(struct daemon *d, const struct api_request *request, const json_t *body,
               const char *name, struct api_answer *answer, struct error **err)
{
    json_t *sources = NULL, *plans = NULL, *limits, *groups;
    int r;

    /* No numbered event until all is read: some of it comes from the journal. */
    events_begin(d->events);
    r = sources_list(d, &sources, err);
    if (r == 0)
        r = plans_list(d, &plans, err);
    if (r == 0) {
        limits = governor_list(d);
        groups = groups_json(d);
        LOCK_FOR_SCOPE(&d->lock);
        answer->body =
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "program", "slipwayd", "version",
                      SLIPWAY_VERSION, "groups", groups, "migrations", migrations_json_locked(d),
                      "sources", sources, "plans", plans, "node", node_json_locked(d));
        json_object_update(answer->body, limits);
        json_decref(limits);
        events_stamp(d->events, answer->body);
    }
    events_end(d->events);
    if (r < 0)
        json_decref(sources);
    return r;
}

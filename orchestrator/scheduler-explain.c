/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/scheduler-inside.h"

#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor.h"

#define OFF "nothing is begun: slipwayd runs with --no-schedule"

static json_t *explain(struct scheduler *s, size_t i)
{
    const struct schedule_decision *d = &s->decisions[i];
    const char *group = field_string(s->looks[i].params, "group", NULL);
    const struct watch *w = &s->watches[i];
    bool off = s->daemon->options->no_schedule;
    _cleanup_free_ char *governed = governor_explain(s->daemon, w->name);
    char text[SCHEDULE_TEXT], again[CALENDAR_TEXT];
    const char *reason = governed && d->action == SCHEDULE_NOTHING
                             ? governed : schedule_text(&s->table, i, d, text);
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:n, s:n, s:i, s:s*, s:o}", "name", w->name,
                          "state", job_state_name(s->looks[i].state), "action",
                          off ? "none" : schedule_action_name(d->action), "reason",
                          off ? OFF : reason, "again", "position",
                          "priority", (int)s->table.vms[i].priority, "group", group, "forecast",
                          s->looks[i].forecasted ? forecast_json(&s->looks[i].forecast)
                                                 : json_null());

    if (d->again_ns != CALENDAR_NEVER && !off)
        json_object_set_new(j, "again", json_string(calendar_time_text(s->now.wall_ns + d->again_ns,
                                                                       again)));
    if (d->position > 0 && !off)
        json_object_set_new(j, "position", json_integer(d->position));
    if (w->refused && s->now.mono_ns < w->refused_until && !off)
        json_object_set_new(j, "refused", json_string(w->refused));
    return j;
}

int scheduler_explain(struct daemon *d, const char *name, json_t **ret, struct error **err)
{
    struct scheduler *s = d->scheduler;
    json_t *all;

    LOCK_FOR_SCOPE(&s->lock);
    scheduler_look_locked(s);
    for (size_t i = 0; name && i < s->count; i++)
        if (strcmp(s->watches[i].name, name) == 0) {
            *ret = explain(s, i);
            return 0;
        }
    if (name)
        return error_set(err, ENOENT, "there is no migration named '%s'", name);
    all = json_array();
    for (size_t i = 0; i < s->count; i++)
        json_array_append_new(all, explain(s, i));
    *ret = all;
    return 0;
}

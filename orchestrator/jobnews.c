/* SPDX-License-Identifier: Apache-2.0 */
/* What has become different about a migration, for whoever keeps a picture of it: an event
 * "migration" with the members of job_json_locked() that have changed. */
#include <string.h>

#include "base/align.h"
#include "orchestrator/daemon.h"
#include "orchestrator/fields.h"

/* What changes all the time: a forecast as the clock goes on, and progress has events of its own.
 * They come along with other news and are none themselves, but for their coming and going. */
static const char *const restless[] = {"forecast", "progress"};

static bool is_news(const char *key, const json_t *before, const json_t *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(restless); i++)
        if (strcmp(key, restless[i]) == 0)
            return json_is_object(before) != json_is_object(value);
    return !json_equal(before, value);
}

/* Members of `now` that are not the same in `shown`; empty when nothing of that is news. */
static json_t *changed(const json_t *shown, const json_t *now)
{
    json_t *set = json_object(), *value;
    const char *key;
    bool news = false;

    json_object_foreach((json_t *)now, key, value) {
        const json_t *before = json_object_get(shown, key);

        news = news || is_news(key, before, value);
        if (!json_equal(before, value))
            json_object_set(set, key, value);
    }
    if (!news)
        json_object_clear(set);
    return set;
}

static json_t *vanished(const json_t *shown, const json_t *now)
{
    json_t *unset = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)shown, key, value)
        if (!json_object_get(now, key))
            json_array_append_new(unset, json_string(key));
    return unset;
}

void job_tell_locked(struct daemon *d, struct job *job)
{
    json_t *now = job_json_locked(d, job), *event;
    _cleanup_json_ json_t *set = changed(job->shown, now), *unset = vanished(job->shown, now);

    if (json_object_size(set) + json_array_size(unset) > 0) {
        /* Events of progress may have said something else since. */
        json_object_set(set, "progress", json_object_get(now, "progress"));
        event = json_pack("{s:s, s:O}", "event", "migration", "set", set);
        if (json_array_size(unset) > 0)
            json_object_set(event, "unset", unset);
        events_publish(d->events, job->name, 0, event);
    }
    json_decref(job->shown);
    job->shown = now;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"

void model_done(struct model *m)
{
    json_decref(m->migrations);
    json_decref(m->notes);
    json_decref(m->decisions);
    free(m->cursor);
    free(m->epoch);
    free(m->version);
    *m = (struct model){0};
}

void model_take_snapshot(struct model *m, const json_t *snapshot)
{
    json_t *migration, *notes = json_incref(m->notes), *decisions = json_incref(m->decisions);
    size_t i;

    model_done(m);
    m->migrations = json_object();
    m->notes = notes ? notes : json_object();
    m->decisions = decisions ? decisions : json_object();
    m->cursor = str_dup(field_string(snapshot, "cursor", ""));
    m->epoch = str_dup(field_string(snapshot, "epoch", ""));
    m->version = str_dup(field_string(snapshot, "version", ""));
    json_array_foreach(json_object_get(snapshot, "migrations"), i, migration)
        json_object_set(m->migrations, field_string(migration, "name", "?"), migration);
}

void model_take_decisions(struct model *m, const json_t *schedule)
{
    json_t *decision;
    size_t i;

    json_object_clear(m->decisions);
    json_array_foreach(json_object_get(schedule, "decisions"), i, decision)
        json_object_set(m->decisions, field_string(decision, "name", "?"), decision);
}

static void take_news(struct model *m, const char *name, const json_t *event)
{
    json_t *migration = json_object_get(m->migrations, name), *key;
    size_t i;

    if (!migration) {
        migration = json_object();
        json_object_set_new(m->migrations, name, migration);
    }
    json_object_update(migration, json_object_get(event, "set"));
    json_array_foreach(json_object_get(event, "unset"), i, key)
        json_object_del(migration, json_string_value(key) ? json_string_value(key) : "");
}

static void move_cursor(struct model *m, const json_t *event)
{
    json_int_t number = field_integer(event, "seq", field_integer(event, "generation", 0));

    /* A line without a tick comes from the journal: the ones without numbers are lost anyway. */
    if (!json_is_integer(json_object_get(event, "tick")))
        return;
    free(m->cursor);
    m->cursor = str_format("%lld.%lld.%s", (long long)number,
                           (long long)field_integer(event, "tick", 0) + 1, m->epoch);
}

bool model_take_event(struct model *m, const json_t *event)
{
    const char *kind = field_string(event, "event", "");
    const char *name = field_string(event, "migration", NULL);

    if (strcmp(kind, "reset") == 0 ||
        (strcmp(kind, "hello") == 0 && strcmp(field_string(event, "epoch", ""), m->epoch) != 0)) {
        str_replace(&m->cursor, NULL);
        return false;
    }
    move_cursor(m, event);
    if (!name)
        return true;
    if (strcmp(kind, "migration") == 0)
        take_news(m, name, event);
    else if (strcmp(kind, "removed") == 0)
        json_object_del(m->migrations, name);
    else if (strcmp(kind, "progress") == 0 && json_object_get(m->migrations, name))
        json_object_set(json_object_get(m->migrations, name), "progress", (json_t *)event);
    else if (strcmp(kind, "note") == 0)
        json_object_set(m->notes, name, json_object_get(event, "message"));
    else if (strcmp(kind, "state") == 0)
        json_object_del(m->notes, name);
    return true;
}

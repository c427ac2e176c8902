/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of the governor: kept in the journal, set and cleared by people. */
#include <string.h>

#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/governor-inside.h"

/* Index of the limit of this scope and name, or limit_count. */
static size_t find_limit(const struct governor *g, enum govern_scope scope, const char *name)
{
    for (size_t i = 0; i < g->limit_count; i++)
        if (govern_limit_scope(g->limits[i]) == scope &&
            strcmp(govern_limit_name(g->limits[i]), name) == 0)
            return i;
    return g->limit_count;
}

static void put_limit(struct governor *g, struct govern_limit *l)
{
    size_t i = find_limit(g, govern_limit_scope(l), govern_limit_name(l));

    if (i == g->limit_count) {
        g->limits = realloc(g->limits, (i + 1) * sizeof(struct govern_limit *));
        if (!g->limits)
            abort();
        g->limit_count++;
    } else {
        govern_limit_free(g->limits[i]);
    }
    g->limits[i] = l;
}

int governor_open(struct daemon *d, struct error **err)
{
    _cleanup_json_ json_t *rows = NULL;
    json_t *row;
    size_t i;
    int r = journal_list_limits(d->journal, &rows, err);

    d->governor = mem_new(1, sizeof(*d->governor));
    json_array_foreach(rows, i, row) {
        struct govern_limit *l;

        r = govern_limit_parse(json_object_get(row, "body"), &l, err);
        if (r < 0)
            return error_prefix(err, "the journal holds a limit that this slipwayd cannot read");
        put_limit(d->governor, l);
    }
    return r;
}

void governor_close(struct daemon *d)
{
    struct governor *g = d->governor;

    if (!g)
        return;
    for (size_t i = 0; i < g->limit_count; i++)
        govern_limit_free(g->limits[i]);
    free(g->limits);
    free(g);
    d->governor = NULL;
}

json_t *governor_list(struct daemon *d)
{
    json_t *list = json_array();

    LOCK_FOR_SCOPE(&d->lock);
    for (size_t i = 0; i < d->governor->limit_count; i++)
        json_array_append_new(list, govern_limit_json(d->governor->limits[i]));
    return json_pack("{s:o}", "limits", list);
}

static int set_limit(struct daemon *d, const json_t *body, json_t **ret, struct error **err)
{
    _cleanup_json_ json_t *whole = NULL;
    struct govern_limit *l;
    int r = govern_limit_parse(body, &l, err);

    if (r < 0)
        return r;
    whole = govern_limit_json(l);
    r = journal_put_limit(d->journal, govern_scope_name(govern_limit_scope(l)),
                          govern_limit_name(l), whole, err);
    if (r < 0) {
        govern_limit_free(l);
        return r;
    }
    *ret = json_incref(whole);
    LOCK_FOR_SCOPE(&d->lock);
    put_limit(d->governor, l);
    governor_grant_locked(d);
    governor_divide_locked(d);
    return 0;
}

static int clear_limit(struct daemon *d, const json_t *body, struct error **err)
{
    static const struct field fields[] = {
        {"scope", FIELD_STRING, true}, {"name", FIELD_STRING, false}, {NULL}};
    int r = fields_check(body, fields, "a limit to be cleared", err);
    const char *scope = field_string(body, "scope", ""), *name = field_string(body, "name", "");
    struct governor *g = d->governor;
    int number = govern_scope_from_name(scope);
    size_t i;

    if (r < 0)
        return r;
    if (number < 0)
        return error_set(err, EINVAL, "there is no scope '%s': choose one of all, source, host, "
                         "network, node", scope);
    pthread_mutex_lock(&d->lock);
    i = find_limit(g, (enum govern_scope)number, name);
    r = i < g->limit_count ? 0 : -ENOENT;
    pthread_mutex_unlock(&d->lock);
    if (r < 0)
        return error_set(err, ENOENT, "there is no limit of %s%s%s; 'slipway limit list' shows "
                         "them", scope, *name ? " " : "", name);
    r = journal_remove_limit(d->journal, scope, name, err);
    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&d->lock);
    i = find_limit(g, (enum govern_scope)number, name);
    if (i < g->limit_count) {
        govern_limit_free(g->limits[i]);
        memmove(&g->limits[i], &g->limits[i + 1],
                (g->limit_count - i - 1) * sizeof(struct govern_limit *));
        g->limit_count--;
    }
    governor_grant_locked(d);
    governor_divide_locked(d);
    return 0;
}

/* Between events_begin() and events_end(), so that a snapshot has both or neither. */
static void tell_limits(struct daemon *d)
{
    json_t *event = governor_list(d);

    json_object_set_new(event, "event", json_string("limits"));
    events_record_begun(d->events, NULL, event);
}

int governor_set(struct daemon *d, const json_t *body, json_t **ret, struct error **err)
{
    int r;

    events_begin(d->events);
    r = set_limit(d, body, ret, err);
    if (r == 0)
        tell_limits(d);
    events_end(d->events);
    return r;
}

int governor_clear(struct daemon *d, const json_t *body, struct error **err)
{
    int r;

    events_begin(d->events);
    r = clear_limit(d, body, err);
    if (r == 0)
        tell_limits(d);
    events_end(d->events);
    return r;
}
